"""Who may reach Flower, as pure functions of what it was told."""

from types import SimpleNamespace
from typing import Any

import click
import pytest

from fixwurx_celery.dashboard.access import answers_to, is_name_of_this_host, refuse_open_door


def options(**given: Any) -> Any:
    defaults = {"address": "127.0.0.1", "basic_auth": [], "auth": "", "unix_socket": ""}
    return SimpleNamespace(**{**defaults, **given})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"address": "localhost"},
        {"address": "::1"},
        {"address": "127.8.8.8"},
        {"address": "", "basic_auth": ["me:secret"]},
        {"address": "0.0.0.0", "auth": ".*@example.com"},
        {"address": "", "unix_socket": "/run/flower.sock"},
    ],
)
def test_what_only_this_host_reaches_or_has_a_login_may_start(given: dict[str, Any]) -> None:
    refuse_open_door(options(**given))


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.0.2.7", "no-such-name.invalid"])
def test_an_open_door_is_refused_with_the_way_out(address: str) -> None:
    with pytest.raises(click.UsageError) as refusal:
        refuse_open_door(options(address=address))

    assert f"listen on {address or 'every address'}" in refusal.value.message
    assert "--basic_auth=NAME:PASSWORD" in refusal.value.message


@pytest.mark.parametrize("login", ["", " ", ":", "me", "me:", ":secret", "me: ", "mé:secret"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_login_that_keeps_out_nobody_is_refused(address: str, login: str) -> None:
    with pytest.raises(click.UsageError) as refusal:
        refuse_open_door(options(address=address, basic_auth=["you:word", login]))

    assert "must be NAME:PASSWORD" in refusal.value.message
    assert "word" not in refusal.value.message.lower().replace("password", "")


@pytest.mark.parametrize(
    ("given", "is_answered"),
    [({}, False), ({"basic_auth": ["a:b"]}, True), ({"auth": ".*"}, True),
     ({"unix_socket": "/run/flower.sock"}, True)],
)  # fmt: skip
def test_only_where_somebody_else_asks_for_a_login_any_name_is_answered(
    given: dict[str, Any], is_answered: bool
) -> None:
    assert answers_to(options(**given), "evil.example:5555") is is_answered
    assert answers_to(options(**given), "localhost:5555")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:5555", "a.localhost:1", "127.0.0.1:5555", "127.1.2.3", "[::1]:5555"],
)
def test_names_of_this_host(host: str) -> None:
    assert is_name_of_this_host(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:5555", "", ":1"],
)
def test_names_that_others_could_have_given_to_this_host(host: str) -> None:
    assert not is_name_of_this_host(host)
