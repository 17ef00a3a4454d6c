"""Routing for very small web applications."""
