"""The analysts, by the name that a manifest gives them."""
