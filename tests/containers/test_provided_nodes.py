"""Nodes of our image that the docker provider starts, with the options of docs/providers.md."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ProviderError
from fixwurx_celery.providers import LaunchOrder, ProvidedState, Provider, open_provider
from fixwurx_celery.settings import Settings
from tests.support.documented import shown
from tests.support.images import IMAGE, STORE_IMAGE, Images
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

NETWORK: Final = "fixwurx"
"""As the page calls it."""
STORE: Final = "fixwurx-store-of-a-test"
USUAL: Final = NodeSpec(agents=9, capabilities=frozenset({"python"}))
GPU: Final = NodeSpec(agents=4, capabilities=frozenset({"gpu", "python"}))


@pytest.fixture
def store(images: Images) -> Iterator[str]:
    """Its address in the page's network, which is gone afterwards with the volume of the page."""
    images.docker("network", "create", NETWORK)
    images.docker("run", "-d", "--name", STORE, "--network", NETWORK, STORE_IMAGE,
                  "valkey-server", "--protected-mode", "no")  # fmt: skip
    yield f"redis://{STORE}:6379/0"
    found = images.docker("ps", "-aq", "--filter", f"network={NETWORK}").stdout.split()
    images.docker("rm", "--force", "--volumes", *found)
    images.docker("network", "rm", NETWORK)
    images.docker("volume", "rm", "--force", "fixwurx-cache")


class Nodes:
    """What a provider with the options of a block starts."""

    def __init__(self, images: Images, store: str, options: Path) -> None:
        self.images, self.cluster = images, f"c{secrets.token_hex(4)}"
        self.settings = Settings(
            redis_url=store, provider="docker", provider_options=str(options), node_image=IMAGE,
            node_specs=(USUAL, GPU),
        )  # fmt: skip
        provider = open_provider(self.settings, self.cluster)
        assert provider is not None
        self.provider: Provider = provider

    def launch(self, name: str, spec: NodeSpec = USUAL) -> None:
        self.provider.launch(
            LaunchOrder(name=name, spec=spec, environment=self.settings.environment())
        )

    def waits_until_in_service(self, name: str) -> None:
        def is_ready() -> bool:
            listed = json.loads(self.cli("node", "list", "--json"))
            return [each["state"] for each in listed] == ["READY"]

        try:
            wait_until(f"{name} is in service", is_ready, within_s=60)
        except AssertionError as error:
            said = self.images.docker("logs", f"fixwurx-{self.cluster}-{name}")
            raise AssertionError(f"{error}\n{said.stdout}{said.stderr}"[-4000:]) from None

    def inspected(self, name: str) -> dict[str, Any]:
        [found] = json.loads(self.images.docker("inspect", f"fixwurx-{self.cluster}-{name}").stdout)
        return dict(found)

    def cli(self, *arguments: str) -> str:
        """What our command line says in that network."""
        examples = f"{self.images.checkout}/examples:/bugs:ro"
        return self.images.docker(
            "run", "--rm", "--network", NETWORK, "-v", examples,
            "-e", f"FIXWURX_REDIS_URL={self.settings.redis_url}",
            IMAGE, "fixwurx-celery", *arguments, within_s=120,
        ).stdout  # fmt: skip


@pytest.fixture
def nodes(
    images: Images, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Nodes]:  # fmt: skip
    """Started with the page's options under the heading that the test is parametrized with."""
    monkeypatch.setenv("DOCKER_HOST", images.daemon.url)
    [block] = shown("providers.md", request.param, "yaml")
    options = tmp_path / "options.yaml"
    profile = images.checkout / "docker/seccomp.json"
    options.write_text(block.replace("/etc/fixwurx/seccomp.json", str(profile)))
    made = Nodes(images, store, options)
    yield made
    for node in made.provider.list():
        made.provider.remove(node.name)
    made.provider.close()


@pytest.mark.parametrize("nodes", ["docker"], indirect=True)
def test_a_node_with_the_options_of_the_page_fixes_a_bug(nodes: Nodes) -> None:
    few = nodes.images.checkout / "examples/one.yaml"
    few.write_text(
        "bugs:\n- id: build-order\n  source: {path: ./build-order}\n"
        "  reproduce: python -m pytest -q -x\n"
    )

    nodes.launch("n1")
    nodes.waits_until_in_service("n1")
    nodes.cli("submit", "/bugs/one.yaml", "--wait")

    assert "diff --git" in nodes.cli("bug", "patch", "build-order")
    assert [node.state for node in nodes.provider.list()] == [ProvidedState.RUNNING]
    host = nodes.inspected("n1")["HostConfig"]
    assert host["NetworkMode"] == NETWORK
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (4 << 30, 2 * 10**9, 2000)
    assert host["ExtraHosts"] == ["store:10.0.0.5"]
    name = f"fixwurx-{nodes.cluster}-n1"
    why = "from fixwurx_celery.engine.sandbox import why_none; print(why_none())"
    assert nodes.images.docker("exec", name, "python", "-P", "-c", why).stdout == "\n"


@pytest.mark.parametrize("nodes", ["Providers of nodes"], indirect=True)
def test_a_kind_of_node_gets_what_the_page_gives_it(nodes: Nodes) -> None:
    """There is no GPU here: that Docker is asked for one, it says itself."""
    nodes.launch("n1")
    with pytest.raises(ProviderError, match=r"could not select device driver .* \[\[gpu\]\]"):
        nodes.launch("n2", GPU)

    hosts = [nodes.inspected(name)["HostConfig"] for name in ("n1", "n2")]
    assert [host["Memory"] for host in hosts] == [4 << 30, 16 << 30]
    assert [len(host["DeviceRequests"] or ()) for host in hosts] == [0, 1]
