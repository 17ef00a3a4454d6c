"""Working on strings."""
