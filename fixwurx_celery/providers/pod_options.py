"""The options of the `kubernetes` provider."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.providers.options import unknown_names

__all__ = ["CONTAINER", "OF_A_KIND", "PodOptions"]

CONTAINER: Final = "node"
"""The container of a pod that is the node."""

KNOWN: Final = (
    "annotations", "context", "kubeconfig", "labels", "namespace", "owner", "template"
)  # fmt: skip
OF_A_KIND: Final = ("annotations", "labels", "template")
OWNERS: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
PREFIX: Final = "fixwurx."

OURS_IN_SPEC: Final = {
    "restartPolicy": "the cluster itself replaces nodes that ended",
    "ephemeralContainers": "a pod is created without them",
}
OURS_IN_CONTAINER: Final = {
    "args": "a node runs `celery worker`",
    "image": "set FIXWURX_NODE_IMAGE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """Where pods are made, by whose right, and from what. `owner` is a kind and a name."""

    namespace: str = ""
    kubeconfig: str = ""
    context: str = ""
    owner: tuple[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        given: Mapping[str, Any],
        spec_fields: Collection[str],
        container_fields: Collection[str],
        known: Collection[str] = KNOWN,
    ) -> "PodOptions":
        """Raises ConfigurationError with all that is wrong. The fields are those that a Pod's spec
        and a container have, as the client knows them."""
        problems = [*unknown_names(given, known), *_problems(given, spec_fields, container_fields)]
        if problems:
            raise ConfigurationError(problems)
        kind, _, name = str(given.get("owner") or "").partition("/")
        return cls(
            namespace=given.get("namespace") or "",
            kubeconfig=given.get("kubeconfig") or "",
            context=given.get("context") or "",
            owner=(kind, name) if name else None,
            labels=given.get("labels") or {},
            annotations=given.get("annotations") or {},
            template=given.get("template") or {},
        )

    def over(self, usual: "PodOptions") -> "PodOptions":
        """Those of one kind of node: of what makes a pod, ours where we say something; the rest is
        as usual."""
        template = {**usual.template, **self.template}
        if self.template.get("containers") and usual.template.get("containers"):
            [theirs], [ours] = usual.template["containers"], self.template["containers"]
            template["containers"] = [{**theirs, **ours}]
        return replace(
            usual,
            labels={**usual.labels, **self.labels},
            annotations={**usual.annotations, **self.annotations},
            template=template,
        )

    @property
    def owner_path(self) -> str:
        """Where the API has the owner, below its namespace."""
        kind, name = self.owner or ("", "")
        return f"{OWNERS[kind]}/{name}"


def _problems(
    given: Mapping[str, Any], spec_fields: Collection[str], container_fields: Collection[str]
) -> Iterator[str]:
    for name in ("namespace", "kubeconfig", "context", "owner"):
        if not isinstance(given.get(name) or "", str):
            yield f"the option {name} must be a text"
    if given.get("owner"):
        kind, _, name = str(given["owner"]).partition("/")
        if kind not in OWNERS or not name:
            yield (
                f"the option owner={given['owner']} must be written KIND/NAME, where KIND is "
                + " or ".join(OWNERS)
            )
    for name in ("labels", "annotations"):
        said = given.get(name) or {}
        if not isinstance(said, dict) or not all(isinstance(v, str) for v in said.values()):
            yield f"the option {name} must be a mapping of names to texts (quote numbers)"
        elif any(key.startswith(PREFIX) for key in said):
            yield f"the option {name} must leave those that begin with {PREFIX} to the cluster"
    yield from _problems_of_template(given.get("template") or {}, spec_fields, container_fields)


def _problems_of_template(
    template: Any, spec_fields: Collection[str], container_fields: Collection[str]
) -> Iterator[str]:
    if not isinstance(template, dict):
        yield "the option template must be a mapping: fields of a Pod's spec"
        return
    yield from unknown_names(template, spec_fields, "template.")
    for name in sorted(template.keys() & OURS_IN_SPEC.keys()):
        yield f"the option template.{name} is the provider's own: {OURS_IN_SPEC[name]}"
    containers = template.get("containers") or []
    if not isinstance(containers, list) or not all(isinstance(c, dict) for c in containers):
        yield "the option template.containers must be a list of containers"
        return
    if len(containers) > 1 or any(c.get("name", CONTAINER) != CONTAINER for c in containers):
        yield (
            f"the option template.containers may have one container, named {CONTAINER}: a pod "
            "ends when all its containers do; what must run beside a node is an initContainer "
            "with restartPolicy: Always"
        )
    for container in containers:
        yield from unknown_names(container, container_fields, "template.containers[0].")
        for name in sorted(container.keys() & OURS_IN_CONTAINER.keys()):
            yield (
                f"the option template.containers[0].{name} is the provider's own: "
                f"{OURS_IN_CONTAINER[name]}"
            )
