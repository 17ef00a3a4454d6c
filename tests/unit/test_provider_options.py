"""Options of providers: what is refused, and with which words."""

from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.providers import open_provider
from fixwurx_celery.providers.docker_options import DockerOptions
from fixwurx_celery.providers.options import read_options
from fixwurx_celery.providers.pod_options import PodOptions
from fixwurx_celery.settings import Settings

SPEC = {"nodeSelector", "tolerations", "containers", "restartPolicy"}
CONTAINER = {"name", "image", "resources", "args"}


def refused(call: Any, *arguments: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        call(*arguments)
    return error.value.problems


def test_no_file_is_no_options() -> None:
    assert read_options("") == {}


def test_an_empty_file_is_no_options(tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text("# nothing yet\n")

    assert read_options(str(tmp_path / "o.yaml")) == {}


@pytest.mark.parametrize(
    ("text", "said"), [("- a", "must be a mapping"), ("a: [", "is not YAML"), ("1: 2", "mapping")]
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "o.yaml").write_text(text)

    [problem] = refused(read_options, str(tmp_path / "o.yaml"))

    assert said in problem


def test_a_file_that_is_not_there_is_refused() -> None:
    [problem] = refused(read_options, "/nowhere/o.yaml")

    assert problem == (
        "FIXWURX_PROVIDER_OPTIONS=/nowhere/o.yaml cannot be read: No such file or directory"
    )


def test_all_problems_of_docker_are_told_at_once_each_with_the_way_out() -> None:
    problems = refused(
        DockerOptions.of,
        {"memory_limit": "1g", "name": "x", "labels": {"fixwurx.cluster": "y"}, "environment": 3},
    )

    assert problems == [
        "the option name is the provider's own: a node is named after its cluster",
        "the provider has no option memory_limit; did you mean mem_limit?",
        "the option environment must be a mapping of names to values",
        "the option labels must leave those that begin with fixwurx. to the cluster",
    ]


def test_options_of_docker_are_sorted_by_who_takes_them() -> None:
    options = DockerOptions.of(
        {"user": "1000", "network": "bugs", "volumes": ["/a:/b"], "environment": {"N": 1}}
    )

    assert options.container == {"user": "1000"}
    assert options.host == {"network_mode": "bugs", "binds": ["/a:/b"], "init": True}
    assert options.environment == {"N": "1"}


def test_all_problems_of_kubernetes_are_told_at_once_each_with_the_way_out() -> None:
    problems = refused(
        PodOptions.of,
        {
            "name_space": "x",
            "owner": "fixwurx",
            "labels": {"team": 1},
            "template": {
                "nodeselector": {},
                "restartPolicy": "Always",
                "containers": [{"image": "x", "resource": {}}, {"name": "beside"}],
            },
        },
        SPEC,
        CONTAINER,
    )

    assert problems == [
        "the provider has no option name_space; did you mean namespace?",
        "the option owner=fixwurx must be written KIND/NAME, where KIND is "
        "Deployment or StatefulSet",
        "the option labels must be a mapping of names to texts (quote numbers)",
        "the provider has no option template.nodeselector; did you mean nodeSelector?",
        "the option template.restartPolicy is the provider's own: the cluster itself replaces "
        "nodes that ended",
        "the option template.containers may have one container, named node: a pod ends when all "
        "its containers do; what must run beside a node is an initContainer with restartPolicy: "
        "Always",
        "the provider has no option template.containers[0].resource; did you mean resources?",
        "the option template.containers[0].image is the provider's own: set FIXWURX_NODE_IMAGE",
    ]


@pytest.mark.parametrize("name", ["docker", "kubernetes"])
def test_a_provider_without_its_sdk_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"fixwurx_celery.providers.{name}", raising=False)

    [problem] = refused(open_provider, Settings(provider=name), "c1")

    assert problem == (
        f"FIXWURX_PROVIDER={name} needs the package {name}, which is not installed: "
        f"pip install 'fixwurx-celery[{name}]'"
    )
