def is_prime(number):
    """Whether a number has exactly two divisors."""
    if number < 2:
        return False
    divisor = 2
    while divisor * divisor < number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True


def next_prime(number):
    candidate = number + 1
    while not is_prime(candidate):
        candidate += 1
    return candidate
