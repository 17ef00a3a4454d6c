"""Points and shapes in the plane."""
