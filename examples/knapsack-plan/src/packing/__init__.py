"""Choosing what to take along."""
