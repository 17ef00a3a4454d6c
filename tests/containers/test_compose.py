"""The compose file, run as docs/containers.md says; and what holds when a node of it is killed."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.support.dashboards import DASHBOARD, queries
from tests.support.documented import documented
from tests.support.images import BASE, IMAGE, STORE_IMAGE, Images
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

COMMANDS = documented("containers.md", "Compose")
UP = "docker compose up -d --wait"
FIXED = re.compile(r"\[\d+/\d+\].* FIXED")
LOCAL = (
    f"STORE_IMAGE={STORE_IMAGE}", "BUILD_NO_INDEX=1", "BUILD_FIND_LINKS=/src/wheels",
    "BUILD_NETWORK=host",
)  # fmt: skip
"""What there is instead of a registry and an index."""
WHY_NO_SANDBOX = "from fixwurx_celery.engine.sandbox import why_none; print(why_none())"
SUBMIT_FEW = 'docker compose run --rm -v "$PWD/examples:/bugs:ro" cli submit /bugs/few.yaml'
FEW = ("build-order", "invoice-discount", "leap-second-table", "hyperbolic-evaluation")


@dataclass
class Stack:
    """The cluster of the compose file."""

    images: Images

    @property
    def environment(self) -> dict[str, str]:
        return {**self.images.environment, "COMPOSE_FILE": "docker/compose.yaml"}

    def run(self, command: str, within_s: float = 240) -> str:
        """As typed in the checkout; what it printed. Fails when it does."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.images.checkout, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, command: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """As typed in a terminal of its own, and ended by Ctrl-C."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.images.checkout, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(timeout=120)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Those that run, as `docker inspect` has them."""
        ids = self.run(f"docker compose ps -q {service}").split()
        found: list[dict[str, Any]] = json.loads(self.run(f"docker inspect {' '.join(ids)}"))
        return found

    def cli(self, *arguments: str) -> Any:
        """The answer as JSON."""
        return json.loads(self.run(f"docker compose run --rm cli {' '.join(arguments)} --json"))

    def bugs(self) -> dict[str, str]:
        """State by id."""
        return {bug["id"]: bug["state"] for bug in self.cli("bug", "list")}


@pytest.fixture(scope="module")
def stack(materials: Images) -> Iterator[Stack]:
    """Nothing of it runs yet; the image is not built."""
    made = Stack(materials)
    made.run(f"docker image rm -f {IMAGE}")
    made.run(COMMANDS[0])
    with (materials.checkout / "docker/.env").open("a") as file:
        file.write("\n".join(("", *LOCAL, "")))
    yield made
    made.run("docker compose --profile '*' down --volumes --remove-orphans")


@pytest.fixture
def up(stack: Stack) -> Stack:
    """Two nodes and all others run and are well."""
    stack.run(UP, within_s=600)
    return stack


def test_one_command_brings_everything_and_the_first_patch(stack: Stack, tmp_path: Path) -> None:
    [command] = [each for each in COMMANDS if "--profile demo" in each]
    stack.run("docker compose build", within_s=600)
    log, began = tmp_path / "log", time.monotonic()

    with stack.running(command, log):
        wait_until("the first patch", lambda: FIXED.search(log.read_text()), within_s=120)
        print(f"from `docker compose up` to the first patch: {time.monotonic() - began:.1f} s")

    assert stack.run("docker compose ps -q") == "", "Ctrl-C stops it"
    stack.run("docker compose --profile demo down --volumes")


def test_what_is_documented_is_done_as_it_is_written(stack: Stack) -> None:
    ours = [each for each in COMMANDS[2:] if "monitoring" not in each]
    assert ours[1] == UP
    assert ours[-1] == "docker compose down --volumes"
    for command in ours:
        if "bug patch" in command:
            wait_until("the bug is fixed", lambda: stack.bugs()["build-order"] == "DONE",
                       within_s=120)  # fmt: skip
        said = stack.run(command)
        if "--scale node=3" in command:
            assert len(stack.cli("node", "list")) == 3
        if "bug patch" in command:
            assert "diff --git a/src/forge/plan.py b/src/forge/plan.py" in said

    assert left(stack) == []


def left(stack: Stack) -> list[str]:
    """Containers, volumes and networks of the project."""
    label = "label=com.docker.compose.project=fixwurx"
    asked = ("ps -aq", "volume ls -q", "network ls -q")
    return [
        line for what in asked for line in stack.run(f"docker {what} --filter {label}").split()
    ] + stack.run("docker volume ls -q").split()


