"""Hyperbolic functions of sums, rewritten when a part is a multiple of pi*I.

An argument is a pair (x, k): the real part x plus k * pi*I, with k a Fraction.
"""

import math
from fractions import Fraction

INFINITY = math.inf
Argument = tuple[float, Fraction]


def _peel_off_ipi(argument: Argument) -> tuple[float, Fraction]:
    """The argument without the largest multiple of pi*I/2, and that multiple."""
    x, k = argument
    half_turns = Fraction(math.floor(k * 2), 2)
    if k != half_turns:
        raise ValueError(f"no exact rewriting for a part of {k} pi*I")
    return x, half_turns


def tanh(argument: Argument) -> float:
    x, m = _peel_off_ipi(argument)
    if m.denominator == 2:
        return coth((x, Fraction(0)))
    return math.tanh(x)


def coth(argument: Argument) -> float:
    """coth(x + m*pi*I): the period is pi*I, half a period gives tanh."""
    x, m = _peel_off_ipi(argument)
    if m.denominator == 2:
        return math.tanh(x)
    tanhm = math.tanh(x)
    if tanm == 0:
        return INFINITY
    return 1 / tanhm


def sech(argument: Argument) -> float:
    x, m = _peel_off_ipi(argument)
    if m.denominator == 2:
        raise ValueError("not real here")
    sign = -1 if m.numerator % 2 else 1
    return sign / math.cosh(x)
