"""What a store's URL says, and how it may be shown; and where something of ours listens."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote, unquote, urlsplit

__all__ = [
    "HIDDEN",
    "SENTINEL_SCHEME",
    "ListenAddress",
    "SentinelAddress",
    "hide_passwords",
    "is_sentinel",
    "without_password",
]

HIDDEN: Final = "(not a URL; hidden)"
SENTINEL_SCHEME: Final = "redis+sentinel"
SENTINEL_PORT: Final = 26379
OPTIONS: Final = ("sentinel_password",)
WRITTEN: Final = "write redis+sentinel://[user:password@]host:26379,host2:26379/mastername[/db]"

HOST = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]\s]+))(?::(?P<port>\d{1,5}))?")
AUTHORITY = re.compile(r"([^/?#]*)(.*)", re.DOTALL)
PASSWORD_OPTION = re.compile(r"(?<=[?&])([^=&#\s]*password)=[^&#\s]*", re.IGNORECASE)
PASSWORD = re.compile(r"(://[^\s:/@]*):\S*@")
TOKEN = re.compile(r"://[^\s:/@]+@")
NEXT_URL = re.compile(r";(?=[a-z+]+://)")


def is_sentinel(url: str) -> bool:
    """Whether the URL names sentinels rather than a server."""
    return url.startswith(f"{SENTINEL_SCHEME}://")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host, by name or number, and a port of ours; port 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """The address that is written host:port. Raises ValueError, whose text goes on from it."""
        found = HOST.fullmatch(text)
        if not found or not found["port"] or int(found["port"]) > 65535:
            raise ValueError("must be host:port, for example 127.0.0.1:9464 or [::1]:9464")
        return cls(found["v6"] or found["name"], int(found["port"]))

    @property
    def is_local(self) -> bool:
        """Whether nobody on another host can come here."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAddress:
    """Where sentinels are, and what the store that they watch over is called.

    User and password are those of the store; the sentinels' own password is an option of the URL.
    """

    sentinels: tuple[tuple[str, int], ...]
    master: str
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "SentinelAddress":
        """The address that a `redis+sentinel://` URL names.

        Raises ValueError, whose text goes on from the URL and shows no password.
        """
        whole = url.removeprefix(f"{SENTINEL_SCHEME}://").partition("#")[0]
        rest, _, query = whole.partition("?")
        authority, _, path = rest.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        username, _, password = credentials.partition(":")
        master, _, db = path.partition("/")
        if not master:
            raise ValueError(f"names no master; {WRITTEN}")
        if db and not db.isdecimal():
            raise ValueError(f"names the database {db!r}, which must be a whole number")
        options = _options(query)
        return cls(
            sentinels=tuple(_sentinels(hosts)),
            master=unquote(master),
            db=int(db or 0),
            username=unquote(username) or None,
            password=unquote(password) or None,
            sentinel_password=options.get("sentinel_password") or None,
        )

    def urls_for_celery(self) -> str:
        """The broker URL as Celery writes it; the name of the master is a transport option there.

        Each sentinel carries user, password and database: Celery takes those of the one it is at.
        """
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        credentials = f"{quote(self.username or '', safe='')}{secret}@" if secret else ""
        return ";".join(
            f"sentinel://{credentials}{f'[{host}]' if ':' in host else host}:{port}/{self.db}"
            for host, port in self.sentinels
        )


def _sentinels(hosts: str) -> Iterator[tuple[str, int]]:
    for text in hosts.split(","):
        found = HOST.fullmatch(text.strip())
        if not found:
            raise ValueError(
                f"names the sentinel {text.strip()!r}, which is no host:port; {WRITTEN}"
            )
        port = int(found["port"] or SENTINEL_PORT)
        if not 0 < port < 65536:
            raise ValueError(f"names the sentinel {text.strip()!r}, whose port is none")
        yield unquote(found["v6"] or found["name"]), port


def _options(query: str) -> dict[str, str]:
    pairs = (option.partition("=") for option in query.split("&") if option)
    options = {name: unquote(value) for name, _, value in pairs}  # a + is a +, in a password
    for name in options.keys() - set(OPTIONS):
        near = get_close_matches(name, OPTIONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there is only {', '.join(OPTIONS)}"
        raise ValueError(f"has the option {name!r}, which is none{hint}")
    return options


def hide_passwords(text: str) -> str:
    """Any text, without what stands in it where URLs have a password or a token."""
    if "://" not in text:
        return text
    text = TOKEN.sub("://***@", PASSWORD.sub(r"\1:***@", text))
    return PASSWORD_OPTION.sub(r"\1=***", text)


def without_password(url: str) -> str:
    """The URL as it may be shown: `redis://user:***@host/0`. Also of Celery's lists of brokers."""
    return ";".join(_shown(part) for part in NEXT_URL.split(url))


def _shown(url: str) -> str:
    scheme, is_url, rest = url.partition("://")
    parts = AUTHORITY.fullmatch(rest)
    if not is_url or not parts:
        return url
    authority, tail = parts.groups()
    credentials, at, hosts = authority.rpartition("@")
    username, has_password, _ = credentials.partition(":")
    try:
        for host in hosts.split(","):
            urlsplit(f"{scheme}://{host}")
    except ValueError:
        return HIDDEN
    if not at and ":" in hosts and "@" in tail:  # a password with an unquoted / ? or # in it
        return HIDDEN
    secret = ":***" if has_password else ""
    tail = PASSWORD_OPTION.sub(r"\1=***", tail)
    return f"{scheme}://{username}{secret}{at}{hosts}{tail}"
