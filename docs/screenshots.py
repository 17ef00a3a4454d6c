"""Draws the pictures of docs/dashboard.md: `python docs/screenshots.py`, with Chromium on the PATH.

They show a made-up cluster in a real store, by a real Flower.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # the cluster is that of the tests
    sys.path.insert(0, str(ROOT))

from fixwurx_celery.settings import Settings  # noqa: E402 - the path comes first
from fixwurx_celery.store import ClusterStore  # noqa: E402
from tests.support.browser import chromium, page_of  # noqa: E402
from tests.support.flower import flower  # noqa: E402
from tests.support.server import start_server  # noqa: E402
from tests.support.shown_cluster import ShownCluster, of_everything  # noqa: E402

IMAGES: Final = ROOT / "docs" / "images"
LOGIN: Final = "me:secret"


def large(store: ClusterStore) -> ShownCluster:
    """A hundred nodes at work."""
    shown = ShownCluster(store)
    shown.add_nodes(100)
    shown.decide(2, 100)
    shown.add_bugs(310)
    shown.end_bugs(10)
    shown.add_bugs(2000)
    shown.add_bugs(400, agents=6, requires=("gpu", "python"))
    shown.drain(7)
    return shown


def draw() -> None:
    """Writes all of them."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots") as temporary:
        folder = Path(temporary)
        with start_server(folder / "server") as server:
            for name, fill in (("small", of_everything), ("large", large)):
                settings = Settings(
                    redis_url=server.url, namespace=name, heartbeat_timeout_sec=3600,
                    lease_sec=3600, starve_after_sec=86400,
                )  # fmt: skip
                shown = fill(ClusterStore.from_settings(settings))
                with flower(settings, folder, login=LOGIN) as started, chromium() as browser:
                    for file, width, height, scheme in PICTURES[name]:
                        with page_of(
                            browser, login=LOGIN, width=width, height=height, scheme=scheme
                        ) as page:
                            page.open(started)
                            shown.live()
                            page.page.wait_for_timeout(2500)
                            page.page.screenshot(path=IMAGES / file)


PICTURES: Final = {
    "small": (
        ("cluster.png", 1280, 1560, "light"),
        ("cluster-dark.png", 1280, 560, "dark"),
        ("cluster-phone.png", 360, 900, "light"),
    ),
    "large": (("cluster-100-nodes.png", 1280, 1180, "light"),),
}
"""By cluster: file, width and height of the window, and theme."""


if __name__ == "__main__":
    draw()
