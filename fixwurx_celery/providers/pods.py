"""A node as a Pod, and the Secret that all of a cluster's nodes read: what is written of them.

Names and labels of Kubernetes are shorter and narrower than ours. Where one of ours does not fit, a
hash stands for its end, and the whole of it is in an annotation.
"""

import hashlib
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any, Final

from fixwurx_celery.providers.base import LaunchOrder
from fixwurx_celery.providers.launching import node_command, node_environment
from fixwurx_celery.providers.pod_options import CONTAINER, PodOptions
from fixwurx_celery.settings import Settings

__all__ = [
    "CLUSTER",
    "NODE",
    "PROFILE",
    "PodMaker",
    "label_value",
    "pod_name",
    "secret_name",
]

CLUSTER, NODE, PROFILE = "fixwurx.cluster", "fixwurx.node", "fixwurx.profile"
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST: Final = 63
DIGITS: Final = 12
PREFIX: Final = "fixwurx-"
DRAIN_MARGIN_S: Final = 30
"""What a node needs, after the time that it lets its bugs run, to give them back and leave."""

SETTINGS: Final = frozenset(f.metadata["env"] for f in fields(Settings))
SENSITIVE = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")

DEFAULTS: Final[Mapping[str, Any]] = {
    # A node runs other people's code, which must not find a way to the API.
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    # As process 1 of its container a node would not hear SIGTERM before it has set itself up. So
    # the pod's own pause process is the first one.
    "shareProcessNamespace": True,
}
"""Of a pod's spec; the template may say otherwise."""


def label_value(text: str) -> str:
    """The text itself where it may be the value of a label."""
    return text if LABEL.fullmatch(text) else _hashed(text)


def pod_name(cluster: str, name: str) -> str:
    """A DNS label, so that it may also be the pod's host name."""
    return _dns_label(f"{cluster}-{name}")


def secret_name(cluster: str) -> str:
    """Of the one Secret of this cluster."""
    return _dns_label(cluster)


def _dns_label(text: str) -> str:
    fits = NAME.fullmatch(text) and len(PREFIX + text) <= LONGEST
    return PREFIX + (text if fits else _hashed(text, LONGEST - len(PREFIX)).lower())


def _hashed(text: str, longest: int = LONGEST) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    kept = re.sub(r"[^A-Za-z0-9-]", "-", text)[: longest - DIGITS - 1].strip("-")
    return f"{kept}-{digest}".lstrip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMaker:
    """Writes the pods and the Secret of one cluster."""

    cluster: str
    image: str
    drain_timeout_s: float
    template: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, cluster: str, options: PodOptions) -> "PodMaker":
        """For nodes with these options."""
        return cls(
            cluster=cluster,
            image=settings.node_image,
            drain_timeout_s=settings.drain_timeout_sec,
            template=options.template,
            labels=options.labels,
            annotations=options.annotations,
        )

    def pod(
        self, order: LaunchOrder, worker_id: str, owner: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The order's. What the template has is kept, but for what makes it a node of ours."""
        spec = {**DEFAULTS, **deepcopy(dict(self.template))}
        if spec.get("hostPID"):
            del spec["shareProcessNamespace"]
        [theirs] = spec.pop("containers", None) or [{}]
        environment = self._environment(order)
        names = {variable["name"] for variable in environment}
        spec |= {
            "restartPolicy": "Never",
            "containers": [
                {
                    # The end of the log of one that failed is then in the pod's status: nobody
                    # needs the right to read logs.
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    **theirs,
                    "name": CONTAINER,
                    "image": self.image,
                    # Not `command`: an image's entrypoint stays in force.
                    "args": [_literal(word) for word in node_command(worker_id)],
                    "env": [
                        *(v for v in theirs.get("env", ()) if v.get("name") not in names),
                        *environment,
                    ],
                }
            ],
        }
        spec.setdefault(
            "terminationGracePeriodSeconds", ceil(self.drain_timeout_s) + DRAIN_MARGIN_S
        )
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod_name(self.cluster, order.name),
                "labels": {
                    **self.labels,
                    CLUSTER: label_value(self.cluster),
                    NODE: label_value(order.name),
                },
                "annotations": {
                    **self.annotations,
                    CLUSTER: self.cluster,
                    NODE: order.name,
                    PROFILE: order.spec.profile,
                },
                "ownerReferences": [dict(owner)] if owner else [],
            },
            "spec": spec,
        }

    def secret(self, order: LaunchOrder, owner: Mapping[str, Any] | None) -> dict[str, Any]:
        """What of the order's environment no pod may show. Others' variables stay in it."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret_name(self.cluster),
                "labels": {CLUSTER: label_value(self.cluster)},
                "annotations": {CLUSTER: self.cluster},
                "ownerReferences": [dict(owner)] if owner else [],
            },
            "stringData": {
                name: value
                for name, value in node_environment(order).items()
                if _is_secret(name, value)
            },
        }

    def _environment(self, order: LaunchOrder) -> list[dict[str, Any]]:
        secret = secret_name(self.cluster)
        return [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
            if _is_secret(name, value)
            else {"name": name, "value": _literal(value)}
            for name, value in sorted(node_environment(order).items())
        ]


def _is_secret(name: str, value: str) -> bool:
    """Whether a pod's spec may not show it: an address may have a password, and what is none of
    our settings may be anything, an engine's token for example."""
    return name not in SETTINGS or "://" in value or bool(SENSITIVE.search(name))


def _literal(text: str) -> str:
    """Kubernetes puts variables in for `$(NAME)`, and one `$` for two."""
    return text.replace("$", "$$")
