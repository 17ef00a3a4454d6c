import pytest

from toolkit.errors import ParseError, UnitError
from toolkit.units.dimension import FORCE, LENGTH, NONE, SPEED, TIME
from toolkit.units.quantity import Quantity
from toolkit.units.registry import unit
from toolkit.units.sizes import read_size, show_size


@pytest.mark.parametrize(
    ("amount", "source", "target", "result"),
    [(1, "km", "m", 1000), (1, "in", "cm", 2.54), (36, "km/h", "m/s", 10), (90, "min", "h", 1.5),
     (1, "lb", "g", 453.59237), (5, "", "", 5)],
)  # fmt: skip
def test_conversion(amount, source, target, result):
    assert Quantity.of(amount, source).to(target) == pytest.approx(result)


def test_dimensions():
    assert SPEED * TIME == LENGTH
    assert LENGTH / LENGTH == NONE
    assert FORCE.time == -2


def test_arithmetic():
    way = Quantity.of(1, "km") + Quantity.of(500, "m")
    assert way.to("km") == pytest.approx(1.5)
    assert (way / Quantity.of(5, "min")).to("m/s") == pytest.approx(5)
    assert (Quantity.of(2, "m/s") * Quantity.of(3, "s")).to("m") == pytest.approx(6)


def test_unlike_quantities():
    with pytest.raises(UnitError):
        Quantity.of(1, "m") + Quantity.of(1, "s")
    with pytest.raises(UnitError):
        Quantity.of(1, "m").to("kg")


def test_unknown_unit():
    with pytest.raises(UnitError, match="did you mean 'km'"):
        unit("kmm")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (5 * 1024**2, "5 MiB"),
     (1024**4, "1 TiB"), (2048 * 1024**4, "2048 TiB")],
)  # fmt: skip
def test_show_size(count, text):
    assert show_size(count) == text
    assert read_size(text) == count


@pytest.mark.parametrize("text", ["", "5", "KiB", "1 kB", "-1 B"])
def test_bad_size(text):
    with pytest.raises(ParseError):
        read_size(text)
