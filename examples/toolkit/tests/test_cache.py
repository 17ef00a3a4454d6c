import pytest

from toolkit.cache.bloom import BloomFilter
from toolkit.cache.lfu import LFU
from toolkit.cache.lru import LRU
from toolkit.cache.memo import memoized


def test_lru_forgets_the_least_recent():
    cache = LRU(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.keys() == ["a", "c"]
    assert cache.get("b", "gone") == "gone"


def test_lru_counts():
    cache = LRU(1)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 1)


@pytest.mark.parametrize("size", [0, -3])
def test_lru_size(size):
    with pytest.raises(ValueError, match="size"):
        LRU(size)


def test_lfu_forgets_the_least_used():
    cache = LFU(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.keys() == {"a", "c"}


def test_lfu_replaces_in_place():
    cache = LFU(1)
    cache.put("a", 1)
    cache.put("a", 2)
    assert cache.get("a") == 2
    assert cache.get("z", 0) == 0


def test_memo_calls_once():
    calls = []

    @memoized()
    def add(a, b=0):
        calls.append((a, b))
        return a + b

    assert add(1, b=2) == add(1, b=2) == 3
    assert calls == [(1, 2)]
    assert add.__name__ == "add"


def test_memo_remembers_nothing_too():
    calls = []

    @memoized(2)
    def nothing(x):
        calls.append(x)

    assert nothing(1) is nothing(1) is None
    assert calls == [1]


def test_bloom_never_forgets():
    bloom = BloomFilter(500)
    names = [f"name-{i}" for i in range(500)]
    for name in names:
        bloom.add(name)
    assert all(name in bloom for name in names)


def test_bloom_rarely_errs():
    bloom = BloomFilter(500, error=0.01)
    for i in range(500):
        bloom.add(f"name-{i}")
    assert sum(f"other-{i}" in bloom for i in range(1000)) < 40


@pytest.mark.parametrize("error", [0, 1, 2])
def test_bloom_error(error):
    with pytest.raises(ValueError, match="error"):
        BloomFilter(10, error)
