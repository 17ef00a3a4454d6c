"""The words of the system as values: no I/O, no clock, no randomness."""
