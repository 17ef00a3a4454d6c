"""Converting and checking command line values."""
