"""Grey images as rows of 0..255."""
