"""Nodes as Pods of one namespace, each created and deleted by us: only then is the one that ends
the one that was drained, which no controller of replicas promises.

    create ──▶ Pending ──▶ Running ──delete──▶ terminating ──last container ends──▶ not listed
               STARTING    RUNNING             STOPPING
                   └──────────┴── ends by itself ──▶ Succeeded, Failed: ENDED ──delete──▶ not listed

All is in the API server: labels and annotations say whose a pod is, which node, and what it has.
"""

import builtins
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers.base import LaunchOrder, ProvidedNode
from fixwurx_celery.providers.deadline import Deadline
from fixwurx_celery.providers.options import read_options
from fixwurx_celery.providers.pod_options import PodOptions
from fixwurx_celery.providers.pod_status import instant, node_of
from fixwurx_celery.providers.pods import (
    CLUSTER,
    NODE,
    PodMaker,
    label_value,
    pod_name,
    secret_name,
)
from fixwurx_celery.providers.telling import passwords_of, server_time
from fixwurx_celery.settings import Settings

__all__ = ["KubernetesProvider"]

Pod = Mapping[str, Any]

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
PAGE: Final = 500
KILL_GRACE_S: Final = 1
"""With 0 the API forgets the pod at once, and its host ends it when it comes round to it, with the
whole grace time. With 1 it is killed, and then forgotten."""

LOOK_EVERY_S: Final = 0.2
"""A pod that was told to end at once does so within 2 or 3 s."""

SILENT_AFTER = timedelta(seconds=20)
"""How long after its grace time a pod may still be there before its host is taken for dead."""


class KubernetesProvider:
    """One Pod a node. For one thread; connects when it is first asked for something."""

    name = "kubernetes"

    def __init__(self, settings: Settings, cluster: str) -> None:
        self._cluster = cluster
        self._options = options = PodOptions.of(
            read_options(settings.provider_options),
            _fields_of(client.V1PodSpec),
            _fields_of(client.V1Container),
        )
        self._pods = PodMaker(
            cluster=cluster,
            image=settings.node_image,
            drain_timeout_s=settings.drain_timeout_sec,
            template=options.template,
            labels=options.labels,
            annotations=options.annotations,
        )
        self._secrets = passwords_of(settings)
        self._configuration, namespace = _configured(options)
        self._namespace = options.namespace or namespace
        self._client = client.ApiClient(self._configuration)
        self._scope = ""

    @property
    def scope(self) -> str:
        """The namespace's id: unlike its name, no other server has it too."""
        if not self._scope:
            with self._asked("read the namespace") as request:
                namespace = request("GET", f"/api/v1/namespaces/{self._namespace}")
            self._scope = f"kubernetes:{namespace['metadata']['uid']}"
        return self._scope

    def worker_id(self, name: str) -> str:
        """As the node's container is told to register."""
        return f"{name}@kubernetes"

    def list(self) -> list[ProvidedNode]:
        """What the namespace has with this cluster's label."""
        with self._asked("list the nodes") as request:
            pods = self._found(request)
            return [node_of(pod, request.server_time, self._secrets) for pod in pods]

    def launch(self, order: LaunchOrder) -> None:
        """Writes the cluster's Secret, and creates the pod unless it is there."""
        with self._asked(f"start node {order.name}") as request:
            owner = self._owner(request)
            self._write_secret(request, self._pods.secret(order, owner))
            try:
                request(
                    "POST",
                    self._path("pods"),
                    body=self._pods.pod(order, self.worker_id(order.name), owner),
                    fieldValidation="Strict",
                )
            except ApiException as error:
                is_ours = error.status == HTTPStatus.CONFLICT and self._found(request, order.name)
                if not is_ours:
                    raise

    def stop(self, name: str) -> None:
        """Deletes the pod with its grace time. One that ended is left to `remove`, to be looked
        at."""
        with self._asked(f"stop node {name}") as request:
            for pod in self._found(request, name):
                has_ended = pod["status"].get("phase") in ("Succeeded", "Failed")
                if not has_ended and not pod["metadata"].get("deletionTimestamp"):
                    self._delete(request, pod)

    def remove(self, name: str) -> None:
        """Has the pod killed, and waits until it is gone; one whose host is silent is forgotten
        when this is called again. The Secret stays: it is all nodes'."""
        with self._asked(f"remove node {name}") as request:
            for pod in self._found(request, name):
                is_silent = _is_overdue(pod, request.server_time)
                self._delete(request, pod, grace_s=0 if is_silent else KILL_GRACE_S)
            while self._found(request, name):
                if request.deadline.left_s() < LOOK_EVERY_S:
                    raise ProviderError(
                        f"cannot remove node {name}: its pod {pod_name(self._cluster, name)} was "
                        "told to end at once, and is still there; when its host stays silent, the "
                        "pod is forgotten at the next attempt"
                    )
                time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """Drops the connections."""
        self._client.rest_client.close()

    # -- the API server --------------------------------------------------------------------

    @contextmanager
    def _asked(self, what: str) -> Iterator["_Requests"]:
        """Requests that are over by the deadline. What they raise becomes a ProviderError."""
        try:
            yield _Requests(self._client, Deadline())
        except ApiException as error:
            raise ProviderError(f"cannot {what}: {_plainly(error)}") from error
        except (HTTPError, OSError) as error:
            said = " ".join(str(error).split())
            raise ProviderError(
                f"cannot {what}: the Kubernetes API at {self._configuration.host} does not answer; "
                f"see `kubectl cluster-info` ({said[-300:]})"
            ) from error
        except ConfigException as error:  # the token's file has gone
            raise ProviderError(f"cannot {what}: {error}") from error

    def _path(self, kind: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self._namespace}/{kind}" + (f"/{name}" if name else "")

    def _found(self, request: "_Requests", name: str = "") -> builtins.list[Pod]:
        """The pods of the cluster, or of that node. Hashes in labels may be anybody's; annotations
        decide."""
        selector = f"{CLUSTER}={label_value(self._cluster)}"
        selector += f",{NODE}={label_value(name)}" if name else f",{NODE}"
        found: builtins.list[Pod] = []
        more = ""
        while True:
            page = request(
                "GET",
                self._path("pods"),
                labelSelector=selector,
                limit=str(PAGE),
                **({"continue": more} if more else {}),
            )
            found += page["items"]
            more = page["metadata"].get("continue") or ""
            if not more:
                break
        return [
            pod
            for pod in found
            if (said := pod["metadata"].get("annotations") or {}).get(CLUSTER) == self._cluster
            and said.get(NODE) == (name or said.get(NODE))
        ]

    def _owner(self, request: "_Requests") -> dict[str, Any] | None:
        """Read anew each time: who was deleted and made again has another id, and pods of an owner
        that is none are deleted."""
        if self._options.owner is None:
            return None
        kind, name = self._options.owner
        path = f"/apis/apps/v1/namespaces/{self._namespace}/{self._options.owner_path}"
        owner = request("GET", path)
        return {
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": name,
            "uid": owner["metadata"]["uid"],
        }

    def _write_secret(self, request: "_Requests", secret: Mapping[str, Any]) -> None:
        """Patched, so that nobody needs the right to read Secrets; created the first time."""
        path = self._path("secrets", secret_name(self._cluster))
        try:
            request("PATCH", path, body=secret)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            try:
                request("POST", self._path("secrets"), body=secret)
            except ApiException as again:  # another process was first
                if again.status != HTTPStatus.CONFLICT:
                    raise
                request("PATCH", path, body=secret)

    def _delete(self, request: "_Requests", pod: Pod, grace_s: int | None = None) -> None:
        """That very pod; harmless when it is gone, or another of its name is there."""
        meta = pod["metadata"]
        body: dict[str, Any] = {"preconditions": {"uid": meta["uid"]}}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            request("DELETE", self._path("pods", meta["name"]), body=body)
        except ApiException as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise


