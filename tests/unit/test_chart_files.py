"""The Helm chart, rendered: valid, whole, and as strict as the roles beside it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

import fixwurx_celery
from fixwurx_celery.providers.pod_options import PodOptions
from fixwurx_celery.settings import Settings
from tests.support.surroundings import ROOT

helm = pytest.importorskip("helm_python", reason="needs pip install helm-python-sdk")
validate = pytest.importorskip(
    "kubernetes_validate", reason="needs pip install kubernetes-validate"
).validate

CHART = ROOT / "docker/helm/fixwurx-celery"
KUBERNETES = ("1.28", "1.37")
NOT_KUBERNETES_OWN = {"PodMonitor"}

FULL: Mapping[str, Any] = {
    "image": {"pullSecrets": ["registry"], "tag": "2"},
    "controller": {"replicas": 2, "env": [{"name": "MORE", "value": "1"}]},
    "staticNodes": {"replicas": 3},
    "metrics": {"podMonitor": True},
    "nodes": {
        "sandbox": True,
        "annotations": {"karpenter.sh/do-not-disrupt": "true"},
        "template": {
            "nodeSelector": {"disk": "ssd"},
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "containers": [
                {
                    "env": [{"name": "PIP_INDEX_URL", "value": "https://pypi.example"}],
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                }
            ],
        },
    },
    "pod": {"tolerations": [{"key": "bugs", "operator": "Exists"}]},
    "networkPolicy": {"storeClients": [{"podSelector": {}}], "viewers": [{"podSelector": {}}]},
    "store": {"storageClass": "fast", "keepVolume": True},
}
EXTERNAL: Mapping[str, Any] = {
    "store": {"enabled": False, "url": "rediss://:pw@store.example:6380/0", "port": 6380},
    "flower": {"enabled": False},
    "metrics": {"enabled": False},
}
SECRETS: Mapping[str, Any] = {
    "store": {"existingSecret": "mine"},
    "flower": {"existingSecret": "mine-too"},
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
}
CASES = {"default": {}, "full": FULL, "external": EXTERNAL, "secrets": SECRETS}


def rendered(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each object by `KIND/NAME`; none is there twice."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(dict(values), name="fw", namespace="bugs")
    objects = [
        each
        for name, text in files.items()
        if name.endswith(".yaml")
        for each in yaml.load_all(text, Loader=NoDoubles)
        if each
    ]
    found = {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}
    assert len(found) == len(objects)
    return found


class NoDoubles(yaml.SafeLoader):
    """Refuses a mapping with one key twice, of which others take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"doubled: {keys}"
        return super().construct_mapping(node, deep)


