"""Remembering results."""
