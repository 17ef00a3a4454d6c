def gcd(a, b):
    """The greatest common divisor, never negative."""
    if b == 0:
        return abs(a)
    return gcd(a % b, b)


def lcm(a, b):
    if a == 0 or b == 0:
        return 0
    return abs(a * b) // gcd(a, b)
