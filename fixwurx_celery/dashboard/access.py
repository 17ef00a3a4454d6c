"""Who may see and do what: nothing is open to a network without a login."""

import socket
from ipaddress import ip_address
from typing import Any

import click

__all__ = ["answers_to", "has_login", "is_name_of_this_host", "refuse_open_door"]


def has_login(options: Any) -> bool:
    """Whether Flower asks who it speaks to."""
    return bool(options.basic_auth or options.auth)


def refuse_open_door(options: Any) -> None:
    """Raises UsageError when others than this host could reach a Flower that has no login, or one
    that keeps out nobody."""
    if not all(map(_keeps_out, options.basic_auth or ())):
        raise click.UsageError(
            "--basic_auth (FLOWER_BASIC_AUTH) must be NAME:PASSWORD, both of ASCII characters and "
            "neither empty; several with commas between them. What is set to nothing would let "
            "everybody in: leave it out for no login"
        )
    if has_login(options) or options.unix_socket or _is_loopback(options.address):
        return
    where = options.address or "every address of this host"
    raise click.UsageError(
        f"Flower would listen on {where} without a login, and whoever reaches it could read logs "
        "and patches: give --basic_auth=NAME:PASSWORD (or --auth with an --auth_provider), or "
        "leave out --address, and it listens on 127.0.0.1 alone"
    )


def _keeps_out(login: str) -> bool:
    """Whether it takes knowing something to log in. Flower cannot compare what is not ASCII."""
    name, _, password = login.partition(":")
    return bool(name.strip() and password.strip()) and login.isascii()


def answers_to(options: Any, host: str) -> bool:
    """Whether who asks under this name may be answered. Without a login, a browser on this host
    could be made to read for other sites."""
    return bool(has_login(options) or options.unix_socket or is_name_of_this_host(host))


def _is_loopback(address: str) -> bool:
    """Whether all that the address stands for is this host alone. Empty stands for everything."""
    if not address:
        return False
    try:
        found = {info[4][0] for info in socket.getaddrinfo(address, None)}
    except OSError:
        return False
    return all(ip_address(str(one).partition("%")[0]).is_loopback for one in found)


def is_name_of_this_host(host: str) -> bool:
    """Whether a Host header names this host for itself. A web site can give its own name the
    address 127.0.0.1, but then it is that name which the browser sends."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.removeprefix("[").removesuffix("]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
