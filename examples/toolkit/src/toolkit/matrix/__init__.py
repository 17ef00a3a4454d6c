"""Matrices of exact fractions."""
