"""Options of providers: what is refused, and with which words."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.providers import open_provider
from fixwurx_celery.providers.docker_options import KNOWN, DockerOptions
from fixwurx_celery.providers.options import read_options, split_kinds
from fixwurx_celery.providers.pod_options import OF_A_KIND, PodOptions
from fixwurx_celery.settings import Settings
from tests.support.documented import shown
from tests.support.surroundings import ROOT

SPEC = {"nodeSelector", "tolerations", "containers", "restartPolicy"}
USUAL = NodeSpec(agents=9, capabilities=frozenset({"python"}))
GPU = NodeSpec(agents=4, capabilities=frozenset({"gpu", "python"}))
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


# -- what docs/providers.md says -----------------------------------------------------------------

PAGE = (ROOT / "docs/providers.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def read(blocks: list[str]) -> dict[str, Any]:
    [text] = blocks
    options: dict[str, Any] = yaml.safe_load(text)
    return options


def test_the_page_names_the_options_of_docker_that_there_are() -> None:
    listed = section("docker").partition("Taken: `")[2].partition("`")[0].split()

    assert set(listed) == KNOWN
    assert listed == sorted(listed)


def test_the_examples_for_docker_are_taken(tmp_path: Path) -> None:
    pytest.importorskip("docker")
    usual, kinds = split_kinds(read(shown("providers.md", "Providers of nodes", "yaml")), [GPU])

    for given in (read(shown("providers.md", "docker", "yaml")), usual, *kinds.values()):
        text = yaml.safe_dump(given)
        profile = str(ROOT / "docker/seccomp.json")
        (tmp_path / "o.yaml").write_text(text.replace("/etc/fixwurx/seccomp.json", profile))
        settings = Settings(provider="docker", provider_options=str(tmp_path / "o.yaml"))
        assert open_provider(settings, "c1") is not None


def test_the_example_for_kubernetes_is_taken() -> None:
    pytest.importorskip("kubernetes")
    from fixwurx_celery.providers.kubernetes_api import container_fields, spec_fields

    options = PodOptions.of(
        read(shown("providers.md", "kubernetes", "yaml")), spec_fields(), container_fields()
    )

    assert options.owner_path == "deployments/fixwurx-controller"


def test_fields_of_pods_are_known_by_the_names_that_yaml_has() -> None:
    pytest.importorskip("kubernetes")
    from fixwurx_celery.providers.kubernetes_api import container_fields, spec_fields

    assert {"hostNetwork", "nodeSelector", "containers"} <= spec_fields()
    assert {"volumeMounts", "imagePullPolicy", "args"} <= container_fields()


# -- kinds of nodes ----------------------------------------------------------------------------


def docker_host(**options: Any) -> dict[str, Any]:
    provider = pytest.importorskip("fixwurx_celery.providers.docker", reason="needs the extra")
    host: dict[str, Any] = provider._host_config(options)
    return host


def test_security_options_of_docker_are_those_of_its_command_line(tmp_path: Path) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text('{\n  "defaultAction": "SCMP_ACT_ALLOW"\n}\n')

    host = docker_host(
        security_opt=["no-new-privileges", f"seccomp={profile}", "systempaths=unconfined"]
    )

    assert host["SecurityOpt"] == [
        "no-new-privileges",
        'seccomp={"defaultAction": "SCMP_ACT_ALLOW"}',
    ]
    assert (host["MaskedPaths"], host["ReadonlyPaths"]) == ([], [])


@pytest.mark.parametrize("given", ["seccomp=unconfined", "seccomp=builtin", 'seccomp={"a": 1}'])
def test_a_profile_of_docker_that_is_no_file_stays_as_it_is(given: str) -> None:
    host = docker_host(security_opt=[given])

    assert host["SecurityOpt"] == [given]
    assert "MaskedPaths" not in host


def test_a_profile_of_docker_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        docker_host(security_opt=["seccomp=/nowhere.json"])

    [problem] = refused.value.problems
    assert problem.startswith("the option security_opt names seccomp=/nowhere.json, which cannot")


def test_a_kind_of_node_has_options_of_its_own() -> None:
    given = {"mem_limit": "1g", "kinds": {"4:gpu,python": {"mem_limit": "8g"}}}

    assert split_kinds(given, [USUAL, GPU]) == ({"mem_limit": "1g"}, {GPU: {"mem_limit": "8g"}})


def test_kinds_that_nobody_launches_are_refused() -> None:
    given = {"kinds": {"4:gpu": {}, "many": {}, "9": 3}}

    assert refused(split_kinds, given, [USUAL]) == [
        "the option kinds names 4:gpu, which is not launched: FIXWURX_NODE_SPECS has 9:python",
        "the option kinds: node 'many' must begin with its agents, 1 to 1024; write for example "
        "9:python,large-memory",
        "the option kinds.9 must be a mapping of options",
    ]


def test_a_kind_of_pod_is_the_usual_one_with_its_own_fields_over_it() -> None:
    usual = PodOptions.of(
        {
            "namespace": "n",
            "labels": {"a": "1"},
            "template": {"tolerations": [1], "containers": [{"name": "node", "resources": {}}]},
        },
        SPEC,
        CONTAINER,
    )
    kind = PodOptions.of(
        {"template": {"nodeSelector": {"gpu": "y"}, "containers": [{"resources": {"limits": {}}}]}},
        SPEC,
        CONTAINER,
        OF_A_KIND,
    )

    made = kind.over(usual)

    assert (made.namespace, made.labels) == ("n", {"a": "1"})
    assert made.template == {
        "tolerations": [1],
        "nodeSelector": {"gpu": "y"},
        "containers": [{"name": "node", "resources": {"limits": {}}}],
    }


def test_a_kind_of_pod_cannot_have_a_namespace_of_its_own() -> None:
    assert refused(PodOptions.of, {"namespace": "x"}, SPEC, CONTAINER, OF_A_KIND) == [
        "the provider has no option namespace; docs/providers.md lists what there is"
    ]


@pytest.mark.parametrize("name", ["docker", "kubernetes"])
def test_a_provider_without_its_sdk_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    for module in (name, f"{name}_api"):
        monkeypatch.delitem(sys.modules, f"fixwurx_celery.providers.{module}", raising=False)

    [problem] = refused(open_provider, Settings(provider=name), "c1")

    assert problem == (
        f"FIXWURX_PROVIDER={name} needs the package {name}, which is not installed: "
        f"pip install 'fixwurx-celery[{name}]'"
    )
