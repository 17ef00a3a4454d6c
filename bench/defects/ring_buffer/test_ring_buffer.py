import pytest
from ring_buffer import RingBuffer


def test_in_and_out():
    buffer = RingBuffer(3)
    buffer.push(1)
    buffer.push(2)
    assert buffer.pop() == 1
    assert buffer.items() == [2]


def test_oldest_goes():
    buffer = RingBuffer(2)
    for item in "abc":
        buffer.push(item)
    assert buffer.items() == ["b", "c"]


def test_empty():
    with pytest.raises(IndexError):
        RingBuffer(1).pop()


def test_around_several_times():
    buffer = RingBuffer(3)
    out = []
    for item in range(10):
        buffer.push(item)
        out.append(buffer.pop())
    assert out == list(range(10))


def test_items_after_the_turn():
    buffer = RingBuffer(4)
    for item in range(6):
        buffer.push(item)
    assert [buffer.pop() for _ in range(3)] == [2, 3, 4]
    buffer.push(6)
    assert buffer.items() == [5, 6]
    assert buffer.start == 1


def test_full_pop_push():
    buffer = RingBuffer(2)
    buffer.push("a")
    buffer.push("b")
    assert [buffer.pop(), buffer.pop()] == ["a", "b"]
    buffer.push("c")
    buffer.push("d")
    assert buffer.pop() == "c"
