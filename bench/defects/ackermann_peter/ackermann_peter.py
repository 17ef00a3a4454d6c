def ackermann(m, n):
    """The function of Ackermann and Peter, for small arguments."""
    if m < 0 or n < 0:
        raise ValueError("arguments must not be negative")
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 0)
    return ackermann(m - 1, ackermann(m, n - 1))
