"""Nodes in pods: what is Kubernetes' own about them."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers import ProvidedState, Provider
from tests.providers.conftest import MakeCluster
from tests.support.documented import prose, shown
from tests.support.kube import Kube
from tests.support.provided_cluster import SPEC, ProvidedCluster
from tests.support.provider_beds import KubernetesBed
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kubernetes

RBAC = ROOT / "docker/kubernetes/rbac.yaml"
ACCOUNT = "fixwurx-controller"
OWNER = "Deployment/fixwurx-controller"


@pytest.fixture
def cluster(kubernetes_bed: KubernetesBed, make_cluster: MakeCluster) -> ProvidedCluster:
    return make_cluster(kubernetes_bed)


@pytest.fixture
def deployment(kubernetes_bed: KubernetesBed) -> Iterator[dict[str, Any]]:
    """Of a controller, without replicas."""
    made = deploy(kubernetes_bed.kube, kubernetes_bed.namespace)
    yield made
    path = f"/apis/apps/v1/namespaces/{kubernetes_bed.namespace}/deployments/{ACCOUNT}"
    if kubernetes_bed.kube.has(path):
        kubernetes_bed.kube.ask("DELETE", path)


def deploy(kube: Kube, namespace: str) -> dict[str, Any]:
    """A Deployment of a controller, without replicas."""
    labels = {"app": "controller"}
    container = {"name": "c", "image": "none"}
    made: dict[str, Any] = kube.ask(
        "POST",
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        {
            "metadata": {"name": ACCOUNT},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    )
    return made


def of(bed: KubernetesBed, kind: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{bed.namespace}/{kind}" + (f"/{name}" if name else "")


def test_a_pod_says_whose_it_is_and_what_it_has(
    cluster: ProvidedCluster, kubernetes_bed: KubernetesBed
) -> None:
    cluster.launch("n1")

    pod = kubernetes_bed.kube.ask("GET", of(kubernetes_bed, "pods", f"fixwurx-{cluster.id}-n1"))
    assert pod["metadata"]["labels"] == {"fixwurx.cluster": cluster.id, "fixwurx.node": "n1"}
    assert pod["metadata"]["annotations"]["fixwurx.profile"] == SPEC.profile
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_the_password_is_in_the_secret_only_and_changes_with_it(
    cluster: ProvidedCluster, kubernetes_bed: KubernetesBed
) -> None:
    kube, path = kubernetes_bed.kube, of(kubernetes_bed, "secrets", f"fixwurx-{cluster.id}")

    def secret() -> dict[str, str]:
        data = kube.ask("GET", path)["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    address = cluster.settings.redis_url
    password = address.partition("://:")[2].partition("@")[0]
    cluster.launch("n1")
    pods = json.dumps(kube.ask("GET", of(kubernetes_bed, "pods")))
    assert password not in pods
    assert secret() == {"FIXWURX_REDIS_URL": address}

    cluster.provider.launch(cluster.order("n2", MY_TOKEN="t1"))
    cluster.provider.launch(cluster.order("n3", MY_TOKEN="t2"))

    assert secret() == {"FIXWURX_REDIS_URL": address, "MY_TOKEN": "t2"}
    assert len(kube.ask("GET", of(kubernetes_bed, "secrets"))["items"]) >= 1
    cluster.provider.remove("n1")
    assert kube.has(path)


def test_a_pod_that_fits_nowhere_is_starting_and_says_why(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster
) -> None:
    template = kubernetes_bed.template(nodeSelector={"disk": "none-such"})
    cluster = make_cluster(kubernetes_bed, template=template)

    cluster.launch("n1")

    wait_until("it says why", lambda: "Unschedulable" in cluster.node("n1").detail)  # type: ignore[union-attr]
    assert cluster.node("n1").state is ProvidedState.STARTING  # type: ignore[union-attr]
    cluster.provider.stop("n1")
    cluster.waits_until_unlisted("n1")


def test_a_pod_without_its_image_is_starting_and_says_why(
    cluster: ProvidedCluster,
) -> None:
    cluster.another(node_image="nowhere/nothing:1").launch(cluster.order("n1"))

    wait_until(
        "it says why",
        lambda: "ErrImageNeverPull" in cluster.node("n1").detail,  # type: ignore[union-attr]
        within_s=30,
    )
    assert "nowhere/nothing:1" in cluster.node("n1").detail  # type: ignore[union-attr]
    assert cluster.node("n1").state is ProvidedState.STARTING  # type: ignore[union-attr]


def test_a_pod_whose_configuration_is_missing_is_starting_and_says_why(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster
) -> None:
    missing = {"configMapRef": {"name": "none-such"}}
    template = kubernetes_bed.template({"envFrom": [missing]})
    cluster = make_cluster(kubernetes_bed, template=template)

    cluster.launch("n1")

    wait_until(
        "it says why",
        lambda: "CreateContainerConfigError" in cluster.node("n1").detail,  # type: ignore[union-attr]
        within_s=30,
    )
    assert "none-such" in cluster.node("n1").detail  # type: ignore[union-attr]


def test_a_node_out_of_memory_says_so(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster
) -> None:
    template = kubernetes_bed.template({"resources": {"limits": {"memory": "24Mi"}}})
    cluster = make_cluster(kubernetes_bed, template=template)

    cluster.launch("n1")

    ended = cluster.waits_for("n1", ProvidedState.ENDED)
    assert ended.detail.startswith("exit status 137, OOMKilled")


def test_nodes_go_with_their_owner(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster, deployment: dict[str, Any]
) -> None:
    cluster = make_cluster(kubernetes_bed, owner=OWNER)
    kube = kubernetes_bed.kube
    cluster.launch("n1")
    cluster.waits_until_registered("n1")
    secret = of(kubernetes_bed, "secrets", f"fixwurx-{cluster.id}")
    owners = kube.ask("GET", secret)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [deployment["metadata"]["uid"]]

    path = f"/apis/apps/v1/namespaces/{kubernetes_bed.namespace}/deployments/{ACCOUNT}"
    kube.ask("DELETE", path)

    cluster.waits_until_unlisted("n1")
    cluster.waits_until_offline("n1")
    wait_until("its Secret is gone", lambda: not kube.has(secret), within_s=30)


@pytest.fixture
def documented_namespace(kubernetes_bed: KubernetesBed) -> Iterator[str]:
    """The one of the page, with the controller that it names, on a host with the label that it
    asks for."""
    kube, [node] = kubernetes_bed.kube, kubernetes_bed.kube.ask("GET", "/api/v1/nodes")["items"]
    host = f"/api/v1/nodes/{node['metadata']['name']}"
    kube.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "fixwurx"}})
    labelled = kube.ask("GET", host)
    labelled["metadata"]["labels"]["disk"] = "ssd"
    kube.ask("PUT", host, labelled)
    account = "/api/v1/namespaces/fixwurx/serviceaccounts/default"
    wait_until("the namespace takes pods", lambda: kube.has(account), within_s=20)
    deploy(kube, "fixwurx")
    yield "fixwurx"
    kube.ask("DELETE", "/api/v1/namespaces/fixwurx")
    gone = "/api/v1/namespaces/fixwurx"
    wait_until("the namespace is gone", lambda: not kube.has(gone), within_s=90)


def test_a_node_with_the_options_of_the_page_works_and_its_secret_goes_as_it_is_written(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster, documented_namespace: str
) -> None:
    """Beside what every pod needs here: this host's network and its programs."""
    kube = kubernetes_bed.kube
    options = yaml.safe_load(shown("providers.md", "kubernetes", "yaml")[0])
    assert options["namespace"] == documented_namespace
    written, needed = options.pop("template"), kubernetes_bed.template()
    [own], [other] = written["containers"], needed["containers"]
    mounts = [each for each in other["volumeMounts"] if each["mountPath"] != "/tmp"]
    template = {
        **needed,
        **written,
        "volumes": written["volumes"] + needed["volumes"],
        "containers": [{**other, **own, "volumeMounts": own["volumeMounts"] + mounts}],
    }
    cluster = make_cluster(kubernetes_bed, template=template, **options)

    cluster.launch("n1")
    cluster.waits_until_registered("n1")

    in_namespace = f"/api/v1/namespaces/{documented_namespace}"
    pod = kube.ask("GET", f"{in_namespace}/pods/fixwurx-{cluster.id}-n1")
    assert pod["metadata"]["labels"]["team"] == "bugs"
    assert pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert [each["name"] for each in pod["metadata"]["ownerReferences"]] == [ACCOUNT]
    [container] = pod["spec"]["containers"]
    assert container["resources"] == own["resources"]
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert kube.has(f"{in_namespace}/secrets/fixwurx-{cluster.id}")
    if not shutil.which("kubectl"):
        pytest.skip("the rest needs kubectl")
    lines = "\n".join(line for _, line in prose("providers.md"))
    [command] = re.findall(r"`(kubectl [^`]+)`", lines)
    words = shlex.split(command.replace("CLUSTER", cluster.id))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(kubernetes_bed.folder),  # kubectl keeps what it has seen there
        "KUBECONFIG": str(kubernetes_bed.kubeconfig),
    }
    subprocess.run(words, env=environment, check=True, timeout=60)
    assert not kube.has(f"{in_namespace}/secrets/fixwurx-{cluster.id}")


