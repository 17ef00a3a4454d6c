"""Exact values of functions, where there are any."""
