"""What a provider tells of a node: the end of its log, without passwords."""

from datetime import UTC, datetime, timedelta

import pytest

from fixwurx_celery.providers.telling import age_s, log_tail, passwords_of, server_time
from fixwurx_celery.settings import Settings


def test_passwords_are_found_in_every_url_as_written_and_as_meant() -> None:
    settings = Settings(
        redis_url="redis://:s%40cret@host:6379/0",
        broker_url="redis+sentinel://u:pass@h:1/m?sentinel_password=other",
    )

    assert passwords_of(settings) == {"s%40cret", "s@cret", "pass", "other"}


def test_settings_without_passwords_have_none() -> None:
    assert passwords_of(Settings(redis_url="redis://host")) == frozenset()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("cannot reach redis://:s@cret@host:6379/0", "cannot reach redis://:***@host:6379/0"),
        ("AUTH hunter2 failed", "AUTH *** failed"),
        ("amqp://me:other@host//", "amqp://me:***@host//"),
        ("x://h/m?sentinel_password=abc&b=1", "x://h/m?sentinel_password=***&b=1"),
        ("see https://host/page", "see https://host/page"),
    ],
)
def test_passwords_are_hidden_whether_known_or_only_looking_like_one(line: str, shown: str) -> None:
    assert log_tail(line, {"hunter2"}) == shown


def test_a_log_is_cut_to_its_end() -> None:
    tail = log_tail("\n".join(f"line {n} " + "x" * 200 for n in range(1000)), ())

    assert len(tail) <= 2000
    assert "line 999" in tail
    assert "line 900" not in tail


def test_colours_and_control_characters_do_not_reach_a_terminal() -> None:
    assert log_tail("\x1b[31mred\x1b[0m\x07\n\n\nnext", ()) == "red\nnext"


def test_ages_are_by_the_servers_clock() -> None:
    then = server_time("Tue, 24 Nov 2026 10:00:00 GMT")

    assert then == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert age_s(then - timedelta(seconds=90), then) == 90
    assert age_s(then + timedelta(seconds=0.4), then) == 0


def test_a_server_that_does_not_tell_the_time_is_on_ours() -> None:
    assert abs((server_time(None) - datetime.now(UTC)).total_seconds()) < 5