def test_an_owner_that_is_not_there_is_refused_before_anything_is_made(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(kubernetes_bed, owner="Deployment/none-such")

    with pytest.raises(ProviderError) as refused:
        cluster.launch("n1")

    assert str(refused.value) == (
        'cannot start node n1: the Kubernetes API says: deployments.apps "none-such" not found'
    )
    assert list(cluster.provider.list()) == []
    assert not kubernetes_bed.kube.has(of(kubernetes_bed, "secrets", f"fixwurx-{cluster.id}"))


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            {"dnsPolicy": "Whatever"},
            'Unsupported value: "Whatever"',
        ),
        (
            {"priorityClassName": "none-such"},
            "no PriorityClass with name none-such was found",
        ),
    ],
)
def test_a_template_that_the_server_refuses_is_told_in_its_words(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster, field: dict[str, str], said: str
) -> None:
    cluster = make_cluster(kubernetes_bed, template=kubernetes_bed.template(**field))

    with pytest.raises(ProviderError) as refused:
        cluster.launch("n1")

    assert said in str(refused.value)
    assert "rbac.yaml" not in str(refused.value)
    assert list(cluster.provider.list()) == []


def test_an_unknown_field_of_the_template_is_refused_at_once(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster
) -> None:
    with pytest.raises(ConfigurationError, match="did you mean tolerations"):
        make_cluster(kubernetes_bed, template={"toleration": []})


