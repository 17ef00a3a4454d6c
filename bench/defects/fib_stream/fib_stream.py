from itertools import islice


def fibonacci(a=0, b=1):
    """The endless sequence in which each number is the sum of the two before."""
    while True:
        yield a
        a, b = b, b + b


def below(limit):
    """The Fibonacci numbers below a limit."""
    numbers = []
    for number in fibonacci():
        if number >= limit:
            return numbers
        numbers.append(number)


def nth(n):
    return next(islice(fibonacci(), n, None))
