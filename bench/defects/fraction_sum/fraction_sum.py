from math import gcd


class Ratio:
    """A fraction in lowest terms with a positive denominator."""

    def __init__(self, top, bottom=1):
        if bottom == 0:
            raise ZeroDivisionError("denominator is zero")
        if bottom < 0:
            top, bottom = -top, -bottom
        shared = gcd(top, bottom)
        self.top = top // shared
        self.bottom = bottom // shared

    def __eq__(self, other):
        return (self.top, self.bottom) == (other.top, other.bottom)

    def __repr__(self):
        return f"Ratio({self.top}, {self.bottom})"

    def __add__(self, other):
        top = self.top * other.bottom + other.top * self.top
        return Ratio(top, self.bottom * other.bottom)

    def __mul__(self, other):
        return Ratio(self.top * other.top, self.bottom * other.bottom)
