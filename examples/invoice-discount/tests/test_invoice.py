from decimal import Decimal

import pytest

from billing.invoice import Invoice, Line
from billing.money import clamp, percent_of, show


def invoice(percent, *lines):
    return Invoice(list(lines), discount_percent=Decimal(percent))


def test_without_discount():
    assert invoice(0, Line("chair", 100_00, 2)).discount == 0
    assert invoice(0, Line("chair", 100_00, 2)).total == 238_00


def test_small_discount():
    assert invoice(10, Line("desk", 200_00)).discount == 20_00
    assert invoice(10, Line("desk", 200_00)).total == 214_20


def test_discount_is_capped():
    assert invoice(50, Line("desk", 300_00)).discount == 50_00


def test_surcharge_is_not_a_discount():
    assert invoice(-5, Line("desk", 300_00)).discount == 0


@pytest.mark.parametrize(("value", "expected"), [(-1, 0), (5, 5), (11, 10)])
def test_clamp(value, expected):
    assert clamp(value, 0, 10) == expected


def test_rounding():
    assert percent_of(50, Decimal(1)) == 1
    assert percent_of(49, Decimal(1)) == 0


def test_show():
    assert show(123_456_78) == "123,456.78"
    assert show(-5) == "-0.05"
