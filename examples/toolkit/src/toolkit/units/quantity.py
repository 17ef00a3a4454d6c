"""Numbers with a dimension."""

from dataclasses import dataclass

from toolkit.errors import UnitError
from toolkit.units.dimension import Dimension
from toolkit.units.registry import unit


@dataclass(frozen=True)
class Quantity:
    """An amount in base units (m, kg, s)."""

    amount: float
    dimension: Dimension

    @classmethod
    def of(cls, amount: float, symbol: str) -> "Quantity":
        found = unit(symbol)
        return cls(amount * found.factor, found.dimension)

    def to(self, symbol: str) -> float:
        """The amount in that unit."""
        found = unit(symbol)
        if found.dimension != self.dimension:
            raise UnitError(f"cannot express {self.dimension} in {symbol!r}")
        return self.amount / found.factor

    def __add__(self, other: "Quantity") -> "Quantity":
        if other.dimension != self.dimension:
            raise UnitError("only like quantities can be added")
        return Quantity(self.amount + other.amount, self.dimension)

    def __mul__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.amount * other.amount, self.dimension * other.dimension)

    def __truediv__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.amount / other.amount, self.dimension / other.dimension)
