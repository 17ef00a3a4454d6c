"""Units by their symbol."""

from dataclasses import dataclass

from toolkit.errors import UnitError
from toolkit.text.distance import closest
from toolkit.units.dimension import FORCE, LENGTH, MASS, NONE, SPEED, TIME, Dimension


@dataclass(frozen=True)
class Unit:
    symbol: str
    factor: float
    dimension: Dimension


_UNITS = {
    unit.symbol: unit
    for unit in (
        Unit("", 1.0, NONE),
        Unit("m", 1.0, LENGTH),
        Unit("km", 1000.0, LENGTH),
        Unit("cm", 0.01, LENGTH),
        Unit("in", 0.0254, LENGTH),
        Unit("mi", 1609.344, LENGTH),
        Unit("g", 0.001, MASS),
        Unit("kg", 1.0, MASS),
        Unit("lb", 0.45359237, MASS),
        Unit("s", 1.0, TIME),
        Unit("min", 60.0, TIME),
        Unit("h", 3600.0, TIME),
        Unit("km/h", 1000 / 3600, SPEED),
        Unit("m/s", 1.0, SPEED),
        Unit("N", 1.0, FORCE),
    )
}


def unit(symbol: str) -> Unit:
    """The unit of that symbol."""
    try:
        return _UNITS[symbol]
    except KeyError:
        near = closest(symbol, _UNITS, cutoff=0.4)
        hint = f", did you mean {near!r}?" if near else ""
        raise UnitError(f"unknown unit {symbol!r}{hint}") from None
