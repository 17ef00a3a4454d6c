"""The agents of one process."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixwurx_celery.cluster import ResourceManager


def test_nine_agents_take_three_bugs() -> None:
    manager = ResourceManager(total_agents=9)

    taken = [manager.allocate(f"BUG-{i}") for i in range(4)]

    assert taken == [True, True, True, False]
    assert not manager.can_allocate()
    assert manager.free == 0


def test_allocating_twice_takes_once_and_freeing_twice_frees_once() -> None:
    manager = ResourceManager()

    assert manager.allocate("BUG-1")
    assert manager.allocate("BUG-1")
    assert manager.free == 6
    assert manager.free_agents("BUG-1")
    assert not manager.free_agents("BUG-1")
    assert manager.free == 9


def test_a_lower_total_keeps_what_is_held() -> None:
    manager = ResourceManager()
    manager.allocate("BUG-1")

    manager.update_total_agents(2)

    assert manager.has("BUG-1")
    assert manager.free == 0
    assert not manager.can_allocate()
    assert manager.get_allocation_status() == {
        "total_agents": 2, "free_agents": 0, "active_bugs": ["BUG-1"],
    }  # fmt: skip


@pytest.mark.parametrize("total", [-1, -9])
def test_a_negative_total_is_refused(total: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        ResourceManager(total)
    with pytest.raises(ValueError, match="must not be negative"):
        ResourceManager().update_total_agents(total)


@given(
    st.lists(
        st.tuples(st.sampled_from(["allocate", "free_agents"]), st.sampled_from("abcdefgh")),
        max_size=40,
    ),
    st.integers(0, 30),
)
def test_free_and_held_always_add_up(calls: list[tuple[str, str]], total: int) -> None:
    manager = ResourceManager(total)
    for name, bug in calls:
        getattr(manager, name)(bug)

        held = manager.get_allocation_status()["active_bugs"]
        assert manager.free == total - 3 * len(held)
        assert manager.free >= 0
        assert all(manager.has(bug) for bug in held)


def test_threads_never_take_more_than_there_is() -> None:
    manager = ResourceManager(30)
    taken: list[str] = []

    def take(name: str) -> None:
        taken.extend(f"{name}-{i}" for i in range(20) if manager.allocate(f"{name}-{i}"))

    threads = [threading.Thread(target=take, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert len(taken) == 10
    assert manager.free == 0
