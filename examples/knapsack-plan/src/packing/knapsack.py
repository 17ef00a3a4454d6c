"""Exact solutions of small packing problems by dynamic programming."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Parcel:
    name: str
    weight: int
    value: int

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"parcel {self.name!r} must weigh something")


def best_value(parcels: Sequence[Parcel], capacity: int) -> int:
    """The highest value that fits, each parcel taken at most once."""
    best = [0] * (capacity + 1)
    for parcel in parcels:
        for room in range(capacity, parcel.weight - 1, -1):
            best[room] = max(best[room], best[room - parcel.weight] + parcel.value)
    return best[capacity]


def best_selection(parcels: Sequence[Parcel], capacity: int) -> list[Parcel]:
    """One selection of the highest value, in the order given."""
    table = [[0] * (capacity + 1)]
    for parcel in parcels:
        previous = table[-1]
        row = previous.copy()
        for room in range(parcel.weight, capacity + 1):
            row[room] = max(previous[room], previous[room - parcel.weight] + parcel.value)
        table.append(row)
    chosen = []
    room = capacity
    for index in range(len(parcels), 0, -1):
        if table[index][room] != table[index - 1][room]:
            chosen.append(parcels[index - 1])
            room -= parcels[index - 1].value
    chosen.reverse()
    return chosen


def fewest_boxes(weights: Sequence[int], box: int) -> int:
    """The number of boxes that first-fit-decreasing needs; at most 11/9 of the optimum + 1."""
    free: list[int] = []
    for weight in sorted(weights, reverse=True):
        if weight > box:
            raise ValueError(f"{weight} does not fit into a box of {box}")
        for number, room in enumerate(free):
            if weight <= room:
                free[number] -= weight
                break
        else:
            free.append(box - weight)
    return len(free)
