"""Undirected graphs."""

from netgraph.graph import Graph

__all__ = ["Graph"]
