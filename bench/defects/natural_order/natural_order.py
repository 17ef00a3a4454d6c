import re


def natural_key(name):
    """Split into text and numbers, so that file2 comes before file10."""
    parts = re.split(r"(\d+)", name.lower())
    return [part if part.isdigit() else part for part in parts]


def natural_sort(names):
    return sorted(names, key=natural_key)
