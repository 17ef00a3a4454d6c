"""Dockerfile, compose file and their like: what can be said of them without running them."""

import importlib.util
import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from fixwurx_celery.settings import Settings
from tests.support.surroundings import ROOT

DOCKER = ROOT / "docker"
CHART = DOCKER / "helm/fixwurx-celery"
VARIABLES = {field.metadata["env"] for field in fields(Settings)}
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order, each on one line."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)
    ]


def settings_of_compose() -> dict[str, str]:
    """What docker/cluster.env says."""
    lines = (DOCKER / "cluster.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize(
    "path",
    [
        DOCKER / "compose.yaml",
        DOCKER / "cluster.env",
        DOCKER / "Dockerfile",
        *sorted(CHART.rglob("*.yaml")),
        *sorted(CHART.rglob("*.tpl")),
        ROOT / "docs/containers.md",
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bFIXWURX_[A-Z_]+\b", path.read_text()))

    # The image's own name in compose.yaml, which is no process's business.
    assert named - VARIABLES - {"FIXWURX_IMAGE"} == set()


# -- the image -------------------------------------------------------------------------------------


def test_the_dockerfile_needs_no_frontend_from_a_registry() -> None:
    assert not re.match(r"#\s*syntax", (DOCKER / "Dockerfile").read_text())


def test_the_image_is_built_in_two_stages_on_one_base() -> None:
    assert [rest for word, rest in instructions() if word == "FROM"] == [
        "${BASE} AS build",
        "${BASE}",
    ]


def test_the_image_runs_as_a_number_that_is_not_root_and_through_no_shell() -> None:
    last = dict(instructions())

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert json.loads(last["ENTRYPOINT"])[0] == "tini"
    assert json.loads(last["CMD"])[:3] == ["celery", "-A", "fixwurx_celery"]
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2])[0] == "python"
    assert last["STOPSIGNAL"] == "SIGTERM"


def test_the_image_brings_nothing_unasked() -> None:
    words = [word for word, _ in instructions()]
    installs = [rest for word, rest in instructions() if word == "RUN" and "apt-get" in rest]

    assert "ADD" not in words
    assert installs
    for install in installs:
        assert "--no-install-recommends" in install
        assert "rm -rf /var/lib/apt/lists/*" in install


def test_what_the_dockerfile_copies_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    shown = [line[1:] for line in ignore if line.startswith("!")]
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]

    assert "*" in ignore, "only what is named gets there"
    assert copied
    for source in [*copied, "docker/pinned.py"]:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in shown), source


def pinned() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pinned", DOCKER / "pinned.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_versions_that_are_not_the_pinned_ones_are_found(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# these\nRuff==1.0  # the formatter\ntyping_extensions==2.0\n")
    pins = pinned().pins(constraints)
    assert pins == {"ruff": "1.0", "typing-extensions": "2.0"}

    found = {"ruff": "1.0", "typing-extensions": "2.1", "left-pad": "3", "pip": "9"}

    assert list(pinned().strangers(found, pins)) == [
        "left-pad 3 is installed; pinned is no version",
        "typing-extensions 2.1 is installed; pinned is 2.0",
    ]


# -- compose ---------------------------------------------------------------------------------------


def test_settings_of_the_compose_file_are_valid() -> None:
    Settings.from_environment({**settings_of_compose(), "FIXWURX_REDIS_URL": "redis://store"})


def test_a_node_has_the_time_to_leave_in_order() -> None:
    drain_s = float(settings_of_compose()["FIXWURX_DRAIN_TIMEOUT_SEC"])

    assert float(SERVICES["node"]["stop_grace_period"].removesuffix("s")) >= drain_s + 20


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]

    # A node's folder is in its container; test_image.py has what else it can write to.
    assert service["read_only"] is (name != "node")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert not {"host"} & {service.get(key) for key in ("network_mode", "pid", "ipc")}
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")


def test_the_store_is_reached_by_its_own_alone() -> None:
    assert COMPOSE["networks"]["store"] == {"internal": True}
    assert SERVICES["store"]["networks"] == ["store"]
    assert "ports" not in SERVICES["store"]


def test_passwords_come_from_the_environment_and_are_demanded() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    used = re.findall(r"\$\{(\w+_PASSWORD)(.*?)\}", text)

    assert {name for name, _ in used} == {"STORE_PASSWORD", "FLOWER_PASSWORD", "GRAFANA_PASSWORD"}
    assert {how for _, how in used} == {":?run `make docker/.env`"}


def test_files_that_the_compose_file_mounts_are_there() -> None:
    mounted = [
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    ]

    assert mounted
    for path in mounted:
        assert (DOCKER / path).exists(), path


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (apt prometheus)")
def test_prometheus_is_told_in_its_own_words() -> None:
    file = DOCKER / "prometheus/compose.yaml"
    done = subprocess.run(
        ["promtool", "check", "config", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_nodes_may_make_what_bubblewrap_makes_its_sandbox_of() -> None:
    profile = json.loads((DOCKER / "seccomp.json").read_text())
    [rule] = profile["syscalls"]

    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert rule["action"] == "SCMP_ACT_ERRNO"
    needed = {"clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "prctl"}
    assert needed.isdisjoint(rule["names"])
    assert {"bpf", "init_module", "kexec_load", "keyctl", "io_uring_setup"} <= set(rule["names"])
    assert rule["names"] == sorted(set(rule["names"]))
    assert "seccomp=seccomp.json" in SERVICES["node"]["security_opt"]
