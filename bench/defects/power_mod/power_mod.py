def power_mod(base, exponent, modulus):
    """base ** exponent % modulus, without large numbers."""
    if modulus < 1:
        raise ValueError("modulus must be positive")
    result = 1 % modulus
    base %= modulus
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base
        base = base * base % modulus
        exponent //= 2
    return result
