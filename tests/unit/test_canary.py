"""A node's bells for itself: what shows that its consumer is deaf, and what does not."""

import time
from collections.abc import Callable

from fixwurx_celery.worker.recycling import Canary

Rung = Callable[[float | None], None]
Orders = list[Rung]


def ring(canary: Canary, orders: Orders, is_taken: bool = True) -> None:
    def order(rung: Rung) -> bool:
        if is_taken:
            orders.append(rung)
        return is_taken

    canary.ring(order)


def lose_one(canary: Canary, at: float | None = 1.0) -> None:
    orders: Orders = []
    ring(canary, orders)
    orders.pop()(at)


def test_two_bells_in_a_row_that_the_broker_took_and_nobody_heard_say_that_a_node_is_deaf() -> None:
    canary = Canary(patience_s=0.0)

    lose_one(canary)
    assert not canary.is_lost()
    lose_one(canary)
    assert canary.is_lost()


def test_a_bell_that_is_heard_before_its_sender_knows_that_it_was_sent_is_heard() -> None:
    canary = Canary(patience_s=0.0)
    lose_one(canary)
    orders: Orders = []
    ring(canary, orders)

    canary.received()
    orders.pop()(2.0)

    assert not canary.is_lost()


def test_what_was_heard_in_between_begins_the_count_anew() -> None:
    canary = Canary(patience_s=0.0)
    lose_one(canary)
    canary.received()

    lose_one(canary, at=time.monotonic())

    assert not canary.is_lost()


def test_a_broker_that_takes_nothing_says_nothing_about_the_consumer() -> None:
    canary = Canary(patience_s=0.0)

    for _ in range(5):
        lose_one(canary, at=None)

    assert not canary.is_lost()


def test_one_bell_is_rung_at_a_time() -> None:
    canary = Canary(patience_s=60.0)
    orders: Orders = []

    for _ in range(5):
        ring(canary, orders)
    assert len(orders) == 1
    orders.pop()(1e9)
    ring(canary, orders)
    assert not orders, "the last one is still awaited"


def test_an_order_that_was_not_taken_is_given_again() -> None:
    canary = Canary()
    orders: Orders = []
    ring(canary, orders, is_taken=False)

    ring(canary, orders)

    assert len(orders) == 1


def test_a_consumer_that_took_something_just_now_is_not_rung() -> None:
    canary = Canary(patience_s=60.0)
    orders: Orders = []
    canary.received()

    ring(canary, orders)

    assert not orders
