"""Nodes as Pods of one namespace, each created and deleted by us: only then is the one that ends
the one that was drained, which no controller of replicas promises.

    create ──▶ Pending ──▶ Running ──delete──▶ terminating ──last container ends──▶ not listed
               STARTING    RUNNING             STOPPING
                   └──────────┴── ends by itself ──▶ Succeeded, Failed: ENDED ──delete──▶ not listed

All is in the API server: labels and annotations say whose a pod is, which node, and what it has.
"""

import builtins
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from fixwurx_celery.errors import ProviderError
from fixwurx_celery.providers.base import LaunchOrder, ProvidedNode
from fixwurx_celery.providers.kubernetes_api import (
    ApiException,
    KubernetesApi,
    Requests,
    container_fields,
    spec_fields,
)
from fixwurx_celery.providers.launching import CLUSTER, NODE
from fixwurx_celery.providers.options import read_options, split_kinds
from fixwurx_celery.providers.pod_options import OF_A_KIND, PodOptions
from fixwurx_celery.providers.pod_status import instant, node_of
from fixwurx_celery.providers.pods import (
    PodMaker,
    label_value,
    pod_name,
    secret_name,
)
from fixwurx_celery.providers.telling import passwords_of
from fixwurx_celery.settings import Settings

__all__ = ["KubernetesProvider"]

Pod = Mapping[str, Any]

PAGE: Final = 500
KILL_GRACE_S: Final = 1
"""With 0 the API forgets the pod at once, and its host ends it when it comes round to it, with the
whole grace time. With 1 it is killed, and then forgotten."""

SILENT_AFTER = timedelta(seconds=6)
"""How long after its grace time a pod may still be listed before it is forgotten. A host that is
there has killed it by then, 2 s after it was told, but an old one may take 10 s more to say so."""

LOOK_EVERY_S: Final = 0.2


class KubernetesProvider:
    """One Pod a node. For one thread; connects when it is first asked for something."""

    name = "kubernetes"

    def __init__(self, settings: Settings, cluster: str) -> None:
        self._cluster = cluster
        usual, kinds = split_kinds(read_options(settings.provider_options), settings.launchable)
        fields = spec_fields(), container_fields()
        self._options = options = PodOptions.of(usual, *fields)
        self._usual = PodMaker.of(settings, cluster, options)
        self._kinds = {
            spec: PodMaker.of(
                settings, cluster, PodOptions.of(given, *fields, OF_A_KIND).over(options)
            )
            for spec, given in kinds.items()
        }
        self._secrets = passwords_of(settings)
        self._api = KubernetesApi(options)
        self._scope = ""

    @property
    def scope(self) -> str:
        """The namespace's id: unlike its name, no other server has it too."""
        if not self._scope:
            with self._api.asked("read the namespace") as request:
                namespace = request("GET", f"/api/v1/namespaces/{self._api.namespace}")
            self._scope = f"kubernetes:{namespace['metadata']['uid']}"
        return self._scope

    def worker_id(self, name: str) -> str:
        """As the node's container is told to register."""
        return f"{name}@kubernetes"

    def is_gone(self, scope: str) -> bool:  # noqa: ARG002 - a Provider's method
        """See Provider. Of others it knows nothing."""
        return False

    def list(self) -> list[ProvidedNode]:
        """What the namespace has with this cluster's label."""
        with self._api.asked("list the nodes") as request:
            pods = self._found(request)
            return [node_of(pod, request.server_time, self._secrets) for pod in pods]

    def launch(self, order: LaunchOrder) -> None:
        """Writes the cluster's Secret, and creates the pod unless it is there."""
        with self._api.asked(f"start node {order.name}") as request:
            owner = self._owner(request)
            maker = self._kinds.get(order.spec, self._usual)
            self._write_secret(request, maker.secret(order, owner))
            try:
                request(
                    "POST",
                    self._path("pods"),
                    body=maker.pod(order, self.worker_id(order.name), owner),
                    fieldValidation="Strict",
                )
            except ApiException as error:
                is_ours = error.status == HTTPStatus.CONFLICT and self._found(request, order.name)
                if not is_ours:
                    raise

    def stop(self, name: str) -> None:
        """Deletes the pod with its grace time. One that ended is left to `remove`, to be looked
        at."""
        with self._api.asked(f"stop node {name}") as request:
            for pod in self._found(request, name):
                if not _is_dead(pod) and not pod["metadata"].get("deletionTimestamp"):
                    self._delete(request, pod)

    def remove(self, name: str) -> None:
        """Has the pod killed, and waits until it is gone; one whose host is silent is forgotten
        then. The Secret stays: it is all nodes'."""
        with self._api.asked(f"remove node {name}") as request:
            is_told = False
            while pods := self._found(request, name):
                living = [pod for pod in pods if not _is_dead(pod)]
                for pod in pods:
                    if pod not in living or _is_overdue(pod, request.server_time):
                        self._delete(request, pod, grace_s=0)
                    elif not is_told:
                        self._delete(request, pod, grace_s=KILL_GRACE_S)
                is_told = True
                if request.deadline.left_s() < LOOK_EVERY_S:
                    raise ProviderError(
                        f"cannot remove node {name}: its pod {pod_name(self._cluster, name)} was "
                        "deleted and is still there; see its finalizers"
                    )
                if living:
                    time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """Drops the connections."""
        self._api.close()

    # -- the API server --------------------------------------------------------------------

    def _path(self, kind: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self._api.namespace}/{kind}" + (f"/{name}" if name else "")

    def _found(self, request: Requests, name: str = "") -> builtins.list[Pod]:
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

    def _owner(self, request: Requests) -> dict[str, Any] | None:
        """Read anew each time: who was deleted and made again has another id, and pods of an owner
        that is none are deleted."""
        if self._options.owner is None:
            return None
        kind, name = self._options.owner
        path = f"/apis/apps/v1/namespaces/{self._api.namespace}/{self._options.owner_path}"
        owner = request("GET", path)
        return {
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": name,
            "uid": owner["metadata"]["uid"],
        }

    def _write_secret(self, request: Requests, secret: Mapping[str, Any]) -> None:
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

    def _delete(self, request: Requests, pod: Pod, grace_s: int | None = None) -> None:
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


def _is_dead(pod: Pod) -> bool:
    """Whether its host has said that no container of it runs any more."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _is_overdue(pod: Pod, now: datetime) -> bool:
    since = pod["metadata"].get("deletionTimestamp")
    return since is not None and now - instant(since) > SILENT_AFTER