class _Requests:
    """Bare requests to the API server: a newer server's answers are as good as ours."""

    def __init__(self, api: Any, deadline: Deadline) -> None:
        self._api, self.deadline = api, deadline
        self.server_time = server_time(None)

    def __call__(self, method: str, path: str, *, body: Any = None, **query: str) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        answer = self._api.call_api(
            *self._api.param_serialize(
                method,
                path,
                query_params=builtins.list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            ),
            _request_timeout=self.deadline.left_s(),
        )
        data = answer.read()
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise ApiException(http_resp=answer)
        self.server_time = server_time(answer.headers.get("Date"))
        return json.loads(data)


def _is_overdue(pod: Pod, now: datetime) -> bool:
    since = pod["metadata"].get("deletionTimestamp")
    return since is not None and now - instant(since) > SILENT_AFTER


def _plainly(error: ApiException) -> str:
    try:
        said = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        said = error.reason or ""
    said = " ".join(str(said).split())
    match error.status:
        case HTTPStatus.UNAUTHORIZED:
            return f"the Kubernetes API does not know us: renew the token or kubeconfig ({said})"
        case HTTPStatus.FORBIDDEN:
            return (
                f"the Kubernetes API forbids it: {said}; docker/kubernetes/rbac.yaml has the "
                "role that is needed"
            )
    return f"the Kubernetes API says: {said}"


def _fields_of(model: Any) -> set[str]:
    """The names of the fields of one of the client's models, as YAML has them."""
    return {described.alias or name for name, described in model.model_fields.items()}


def _configured(options: PodOptions) -> tuple[Any, str]:
    """How the API is reached, and the namespace where nothing names one."""
    configuration = client.Configuration()
    # urllib3 would try three times more, each for the whole of the time.
    configuration.retries = 0
    is_inside = "KUBERNETES_SERVICE_HOST" in os.environ and not options.kubeconfig
    try:
        if is_inside and not options.context:
            config.load_incluster_config(client_configuration=configuration)
            return configuration, OWN_NAMESPACE.read_text().strip()
        file = options.kubeconfig or None
        config.load_kube_config(file, options.context or None, configuration)
        contexts, active = config.list_kube_config_contexts(file)
        chosen = next((c for c in contexts if c["name"] == options.context), active)
        return configuration, chosen["context"].get("namespace") or "default"
    except (ConfigException, OSError) as error:
        raise ConfigurationError(
            [
                f"cannot tell where the Kubernetes API is: {error}; give the option kubeconfig, or "
                "set KUBECONFIG"
            ]
        ) from error
