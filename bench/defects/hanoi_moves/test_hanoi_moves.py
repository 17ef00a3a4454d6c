import pytest
from hanoi_moves import hanoi


def play(disks):
    pegs = {"A": list(range(disks, 0, -1)), "B": [], "C": []}
    for source, target in hanoi(disks):
        disk = pegs[source].pop()
        assert not pegs[target] or pegs[target][-1] > disk
        pegs[target].append(disk)
    return pegs


def test_none():
    assert hanoi(0) == []


def test_one():
    assert hanoi(1) == [("A", "C")]


def test_two():
    assert hanoi(2) == [("A", "B"), ("A", "C"), ("B", "C")]


@pytest.mark.parametrize("disks", [3, 4, 6])
def test_moves_the_tower(disks):
    assert play(disks)["C"] == list(range(disks, 0, -1))
    assert len(hanoi(disks)) == 2**disks - 1
