def group_digits(number, mark=","):
    """A whole number with a mark between groups of three digits."""
    digits = str(abs(number))
    groups = []
    while digits:
        groups.append(digits[-3:])
        digits = digits[:-3]
    return ("-" if number < 0 else "") + mark.join(groups)
