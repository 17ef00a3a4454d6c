"""Ordering of build targets."""
