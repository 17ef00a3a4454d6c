"""Hosts of their own network, on this machine: namespaces joined by a switch, whose cables can be
pulled. Needs root and `ip`."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class NoHosts(Exception):
    """This machine or this user cannot have network namespaces."""


def ip(*arguments: str) -> None:
    """Runs `ip`, and fails with what it says."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoHosts(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class Host:
    """One namespace with an address."""

    name: str
    switch: str
    number: int

    @property
    def address(self) -> str:
        return f"10.77.0.{10 + self.number}"

    @property
    def command(self) -> list[str]:
        """What to put before a command, so that it runs on this host."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Pulls its cable: what is sent is lost, in silence."""
        ip("-n", self.switch, "link", "set", f"v{self.number}", "down")

    def heal(self) -> None:
        """Plugs it in again."""
        ip("-n", self.switch, "link", "set", f"v{self.number}", "up")


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts on one switch; gone at the end. Raises NoHosts."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoHosts("network namespaces need root and `ip` (apt install iproute2)")
    mark = secrets.token_hex(3)
    switch = f"fx{mark}s"
    made: list[str] = []
    try:
        ip("netns", "add", switch)
        made.append(switch)
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        found = []
        for number in range(1, count + 1):
            host = Host(f"fx{mark}h{number}", switch, number)
            ip("netns", "add", host.name)
            made.append(host.name)
            ip("link", "add", f"v{number}", "netns", switch, "type", "veth",
               "peer", "name", "eth0", "netns", host.name)  # fmt: skip
            ip("-n", switch, "link", "set", f"v{number}", "master", "br0", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.name, "link", "set", "eth0", "up")
            ip("-n", host.name, "link", "set", "lo", "up")
            found.append(host)
        yield found
    finally:
        for name in reversed(made):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
