"""A process pool that never loses a result."""
