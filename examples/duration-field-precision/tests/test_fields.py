# Modelled on marshmallow's TimeDelta: 345 ms became 344 because a float was cut, not rounded.
from datetime import timedelta

import pytest

from schemas.fields import Duration, Field, Nested, ValidationError


@pytest.mark.parametrize("amount", [0, 1, 300, 345, 1001, 86_400_017])
def test_milliseconds_survive(amount):
    assert Duration("milliseconds").serialize(timedelta(milliseconds=amount)) == amount


def test_nearest_unit():
    assert Duration("minutes").serialize(timedelta(seconds=119)) == 2
    assert Duration("minutes").serialize(timedelta(seconds=-119)) == -2


def test_days():
    assert Duration("days").serialize(timedelta(days=2)) == 2


def test_back():
    assert Duration("hours").deserialize("3") == timedelta(hours=3)


@pytest.mark.parametrize("value", ["x", [], 10**20])
def test_refused(value):
    with pytest.raises(ValidationError):
        Duration("days").deserialize(value)


def test_none():
    assert Duration().serialize(None) is None
    assert Field(allow_none=True).deserialize(None) is None
    with pytest.raises(ValidationError):
        Field().deserialize(None)


def test_nested():
    schema = Nested({"wait": Duration("milliseconds", required=True), "name": Field()})
    assert schema.serialize({"wait": timedelta(seconds=0.345)}) == {"wait": 345}
    with pytest.raises(ValidationError, match="missing: wait"):
        schema.deserialize({"name": "x"})


def test_unknown_unit():
    with pytest.raises(ValueError, match="unknown unit"):
        Duration("weeks")