def test_a_server_that_is_not_there_is_told_with_the_way_out(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster, tmp_path: Path
) -> None:
    said = yaml.safe_load(kubernetes_bed.kubeconfig.read_text())
    said["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "nobody.kubeconfig").write_text(yaml.safe_dump(said))
    cluster = make_cluster(kubernetes_bed)
    options = kubernetes_bed.settings(kubeconfig=str(tmp_path / "nobody.kubeconfig"))
    provider = cluster.another(**options)

    with pytest.raises(ProviderError) as refused:
        provider.list()

    assert str(refused.value).startswith(
        "cannot list the nodes: the Kubernetes API at https://127.0.0.1:1 does not answer; "
        "see `kubectl cluster-info` ("
    )


def test_a_token_that_nobody_knows_is_told_with_the_way_out(
    kubernetes_bed: KubernetesBed, cluster: ProvidedCluster
) -> None:
    wrong = kubernetes_bed.kube.kubeconfig("wrong", "wrong.kubeconfig")
    provider = cluster.another(**kubernetes_bed.settings(kubeconfig=str(wrong)))

    with pytest.raises(ProviderError, match="does not know us: renew the token or kubeconfig"):
        provider.list()


def test_a_pod_whose_host_is_silent_is_forgotten_and_ended_when_the_host_is_back(
    kubernetes_bed: KubernetesBed, cluster: ProvidedCluster
) -> None:
    cluster.launch("n1")
    cluster.waits_until_registered("n1")

    with kubernetes_bed.kube.silent_host():
        cluster.provider.remove("n1")

        assert list(cluster.provider.list()) == []
        assert cluster.registered("n1").state is WorkerState.READY  # type: ignore[union-attr]

    cluster.waits_until_offline("n1")


# -- the role that is shipped ------------------------------------------------------------------


def everything(cluster: ProvidedCluster, provider: Provider, name: str) -> None:
    """All that a controller asks of the provider, the first time and again."""
    assert provider.scope.startswith("kubernetes:")
    for _ in range(2):
        provider.launch(cluster.order(name))
    assert [node.name for node in provider.list()] == [name]
    provider.stop(name)
    provider.remove(name)


def apply_rbac(kube: Kube, namespace: str, without: tuple[int, str] | None = None) -> Path:
    """The shipped file, in that namespace; perhaps without a verb of a rule. A kubeconfig of its
    account."""
    folders = {
        "ServiceAccount": f"/api/v1/namespaces/{namespace}/serviceaccounts",
        "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
        "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    }
    text = RBAC.read_text().replace("namespace: fixwurx\n", f"namespace: {namespace}\n")
    for document in yaml.safe_load_all(text):
        if document["kind"] == "Role" and without:
            rule = document["rules"][without[0]]
            rule["verbs"].remove(without[1])
            if not rule["verbs"]:
                document["rules"].remove(rule)
        kube.ask("POST", folders[document["kind"]], document)
    return kube.kubeconfig(kube.token_of(namespace, ACCOUNT), f"{namespace}.kubeconfig")


def verbs() -> list[tuple[int, str]]:
    """Each verb of each rule of the shipped role."""
    role = next(d for d in yaml.safe_load_all(RBAC.read_text()) if d["kind"] == "Role")
    return [(i, verb) for i, rule in enumerate(role["rules"]) for verb in rule["verbs"]]


def test_a_controller_in_a_pod_is_who_its_account_is(
    kubernetes_bed: KubernetesBed,
    make_cluster: MakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    kube = kubernetes_bed.kube
    with kube.namespace() as namespace:
        apply_rbac(kube, namespace)
        mounted = {
            "token": kube.token_of(namespace, ACCOUNT),
            "ca.crt": kube.certificate.read_text(),
            "namespace": namespace,
        }
        for name, text in mounted.items():  # as the kubelet does it, elsewhere
            (tmp_path / name).write_text(text)
        inside = "kubernetes.config.incluster_config"
        monkeypatch.setattr(f"{inside}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
        monkeypatch.setattr(f"{inside}.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
        own_namespace = "fixwurx_celery.providers.kubernetes_api.OWN_NAMESPACE"
        monkeypatch.setattr(own_namespace, tmp_path / "namespace")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(kube.port))
        cluster = make_cluster(kubernetes_bed)

        provider = cluster.another(**kubernetes_bed.settings(kubeconfig=None, namespace=None))

        provider.launch(cluster.order("n1"))
        assert [node.name for node in provider.list()] == ["n1"]
        assert kube.has(f"/api/v1/namespaces/{namespace}/pods/fixwurx-{cluster.id}-n1")
        provider.close()


@pytest.mark.parametrize("without", [None, *verbs()])
def test_the_shipped_role_is_enough_and_every_verb_of_it_is_needed(
    kubernetes_bed: KubernetesBed, make_cluster: MakeCluster, without: tuple[int, str] | None
) -> None:
    kube = kubernetes_bed.kube
    with kube.namespace() as namespace:
        kubeconfig = apply_rbac(kube, namespace, without)
        deploy(kube, namespace)
        cluster = make_cluster(kubernetes_bed)
        options = kubernetes_bed.settings(
            kubeconfig=str(kubeconfig), namespace=namespace, owner=OWNER
        )
        provider = cluster.another(**options)

        if without is None:
            everything(cluster, provider, "n1")
        else:
            with pytest.raises(ProviderError) as refused:
                everything(cluster, provider, "n1")
            assert "docker/kubernetes/rbac.yaml has the role that is needed" in str(refused.value)
            assert f"cannot {without[1]} resource" in str(refused.value).replace('"', "")