def pod_specs(objects: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of everything that runs as a pod, those of started nodes excepted."""
    return {
        name: each["spec"] if each["kind"] == "Pod" else each["spec"]["template"]["spec"]
        for name, each in objects.items()
        if each["kind"] in ("Deployment", "StatefulSet", "Pod")
    }


def node_options(objects: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the provider is told."""
    read: dict[str, Any] = yaml.safe_load(objects["ConfigMap/fw-nodes"]["data"]["options.yaml"])
    return read


def test_helm_finds_nothing_wrong() -> None:
    for values in CASES.values():
        report = helm.lint(str(CHART), dict(values), strict=True)
        assert report["errors"] == []
        assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", CASES)
def test_everything_is_as_kubernetes_has_it(case: str, version: str) -> None:
    for each in rendered(CASES[case]).values():
        if each["kind"] not in NOT_KUBERNETES_OWN:
            validate(each, version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_nodes_that_the_controller_starts_are_as_kubernetes_has_them(case: str) -> None:
    options = node_options(rendered(CASES[case]))

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "n"},
        "spec": options["template"],
    }
    for version in KUBERNETES:
        validate(pod, version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_the_provider_takes_what_it_is_told(case: str) -> None:
    api = pytest.importorskip(
        "fixwurx_celery.providers.kubernetes_api", reason="needs the extra kubernetes"
    )

    options = PodOptions.of(
        node_options(rendered(CASES[case])), api.spec_fields(), api.container_fields()
    )

    assert options.owner == ("Deployment", "fw-controller")
    assert options.namespace == "bugs"


@pytest.mark.parametrize("case", CASES)
def test_settings_are_valid_and_those_of_the_chart_are_known(case: str) -> None:
    objects = rendered(CASES[case])
    given = objects["ConfigMap/fw-settings"]["data"]
    [controller] = pod_specs(objects)["Deployment/fw-controller"]["containers"]
    told = {each["name"]: each.get("value", "redis://store") for each in controller["env"]}

    settings = Settings.from_environment({**given, **told})

    assert settings.provider == "kubernetes"
    assert settings.provider_options == "/etc/fixwurx/options.yaml"
    assert settings.node_image == controller["image"]


def test_labels_of_started_nodes_match_no_selector() -> None:
    objects = rendered(FULL)
    labels = node_options(objects)["labels"]

    for name, each in objects.items():
        if each["kind"] in ("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"):
            selector = each["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            assert not selector.items() <= labels.items(), name
    nodes = objects["NetworkPolicy/fw-nodes"]["spec"]["podSelector"]
    assert nodes["matchLabels"].items() <= labels.items()
    [expression] = nodes["matchExpressions"]
    assert labels[expression["key"]] in expression["values"]


def test_the_role_is_the_one_that_is_shipped_without_the_chart() -> None:
    shipped = yaml.safe_load_all((ROOT / "docker/kubernetes/rbac.yaml").read_text())
    [role] = [each for each in shipped if each["kind"] == "Role"]

    assert rendered({})["Role/fw-controller"]["rules"] == role["rules"]


@pytest.mark.parametrize("case", CASES)
def test_pods_are_restricted_as_far_as_the_sandbox_allows(case: str) -> None:
    objects = rendered(CASES[case])
    specs = pod_specs(objects) | {"started nodes": node_options(objects)["template"]}
    has_sandbox = CASES[case].get("nodes", {}).get("sandbox", False)

    for name, spec in specs.items():
        [container] = spec["containers"]
        own = dict(container["securityContext"])
        if has_sandbox and "node" in name:
            assert own.pop("procMount") == "Unmasked", name
            assert own.pop("seccompProfile") == {"type": "Unconfined"}, name
            assert spec["hostUsers"] is False, name
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["resources"]["limits"]["memory"], name
        if name != "started nodes":  # the provider sees to these
            is_controller = name == "Deployment/fw-controller"
            assert spec["automountServiceAccountToken"] is is_controller, name


def test_the_image_is_the_one_that_is_named() -> None:
    objects = rendered({"image": {"repository": "registry.example/fixwurx-celery"}})
    specs = pod_specs(objects)
    named = f"registry.example/fixwurx-celery:{fixwurx_celery.__version__}"

    images = {name: spec["containers"][0]["image"] for name, spec in specs.items()}
    del images["StatefulSet/fw-store"]
    assert set(images.values()) == {named}
    [controller] = specs["Deployment/fw-controller"]["containers"]
    assert {"name": "FIXWURX_NODE_IMAGE", "value": named} in controller["env"]


def test_a_node_has_the_time_to_leave_in_order() -> None:
    for drain, grace in (("30", 50), ("90.5", 111)):
        settings = {"FIXWURX_DRAIN_TIMEOUT_SEC": drain}
        objects = rendered({"staticNodes": {"replicas": 1}, "settings": settings})
        spec = pod_specs(objects)["Deployment/fw-node"]
        assert spec["terminationGracePeriodSeconds"] == grace


def test_what_the_template_of_nodes_has_is_in_all_nodes() -> None:
    objects = rendered(FULL)
    for spec in (pod_specs(objects)["Deployment/fw-node"], node_options(objects)["template"]):
        [container] = spec["containers"]
        assert {each["name"] for each in spec["volumes"]} == {"tmp", "work", "cache"}
        assert {each["name"] for each in container["volumeMounts"]} == {"tmp", "work", "cache"}
        assert "PIP_INDEX_URL" in {each["name"] for each in container["env"]}
        assert spec["nodeSelector"] == {"disk": "ssd"}
        assert spec["tolerations"] == [{"key": "bugs", "operator": "Exists"}]


def test_a_password_is_in_secrets_alone() -> None:
    objects = rendered({})
    password = objects["Secret/fw-store"]["stringData"]["password"]
    assert len(password) == 32

    others = {name: each for name, each in objects.items() if each["kind"] != "Secret"}
    assert password not in json.dumps(others)


def test_with_secrets_of_ones_own_the_chart_writes_none() -> None:
    assert not [name for name in rendered(SECRETS) if name.startswith("Secret/")]


def test_the_network_is_closed_but_for_what_is_needed() -> None:
    policies = {n: e["spec"] for n, e in rendered({}).items() if e["kind"] == "NetworkPolicy"}

    assert set(policies) == {
        f"NetworkPolicy/fw-{name}" for name in ("controller", "flower", "nodes", "store")
    }
    for spec in policies.values():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert policies["NetworkPolicy/fw-store"]["egress"] == []
    assert policies["NetworkPolicy/fw-nodes"]["ingress"] == []
    nodes_go_to = policies["NetworkPolicy/fw-nodes"]["egress"]
    [block] = [peer["ipBlock"] for rule in nodes_go_to for peer in rule.get("to", ())
               if "ipBlock" in peer]  # fmt: skip
    assert "169.254.0.0/16" in block["except"], "where clouds keep the keys of their machines"


def test_the_version_of_the_chart_is_ours() -> None:
    with helm.Chart.load(str(CHART)) as chart:
        assert chart.metadata["appVersion"] == fixwurx_celery.__version__


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sotre": {}}, "sotre"),
        ({"store": {"uid": 0}}, "uid"),
        ({"settings": {"FIXWURX_MIN_WORKERS": 1}}, "FIXWURX_MIN_WORKERS"),
        ({"store": {"enabled": False}}, "name the store"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm.HelmError, match=said):
        rendered(values)
