# Modelled on cachetools' TTLCache: an item was still served at the very instant of its expiry.
import pytest

from ttlcache import TTLCache


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_item_is_there_before_it_expires(clock):
    cache = TTLCache(2, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 9.5
    assert cache["a"] == 1
    assert len(cache) == 1


def test_item_is_gone_at_its_expiry(clock):
    cache = TTLCache(2, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 10
    assert "a" not in cache
    assert len(cache) == 0


def test_zero_ttl_stores_nothing(clock):
    cache = TTLCache(2, ttl=0, timer=clock)
    cache["a"] = 1
    assert list(cache) == []


def test_expire_counts(clock):
    cache = TTLCache(5, ttl=3, timer=clock)
    cache["a"] = 1
    clock.now = 1
    cache["b"] = 2
    clock.now = 3
    assert cache.expire() == 1
    assert list(cache) == ["b"]


def test_least_recently_used_goes_first(clock):
    cache = TTLCache(2, ttl=10, timer=clock)
    cache["a"], cache["b"] = 1, 2
    assert cache["a"] == 1
    cache["c"] = 3
    assert sorted(cache) == ["a", "c"]


def test_setting_again_renews(clock):
    cache = TTLCache(2, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 6
    cache["a"] = 2
    clock.now = 12
    assert cache["a"] == 2


def test_maxsize_is_checked():
    with pytest.raises(ValueError, match="maxsize"):
        TTLCache(0, ttl=1)
