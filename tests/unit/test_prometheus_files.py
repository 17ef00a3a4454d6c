"""Alerts and dashboard: well-formed, tried, documented, and about metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fixwurx_celery.metrics.families import FAMILIES, Kind
from tests.support.dashboards import (
    CONFIG,
    DASHBOARD,
    ROOT,
    RULES,
    TRIALS,
    alerts,
    metrics_in,
    panels,
    queries,
)

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool (apt install prometheus)"
)
KNOWN = {
    name
    for family in FAMILIES
    for name in (
        [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
        if family.kind is Kind.HISTOGRAM
        else [family.name]
    )
}


def promtool(*arguments: object, cwd: Path = ROOT) -> str:
    """What it says; fails when it finds something."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_rules_and_configuration_are_well_formed() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", CONFIG)


@needs_promtool
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", TRIALS)


@needs_promtool
def test_the_trials_would_notice_each_alert_that_never_fires(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = "vector(1) < 0"
    changed = tmp_path / "docker" / "prometheus" / "alerts.yaml"
    trials = tmp_path / "tests" / "prometheus" / "alerts.yaml"
    for file in (changed, trials):
        file.parent.mkdir(parents=True)
    changed.write_text(yaml.safe_dump(rules), "utf-8")
    shutil.copy(TRIALS, trials)

    with pytest.raises(AssertionError) as failed:
        promtool("test", "rules", trials)

    assert set(re.findall(r"alertname: ?(\w+)", str(failed.value))) == set(alerts())


def test_each_alert_is_tried_where_it_must_fire_and_where_it_must_not() -> None:
    tried = yaml.safe_load(TRIALS.read_text("utf-8"))["tests"]
    outcomes = {
        (trial["alertname"], bool(trial["exp_alerts"]))
        for test in tried
        for trial in test["alert_rule_test"]
    }

    assert outcomes == {(name, fires) for name in alerts() for fires in (True, False)}


def test_the_documentation_says_what_to_do_about_each_alert() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text("utf-8")

    assert re.findall(r"^\*\*(Fixwurx\w+)\*\*", written, re.MULTILINE) == list(alerts())


def test_alerts_and_dashboard_name_metrics_that_there_are() -> None:
    named = [rule["expr"] for rule in alerts().values()] + list(queries(interval="1m").values())

    for expression in named:
        assert metrics_in(expression), expression
        assert metrics_in(expression) <= KNOWN, expression


def test_a_rate_is_taken_of_counters_only_and_of_every_counter_that_is_shown() -> None:
    rising = {f.name for f in FAMILIES if f.kind is Kind.COUNTER} | {
        name for name in KNOWN if name.endswith("_bucket")
    }

    for expression in queries(interval="1m").values():
        rated = set(re.findall(r"(?:rate|increase)\((fixwurx_\w+)", expression))
        assert rated == metrics_in(expression) & rising, expression


@needs_promtool
def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": expression}
        for number, expression in enumerate(queries(interval="1m").values())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_panels_have_titles_places_and_queries_of_their_own() -> None:
    shown = list(panels())
    places = [
        (x, y)
        for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(places) == len(set(places)), "panels lie over each other"
    assert max(x for x, _ in places) == 23
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert len(queries(interval="1m")) == sum(len(panel["targets"]) for panel in shown)
    for panel in shown:
        assert panel["fieldConfig"]["defaults"]["unit"]
