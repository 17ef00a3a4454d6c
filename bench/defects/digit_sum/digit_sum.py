def digits(number, base=10):
    """The digits of a number, the last one first."""
    number = abs(number)
    result = []
    while number >= base:
        result.append(number % base)
        number //= base
    result.append(number)
    return result


def digit_root(number):
    """Sum the digits until one digit is left."""
    while abs(number) >= 10:
        number = sum(digits(number))
    return abs(number)


def from_digits(values, base=10):
    """The number whose last digit comes first."""
    number = 0
    for value in reversed(values):
        number = number + base * value
    return number
