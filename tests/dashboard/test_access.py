"""Who may reach Flower, as pure functions of what it was told."""

from types import SimpleNamespace
from typing import Any

import click
import pytest

from fixwurx_celery.dashboard.access import is_name_of_this_host, refuse_open_door


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
