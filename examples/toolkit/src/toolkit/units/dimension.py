"""Dimensions as exponents of length, mass and time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    length: int = 0
    mass: int = 0
    time: int = 0

    def __mul__(self, other: "Dimension") -> "Dimension":
        return Dimension(
            self.length + other.length, self.mass + other.mass, self.time + other.time
        )

    def __truediv__(self, other: "Dimension") -> "Dimension":
        return Dimension(
            self.length - other.length, self.mass - other.mass, self.time - other.time
        )

    def __pow__(self, exponent: int) -> "Dimension":
        return Dimension(self.length * exponent, self.mass * exponent, self.time * exponent)


NONE = Dimension()
LENGTH = Dimension(length=1)
MASS = Dimension(mass=1)
TIME = Dimension(time=1)
SPEED = LENGTH / TIME
FORCE = MASS * LENGTH / TIME**2
