"""A repository behind a password: it is used, and shown to nobody."""

import base64
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixwurx_celery.engine.base import JSON
from tests.support.engine_repos import CHECK, GCD_FIX, engine, gcd_repo, git_repo, run


@dataclass(slots=True)
class Server:
    """Serves repositories over HTTP to whoever has the password."""

    address: str
    commit: str
    asked: list[str] = field(default_factory=list)
    arguments: set[str] = field(default_factory=set)
    """Of every process of this host, at every request."""


@pytest.fixture(params=["us:se%20cret", "token-alone"])
def credentials(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(tmp_path: Path, credentials: str) -> Iterator[Server]:
    work = gcd_repo(tmp_path / "work")
    commit = git_repo(work)
    served = tmp_path / "served"
    bare = str(served / "r.git")
    subprocess.run(["git", "clone", "-q", "--bare", str(work), bare], check=True)
    subprocess.run(["git", "-C", bare, "update-server-info"], check=True)
    wanted = credentials.replace("%20", " ")
    wanted += "" if ":" in wanted else ":"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    told.arguments.add(file.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
            expected = f"Basic {base64.b64encode(wanted.encode()).decode()}"
            if self.headers.get("Authorization") == expected:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="repositories"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(served))
    ) as listening:
        told = Server(f"127.0.0.1:{listening.server_port}/r.git", commit)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


def attempt(tmp_path: Path, url: str, ref: str) -> dict[str, JSON]:
    payload: dict[str, JSON] = {
        "source": {"git": url, "ref": ref},
        "reproduce": CHECK,
        "analyst": {"patches": [GCD_FIX]},
    }
    return run(engine(payload, tmp_path / "w"))


def test_a_password_is_used_and_in_no_process_list(
    tmp_path: Path, server: Server, credentials: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = attempt(tmp_path, f"http://{credentials}@{server.address}", server.commit)

    assert found["outcome"] == "FIXED", capfd.readouterr()
    assert any("git-remote-http" in line or "remote-http" in line for line in server.arguments)
    secret = credentials.partition(":")[2] or credentials
    for shown in (secret, secret.replace("%20", " ")):
        assert not [line for line in server.arguments if shown in line]


@pytest.mark.parametrize("ref", ["main", "v1"])
def test_a_server_that_knows_no_part_of_a_history_has_branches_and_tags(
    tmp_path: Path, server: Server, credentials: str, ref: str
) -> None:
    bare = ["git", "-C", str(tmp_path / "served/r.git")]
    for command in (["branch", "-f", "main", server.commit], ["tag", "v1", server.commit],
                    ["update-server-info"]):  # fmt: skip
        subprocess.run([*bare, *command], check=True, capture_output=True)

    found = attempt(tmp_path, f"http://{credentials}@{server.address}", ref)

    assert found["outcome"] == "FIXED", found


def test_a_wrong_password_is_not_told(tmp_path: Path, server: Server) -> None:
    found = attempt(tmp_path, f"http://u:wr0ng@{server.address}", server.commit)

    assert found["outcome"] == "ERROR"
    assert "wr0ng" not in str(found)
    assert f"http://***@{server.address}" in str(found["reason"])
