"""Days, weeks and periods."""
