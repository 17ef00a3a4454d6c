import os

import pytest

from pool.pool import Pool, TaskFailed


def square(number):
    return number * number


def pid_of(_):
    return os.getpid()


def test_results_come_in_order():
    with Pool(square, 3) as pool:
        assert pool.map(range(20)) == [n * n for n in range(20)]


def test_used_twice():
    with Pool(square, 2) as pool:
        assert pool.map([1]) == [1]
        assert pool.map([2, 3]) == [4, 9]


def test_work_is_done_in_children():
    with Pool(pid_of, 2) as pool:
        assert os.getpid() not in pool.map(range(6))


def test_nothing_to_do():
    with Pool(square, 2) as pool:
        assert pool.map([]) == []


def test_failure_is_told():
    with Pool(square, 2) as pool, pytest.raises(TaskFailed, match="TypeError"):
        pool.map(["x", "y"])


def test_size_is_checked():
    with pytest.raises(ValueError, match="at least one"):
        Pool(square, 0)
