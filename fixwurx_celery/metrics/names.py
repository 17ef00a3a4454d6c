"""Names that Prometheus takes, made of any that a program gives to its metrics and tags."""

import re
from collections.abc import Container
from itertools import count
from typing import Final

__all__ = ["free_name", "is_total", "label_name", "label_value", "metric_name"]

ODD = re.compile(r"[^a-zA-Z0-9_]")
"""Also the colon, which is for names of recording rules."""
LONGEST: Final = 200


def metric_name(name: str) -> str:
    """`triangulum.tick_count` as `triangulum_tick_count`."""
    legal = ODD.sub("_", name)[:LONGEST]
    return f"_{legal}" if legal[0].isdigit() else legal


def is_total(name: str) -> bool:
    """Whether it says that its values only rise: `bugs.total`."""
    return metric_name(name).endswith("_total")


def label_name(name: str) -> str:
    """As of a metric; two underscores at the beginning would make it Prometheus' own."""
    legal = metric_name(name)
    return f"_{legal.lstrip('_')}" if legal.startswith("__") else legal


def label_value(value: object) -> str:
    """Any value as a text that can be written in UTF-8, of bounded length."""
    return str(value)[:LONGEST].encode("utf-8", "replace").decode("utf-8")


def free_name(legal: str, taken: Container[str]) -> str:
    """The legal name, or where another has become that already, the next that is free: `a_b_2`."""
    stem = legal.removesuffix("_total")
    names = (f"{stem}_{number}{legal.removeprefix(stem)}" for number in count(2))
    return legal if legal not in taken else next(name for name in names if name not in taken)
