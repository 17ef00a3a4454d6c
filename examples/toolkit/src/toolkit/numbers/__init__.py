"""Whole numbers and samples."""
