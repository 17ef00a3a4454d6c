"""Flower's metrics in a real Prometheus, which scrapes them as docs/dashboard.md says."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fixwurx_celery.settings import Settings
from tests.support import cluster, documented
from tests.support.flower import flower
from tests.support.prometheus import prometheus_of
from tests.support.waiting import wait_until

pytest.importorskip("flower")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="needs prometheus (apt install prometheus)"
    ),
]
LOGIN, TOKEN = "me:secret", "a token of the tests"


def test_prometheus_scrapes_a_flower_with_a_login_by_its_token(
    shown: Settings, node: cluster.Life, tmp_path: Path
) -> None:
    token = tmp_path / "metrics-token"
    token.write_text(TOKEN)
    [block] = documented.shown("dashboard.md", "Who may see it, and who may act", "yaml")
    with flower(shown, tmp_path, login=LOGIN, FIXWURX_METRICS_TOKEN=TOKEN) as started:
        written = block
        for there, here in {
            "/etc/fixwurx/metrics-token": str(token),
            "flower:5555": f"127.0.0.1:{started.port}",
        }.items():
            assert there in written
            written = written.replace(there, here)
        (tmp_path / "written.yaml").write_text(written)
        subprocess.run(
            ["promtool", "check", "config", str(tmp_path / "written.yaml")],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip

        with prometheus_of(tmp_path, yaml.safe_load(written)) as scraping:
            wait_until("it was scraped", lambda: scraping.ask('up{job="fixwurx"}') == [1])
            wait_until(
                "the node is measured",
                lambda: scraping.ask(f'fixwurx_node_agents{{node="{node.node}"}}') == [9],
            )
            assert scraping.ask("fixwurx_up") == [1]
            token.write_text("another")
            wait_until("it is shut out", lambda: scraping.ask('up{job="fixwurx"}') == [0])
