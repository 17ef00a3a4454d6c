"""What of ours Prometheus and Grafana are given: the rules, and the dashboard with its queries."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.surroundings import ROOT

RULES = ROOT / "docker" / "prometheus" / "alerts.yaml"
CONFIG = ROOT / "docker" / "prometheus" / "prometheus.yaml"
TRIALS = ROOT / "tests" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "docker" / "grafana" / "fixwurx.json"


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert, by its name."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> Iterator[dict[str, Any]]:
    """The panels of the dashboard that show something."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        if panel["type"] != "row":
            yield panel


def queries(*, interval: str) -> dict[str, str]:
    """Each query of the dashboard as Grafana sends it, by panel and letter."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        .replace("$instance", ".+")
        .replace("$__rate_interval", interval)
        for panel in panels()
        for target in panel["targets"]
    }


def metrics_in(expression: str) -> set[str]:
    """The metrics of ours that an expression names."""
    return set(re.findall(r"\bfixwurx_\w+", expression))
