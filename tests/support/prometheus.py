"""A Prometheus server for tests: on loopback, with a folder of its own, gone with the tests."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.dashboards import CONFIG, RULES
from tests.support.server import end_with_parent, free_port
from tests.support.waiting import wait_until


class Prometheus:
    """One that scrapes."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data that its API answers."""
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def ask(self, expression: str) -> list[float]:
        """The values that the expression has now."""
        return [float(one["value"][1]) for one in self.get("query", query=expression)["result"]]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, target: str, token: str) -> Iterator[Prometheus]:
    """One with our own configuration and rules, that scrapes the target every second."""
    configuration = yaml.safe_load(CONFIG.read_text("utf-8"))
    configuration["rule_files"] = [str(RULES)]
    (job,) = configuration["scrape_configs"]
    (folder / "token").write_text(token, "utf-8")
    job["static_configs"] = [{"targets": [target]}]
    job["authorization"] = {"credentials_file": str(folder / "token")}
    with prometheus_of(folder, configuration) as scraping:
        yield scraping


@contextmanager
def prometheus_of(folder: Path, configuration: Mapping[str, Any]) -> Iterator[Prometheus]:
    """One with that configuration, that scrapes every second."""
    binary = shutil.which("prometheus")
    assert binary, "needs prometheus (apt install prometheus)"
    every = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({**configuration, **every}), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary, f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}",
            ],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=end_with_parent,
        )  # fmt: skip
    try:
        made = Prometheus(f"http://{address}")
        wait_until("prometheus is ready", made.is_ready, within_s=20)
        yield made
    finally:
        process.kill()
        process.wait(timeout=10)
