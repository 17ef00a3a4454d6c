"""`config show` and `config check`, which start nothing."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.surroundings import surroundings

EXECUTABLE = Path(sys.executable).parent / "fixwurx-celery"


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [EXECUTABLE, "config", *arguments],
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_passwords_are_hidden_and_origins_told() -> None:
    shown = run("show", "--json", FIXWURX_REDIS_URL="redis://me:secret@db:6379/2")

    by_name = {row["variable"]: row for row in json.loads(shown.stdout)}

    assert "secret" not in shown.stdout + shown.stderr
    assert by_name["FIXWURX_REDIS_URL"]["value"] == "redis://me:***@db:6379/2"
    assert by_name["FIXWURX_REDIS_URL"]["from"] == "environment"
    assert by_name["FIXWURX_TOTAL_AGENTS"]["from"] == "default"
    assert by_name["FIXWURX_TOTAL_AGENTS"]["value"] == "9"
    assert all(row["meaning"] for row in by_name.values())


def test_all_problems_are_told_at_once() -> None:
    checked = run(
        "check", "--json",
        FIXWURX_STRATEGY="BEST", FIXWURX_MIN_WORKERS="9", FIXWURX_LEASE_SEC="x",
        FIXWURX_HEARTBEAT_INTERVAL_SEC="9", FIXWURX_TOTAL_AGENT="4",
    )  # fmt: skip

    said = json.loads(checked.stdout)

    assert checked.returncode == 2
    assert not said["ok"]
    for name in ("STRATEGY", "MIN_WORKERS", "LEASE_SEC", "HEARTBEAT_TIMEOUT_SEC"):
        assert any(f"FIXWURX_{name}" in line for line in said["problems"]), name
    assert said["warnings"] == [
        "FIXWURX_TOTAL_AGENT is no setting of ours; did you mean FIXWURX_TOTAL_AGENTS?"
    ]


def test_good_settings_pass_and_nothing_is_connected_to() -> None:
    checked = run("check", FIXWURX_REDIS_URL="redis://127.0.0.1:1/0")

    assert checked.returncode == 0
    assert checked.stdout.startswith("OK")


def test_variables_of_options_are_known() -> None:
    checked = run("check", "--json", FIXWURX_BUG_LIMIT="5", FIXWURX_DEBUG="1")

    warned = " ".join(json.loads(checked.stdout)["warnings"])

    assert "BUG_LIMIT" not in warned
    assert "DEBUG" not in warned


def test_connecting_is_tried_when_asked_for() -> None:
    checked = run(
        "check", "--connect",
        FIXWURX_REDIS_URL="redis://127.0.0.1:1/0", FIXWURX_BROKER_URL="amqp://127.0.0.1:1//",
    )  # fmt: skip

    assert checked.returncode == 3
    assert "store at redis://127.0.0.1:1/0" in checked.stdout
    assert "broker at amqp://127.0.0.1:1//" in checked.stdout
