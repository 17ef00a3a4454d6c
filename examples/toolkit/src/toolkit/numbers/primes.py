"""Primes and factors."""

from math import isqrt


def primes_below(limit: int) -> list[int]:
    sieve = bytearray([1]) * max(limit, 0)
    sieve[:2] = bytes(len(sieve[:2]))
    for n in range(2, isqrt(max(limit, 0)) + 1):
        if n < limit and sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, limit, n)))
    return [n for n, flag in enumerate(sieve) if flag]


def factors(number: int) -> dict[int, int]:
    """Prime factors and how often each occurs."""
    if number < 1:
        raise ValueError("only positive numbers have factors")
    found: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found[divisor] = found.get(divisor, 0) + 1
            number //= divisor
        divisor += 1
    if number > 1:
        found[number] = 1
    return found


def totient(number: int) -> int:
    for prime in factors(number):
        number -= number // prime
    return number
