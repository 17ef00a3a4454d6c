# Modelled on tqdm: a bar over nothing, with a total of zero, was treated like one of unknown total.
import pytest

from meter import Meter, format_bar, format_interval


def test_interval():
    assert format_interval(59.9) == "00:59"
    assert format_interval(3661) == "1:01:01"


def test_bar():
    assert format_bar(0.5, 4) == "##  "
    assert format_bar(1.0, 4) == "####"
    assert len(format_bar(0.33, 7)) == 7


def test_counts():
    meter = Meter([1, 2, 3])
    assert list(meter) == [1, 2, 3]
    assert meter.render(61) == "100%|##########| 3/3 [01:01]"


def test_something_is_true():
    assert bool(Meter([0]))
    assert bool(Meter(total=3))


def test_empty_sequence_is_false():
    assert not bool(Meter([]))


def test_total_of_zero_is_false():
    assert not bool(Meter(total=0))


def test_generator_is_true():
    assert bool(Meter(x for x in "ab"))


def test_nothing_at_all():
    with pytest.raises(TypeError):
        bool(Meter())


def test_unknown_total():
    assert Meter(x for x in "ab").render(5) == "0it [00:05]"
    with pytest.raises(TypeError):
        len(Meter(x for x in "ab"))
