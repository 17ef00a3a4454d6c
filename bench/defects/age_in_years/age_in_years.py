def age(born, today):
    """Full years between two dates."""
    if today < born:
        raise ValueError("not born yet")
    years = today.year - born.year
    if (today.month, today.day) > (born.month, born.day):
        years -= 1
    return years
