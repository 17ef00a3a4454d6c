"""Fields: one conversion in each direction, and what may go wrong."""

from datetime import timedelta
from typing import Any


class ValidationError(ValueError):
    """The data does not fit the field."""


class Field:
    """Base of all fields; passes values unchanged."""

    def __init__(self, *, required: bool = False, allow_none: bool = False) -> None:
        self.required = required
        self.allow_none = allow_none

    def serialize(self, value: Any) -> Any:
        return None if value is None else self._serialize(value)

    def deserialize(self, value: Any) -> Any:
        if value is None:
            if not self.allow_none:
                raise ValidationError("field may not be null")
            return None
        return self._deserialize(value)

    def _serialize(self, value: Any) -> Any:
        return value

    def _deserialize(self, value: Any) -> Any:
        return value


class Duration(Field):
    """A timedelta, as a whole number of a unit."""

    UNITS = ("days", "hours", "minutes", "seconds", "milliseconds", "microseconds")

    def __init__(self, unit: str = "seconds", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if unit not in self.UNITS:
            raise ValueError(f"unknown unit {unit!r}")
        self.unit = unit

    def _serialize(self, value: timedelta) -> int:
        one = timedelta(**{self.unit: 1})
        amount = value.total_seconds() / one.total_seconds()
        return int(amount)

    def _deserialize(self, value: Any) -> timedelta:
        try:
            return timedelta(**{self.unit: int(value)})
        except (TypeError, ValueError, OverflowError) as error:
            raise ValidationError("not a valid period of time") from error


class Nested(Field):
    """A mapping of fields."""

    def __init__(self, fields: dict[str, Field], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fields = fields

    def _serialize(self, value: dict[str, Any]) -> dict[str, Any]:
        return {name: f.serialize(value[name]) for name, f in self.fields.items() if name in value}

    def _deserialize(self, value: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name, f in self.fields.items() if f.required and name not in value]
        if missing:
            raise ValidationError(f"missing: {', '.join(missing)}")
        return {name: self.fields[name].deserialize(item) for name, item in value.items()}
