"""Small tools without dependencies: text, units, graphs, dates, caches, matrices and more."""

__version__ = "2.3.0"