def test_nobody_has_more_than_he_needs(up: Stack) -> None:
    for container in up.containers():
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"] is ("-node-" not in name)
        assert host["CapDrop"] == ["ALL"], name
        assert host["CapAdd"] is None, name
        assert not host["Privileged"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert container["Config"]["User"] not in ("", "0", "root"), name
        assert container["State"]["Health"]["Status"] == "healthy", name
        published = {port for ports in (host["PortBindings"] or {}).values() for port in
                     (each["HostIp"] for each in ports)}  # fmt: skip
        assert published == ({"127.0.0.1"} if "flower" in name else set()), name
        grace_s = container["Config"].get("StopTimeout")
        assert (
            grace_s
            == {"node": 50, "controller": 20, "store": 30, "flower": None}[name.split("-")[1]]
        )


def test_passwords_are_in_no_list_of_processes_and_in_no_log(up: Stack) -> None:
    made = set(passwords(up).values())
    assert len(made) == 3
    assert all(len(each) == 48 for each in made)

    shown = up.run("docker compose top; docker compose logs")
    assert [each for each in made if each in shown] == []


def passwords(stack: Stack) -> dict[str, str]:
    """Those of docker/.env, by whose they are."""
    text = (stack.images.checkout / "docker/.env").read_text()
    return dict(re.findall(r"^(\w+)_PASSWORD=(\w+)$", text, re.MULTILINE))


def test_commands_of_repositories_have_a_sandbox_in_the_container(up: Stack) -> None:
    """bubblewrap, with what docker/seccomp.json and the compose file allow a node."""
    assert_has_sandbox(up, up.run("docker compose ps -q node").split()[0])


def assert_has_sandbox(stack: Stack, container: str) -> None:
    """As a node finds out itself, by trying."""
    assert stack.run(f"docker exec {container} python -P -c '{WHY_NO_SANDBOX}'") == "\n"


def write_few(stack: Stack) -> None:
    """A manifest of some examples, each thrice."""
    bugs = "".join(
        f"- id: {name}-{i}\n  source: {{path: ./{name}}}\n  reproduce: python -m pytest -q -x\n"
        for name in FEW
        for i in range(3)
    )
    (stack.images.checkout / "examples/few.yaml").write_text(f"bugs:\n{bugs}")


def test_a_node_that_is_killed_comes_back_and_its_bugs_go_on(up: Stack) -> None:
    write_few(up)
    nodes = {each["worker_id"] for each in up.cli("node", "list")}
    up.run(SUBMIT_FEW)
    victim = wait_until("a node is at work", lambda: busy(up), within_s=60)

    os.kill(victim["State"]["Pid"], signal.SIGKILL)

    wait_until(
        "all bugs have ended",
        lambda: set(up.bugs().values()) == {"DONE"},
        within_s=300,
    )
    wait_until("the container is back", lambda: len(up.containers("node")) == 2, within_s=30)
    after = up.cli("node", "list")
    assert {each["worker_id"] for each in after} == nodes, "each has its name again"
    up.run("docker compose run --rm cli doctor")


def busy(stack: Stack) -> dict[str, Any] | None:
    """The container of a node that has bugs."""
    at_work = [
        each["worker_id"]
        for each in stack.cli("node", "list")
        if each["free_agents"] < each["total_agents"]
    ]
    for container in stack.containers("node"):
        if f"node@{container['Config']['Hostname']}" in at_work:
            return container
    return None


def test_a_store_that_restarts_has_forgotten_nothing(up: Stack) -> None:
    up.run("docker compose run --rm cli strategy set ROUND_ROBIN")

    [store] = up.containers("store")
    os.kill(store["State"]["Pid"], signal.SIGKILL)
    wait_until("the store is back", lambda: healthy(up, "store"), within_s=60)

    assert up.cli("strategy", "show")["strategy"] == "ROUND_ROBIN"
    wait_until(
        "nodes are there again",
        lambda: [each["state"] for each in up.cli("node", "list")].count("READY") == 2,
        within_s=60,
    )
    wait_until("all are well", lambda: all(healthy(up, each) for each in SERVICES),
               within_s=60)  # fmt: skip


def test_with_scaling_the_controller_starts_hardened_nodes_and_stops_them(stack: Stack) -> None:
    door = stack.images.daemon.folder / "s.sock"
    with (stack.images.checkout / "docker/.env").open("a") as file:
        file.write(f"DOCKER_GID={door.stat().st_gid}\nDOCKER_SOCKET={door}\n")
    settings = stack.images.checkout / "docker/cluster.env"
    before = settings.read_text()
    settings.write_text(before + "FIXWURX_MIN_WORKERS=0\nFIXWURX_SCALING_INTERVAL_SEC=2\n"
                                 "FIXWURX_SCALE_DOWN_WINDOW_SEC=10\n")  # fmt: skip
    [up_with_scaling, *others, end] = documented("containers.md", "Scaling on one host")
    started = "docker ps -q --filter label=fixwurx.node"
    stack.run("docker compose down --volumes")
    write_few(stack)
    try:
        stack.run(up_with_scaling, within_s=600)
        stack.run(SUBMIT_FEW)

        node = wait_until("a node is started", lambda: stack.run(started).split(), within_s=60)[0]
        [found] = json.loads(stack.run(f"docker inspect {node}"))
        assert found["HostConfig"]["ReadonlyRootfs"]
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert_has_sandbox(stack, node)
        wait_until("all bugs have ended", lambda: set(stack.bugs().values()) == {"DONE"},
                   within_s=300)  # fmt: skip
        wait_until("no node is left", lambda: not stack.run(started), within_s=120)
    finally:
        settings.write_text(before)
        for command in (*others, end):
            stack.run(command)


@pytest.fixture
def monitoring_images(stack: Stack) -> dict[str, str]:
    """Variables of the compose file. Prometheus' is as the official one is, of this host's program.
    Grafana is on no package index: in its place is one that answers at its port, as its user."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus (apt install prometheus)")
    built = {}
    for name, lines in {
        "prometheus": [
            "COPY prometheus /bin/",
            "RUN mkdir /prometheus && chown 65534 /prometheus",
            "USER nobody",
            'ENTRYPOINT ["/bin/prometheus"]',
            'CMD ["--config.file=/etc/prometheus/prometheus.yml", '
            '"--storage.tsdb.path=/prometheus"]',
        ],
        "grafana": [
            "RUN mkdir /var/lib/grafana && chown 472 /var/lib/grafana",
            "USER 472",
            'CMD ["python", "-m", "http.server", "3000", "--directory", "/var/lib/grafana"]',
        ],
    }.items():
        folder = stack.images.folder / name
        folder.mkdir()
        shutil.copy2(program, folder)
        (folder / "Dockerfile").write_text("\n".join([f"FROM {BASE}", *lines]))
        tag = f"fixwurx-test-{name}:1"
        stack.images.docker("build", "-t", tag, str(folder), within_s=120)
        built[f"{name.upper()}_IMAGE"] = tag
    return built


def test_prometheus_finds_the_controller_and_grafana_would_find_what_it_shows(
    up: Stack, monitoring_images: dict[str, str]
) -> None:
    """As it is written. What Grafana itself makes of its files is not tried; that it can read them,
    and that each query of the dashboard is answered where they say, is."""
    [command] = documented("containers.md", "Dashboards")
    with (up.images.checkout / "docker/.env").open("a") as file:
        file.writelines(f"{name}={tag}\n" for name, tag in monitoring_images.items())

    up.run(command, within_s=240)

    inside = "docker compose --profile monitoring exec -T grafana"
    provisioning = "/etc/grafana/provisioning"
    [source] = read(up, f"{inside} cat {provisioning}/datasources/prometheus.yaml")["datasources"]
    [provider] = read(up, f"{inside} cat {provisioning}/dashboards/fixwurx.yaml")["providers"]
    [home] = up.run(f"{inside} printenv GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH").split()
    found = up.run(f"{inside} find {provider['options']['path']} -name '*.json'").split()
    assert found == [home]
    assert read(up, f"{inside} cat {home}") == json.loads(DASHBOARD.read_text())
    assert len(up.run(f"{inside} printenv GF_SECURITY_ADMIN_PASSWORD").strip()) == 48
    up.run(f"{inside} touch /var/lib/grafana/grafana.db")

    def ask(*paths: str) -> list[Any]:
        """What the API answers, asked from where Grafana is, at the address that it is given."""
        fetch = (
            "import json, sys, urllib.request as u; "
            f"print(json.dumps([json.load(u.urlopen('{source['url']}/api/v1/' + path))['data'] "
            "for path in sys.argv[1:]]))"
        )
        found: list[Any] = json.loads(
            up.run(f"{inside} {shlex.join(['python', '-c', fetch, *paths])}")
        )
        return found

    def scraped() -> list[str]:
        [found] = ask("query?query=fixwurx_up")
        return [each["value"][1] for each in found["result"]]

    wait_until("it has scraped the controller", lambda: scraped() == ["1"], within_s=60)
    [rules] = ask("rules")
    assert "FixwurxNoMetrics" in [r["name"] for group in rules["groups"] for r in group["rules"]]
    asked = [f"query?{urlencode({'query': query})}" for query in queries(interval="1m").values()]
    assert {answer["resultType"] for answer in ask(*asked)} == {"vector"}
    assert_reached(up)
    up.run("docker compose --profile monitoring rm --stop --force --volumes prometheus grafana")


def read(stack: Stack, command: str) -> Any:
    """The YAML or JSON that it prints."""
    return yaml.safe_load(stack.run(command))


def assert_reached(stack: Stack) -> None:
    """All three, where the page says, from the host of the containers."""
    password = passwords(stack)["FLOWER"]
    for address, status in {
        "http://127.0.0.1:5555/cluster": 401,
        f"http://fixwurx:{password}@127.0.0.1:5555/cluster": 200,
        "http://127.0.0.1:9090/-/ready": 200,
        "http://127.0.0.1:3000": 200,
    }.items():
        fetch = ["curl", "-so", "/dev/null", "-w", "%{http_code}", address]
        assert stack.run(shlex.join([*stack.images.daemon.inside, *fetch])) == str(status), address


SERVICES = ("store", "controller", "node", "flower")


def healthy(stack: Stack, service: str) -> bool:
    return all(
        each["State"].get("Health", {}).get("Status") == "healthy"
        for each in stack.containers(service)
    )
