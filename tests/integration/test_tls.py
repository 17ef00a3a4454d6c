"""The store over TLS: one URL says everything to store, broker, artifacts and Flower."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.broker import make_app
from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.settings import Settings
from tests.support.controllers import command
from tests.support.flower import flower
from tests.support.processes import nodes
from tests.support.server import end_with_parent, free_port
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that is reached over TLS alone, and the authority that vouches for it."""

    url: str
    authority: Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certify(folder: Path) -> None:
    """An authority of the test's own, and a certificate for localhost."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
            "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.csr")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("x509", "-req", "-days", "2", "-in", f"{folder}/server.csr", "-CA", f"{folder}/ca.pem",
            "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-extfile", f"{folder}/names",
            "-out", f"{folder}/server.pem")  # fmt: skip


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None or shutil.which("openssl") is None:
        pytest.skip("needs a server that speaks TLS, and openssl: apt install redis-server openssl")
    certify(tmp_path)
    port, password = free_port(), secrets.token_hex(16)
    server = subprocess.Popen(
        [binary, "--port", "0", "--tls-port", str(port), "--save", "",
         "--bind", "127.0.0.1", "127.0.0.2", "--requirepass", password, "--dir", str(tmp_path),
         "--tls-auth-clients", "no",
         "--tls-cert-file", f"{tmp_path}/server.pem", "--tls-key-file", f"{tmp_path}/server.key",
         "--tls-ca-cert-file", f"{tmp_path}/ca.pem"],
        stdout=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )  # fmt: skip
    yield Secured(f"rediss://:{password}@localhost:{port}/0", tmp_path / "ca.pem")
    server.kill()
    server.wait(timeout=10)


def test_a_bug_runs_over_tls_and_its_patch_is_kept(secured: Secured, tmp_path: Path) -> None:
    settings = Settings(
        redis_url=f"{secured.url}?ssl_ca_certs={secured.authority}",
        engine="tests.support.engines:Scripted",
        work_dir=str(tmp_path / "work"),
        total_agents=3,
    )
    with Connection(settings) as connection:
        wait_until("the store answers", lambda: answers(connection))
        with nodes(settings, connection.store, tmp_path, "n1@here"):
            patch = "x" * 100_000
            payload = {"steps": [{}], "outcome": {"outcome": "FIXED", "patch": patch}}
            manager = ClusterResourceManager(connection=connection)
            outcome = manager.enqueue(Bug(id="a", payload=payload)).wait(timeout=30)

    assert outcome["outcome"] == "FIXED"
    assert open_artifacts(settings).get(outcome["patch_artifact"]) == patch.encode()


def answers(connection: Connection) -> bool:
    try:
        return bool(connection.store.ping())
    except StoreUnavailable:
        return False


def test_a_server_that_nobody_vouches_for_is_refused_by_store_and_broker(secured: Secured) -> None:
    settings = Settings(redis_url=secured.url)

    with (
        Connection(settings) as connection,
        pytest.raises(StoreUnavailable, match="certificate verify failed"),
    ):
        connection.store.ping()
    with pytest.raises(Exception, match="certificate verify failed"):
        make_app(settings).connection_for_write().ensure_connection(max_retries=1)


def test_flower_and_the_command_line_follow_from_the_same_address(
    secured: Secured, tmp_path: Path
) -> None:
    settings = Settings(redis_url=f"{secured.url}?ssl_ca_certs={secured.authority}")
    with (
        Connection(settings) as connection,
        flower(settings, tmp_path, login="me:password") as page,
    ):
        wait_until("the store answers", lambda: answers(connection))
        found = {path: page.ask(path).status for path in ("/cluster", "/healthcheck", "/broker")}
        picture = page.picture()
        said = subprocess.run(
            command("doctor", "--json"), env=environment(settings), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    assert found == {"/cluster": 200, "/healthcheck": 200, "/broker": 200}
    assert picture
    told = {entry["what"]: entry["level"] for entry in json.loads(said.stdout)}
    assert (told["store"], told["broker"]) == ("OK", "OK")


def test_flower_and_the_command_line_refuse_a_server_that_nobody_vouches_for(
    secured: Secured, tmp_path: Path
) -> None:
    settings = Settings(redis_url=secured.url)
    with flower(settings, tmp_path, login="me:password") as page:
        health = page.ask("/healthcheck")
        said = subprocess.run(
            command("doctor"), env=environment(settings), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    assert health.status == 503
    assert "certificate verify failed" in health.text
    assert said.returncode == 3
    assert "certificate verify failed" in said.stdout


def test_a_certificate_for_another_host_is_refused(secured: Secured) -> None:
    # It names localhost and 127.0.0.1; this is the same server by a name that it does not have.
    url = secured.url.replace("@localhost:", "@127.0.0.2:")
    settings = Settings(redis_url=f"{url}?ssl_ca_certs={secured.authority}")
    with (
        Connection(settings) as connection,
        pytest.raises(StoreUnavailable, match="certificate verify failed"),
    ):
        connection.store.ping()
    with pytest.raises(Exception, match="certificate verify failed"):
        make_app(settings).connection_for_write().ensure_connection(max_retries=1)
