"""Graphs and what can be found in them."""
