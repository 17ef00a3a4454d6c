"""Declarative conversion of objects to plain data and back."""
