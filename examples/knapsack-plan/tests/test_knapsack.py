import pytest

from packing.knapsack import Parcel, best_selection, best_value, fewest_boxes

PARCELS = [Parcel("tent", 5, 10), Parcel("stove", 4, 40), Parcel("rope", 6, 30), Parcel("lamp", 3, 50)]


@pytest.mark.parametrize(("capacity", "value"), [(0, 0), (3, 50), (7, 90), (10, 90), (13, 120), (18, 130)])
def test_best_value(capacity, value):
    assert best_value(PARCELS, capacity) == value


@pytest.mark.parametrize("capacity", range(20))
def test_selection_reaches_the_best_value(capacity):
    chosen = best_selection(PARCELS, capacity)
    assert sum(p.value for p in chosen) == best_value(PARCELS, capacity)
    assert sum(p.weight for p in chosen) <= capacity


def test_selection_keeps_the_order():
    names = [p.name for p in best_selection(PARCELS, 13)]
    assert names == ["stove", "rope", "lamp"]


def test_nothing_to_pack():
    assert best_selection([], 5) == []


def test_weightless_parcel_is_refused():
    with pytest.raises(ValueError, match="weigh something"):
        Parcel("air", 0, 1)


def test_boxes():
    assert fewest_boxes([4, 8, 1, 4, 2, 1], 10) == 2
    assert fewest_boxes([], 10) == 0
    with pytest.raises(ValueError, match="does not fit"):
        fewest_boxes([11], 10)
