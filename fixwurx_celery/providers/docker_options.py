"""The options of the `docker` provider: what of `docker create` a node may be given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.providers.launching import LABEL_PREFIX
from fixwurx_celery.providers.options import unknown_names

__all__ = ["KNOWN", "DockerOptions"]

CONTAINER: Final = frozenset(
    {"domainname", "entrypoint", "healthcheck", "hostname", "platform", "user", "working_dir"}
)
"""Options of the container itself, as the SDK's `create_container` names them."""

HOST: Final = frozenset(
    {
        "blkio_weight", "cap_add", "cap_drop", "cgroup_parent", "cgroupns", "cpu_period",
        "cpu_quota", "cpu_shares", "cpuset_cpus", "cpuset_mems", "device_cgroup_rules",
        "device_requests", "devices", "dns", "dns_opt", "dns_search", "extra_hosts", "group_add",
        "init", "ipc_mode", "log_config", "mem_limit", "mem_reservation", "mem_swappiness",
        "memswap_limit", "mounts", "nano_cpus", "network_mode", "oom_kill_disable",
        "oom_score_adj", "pid_mode", "pids_limit", "privileged", "read_only", "runtime",
        "security_opt", "shm_size", "storage_opt", "sysctls", "tmpfs", "ulimits", "userns_mode",
        "uts_mode", "volume_driver", "volumes_from",
    }
)  # fmt: skip
"""Options of how its host runs it, as the SDK's `HostConfig` names them."""

KNOWN: Final = CONTAINER | HOST | {"environment", "labels", "network", "volumes"}

OURS: Final = {
    "auto_remove": "an ended node is listed with the reason, until the cluster removes it",
    "command": "a node runs `celery worker`",
    "detach": "nodes are always detached",
    "image": "set FIXWURX_NODE_IMAGE",
    "name": "a node is named after its cluster",
    "restart_policy": "the cluster itself replaces nodes that ended",
    "stop_signal": "a node is stopped with SIGTERM",
}
"""What would break a node or be taken for another's, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerOptions:
    """The options, sorted by which of the SDK's calls takes them."""

    container: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "DockerOptions":
        """Raises ConfigurationError with all that is wrong with their names and shapes."""
        problems = list(_problems(given))
        if problems:
            raise ConfigurationError(problems)
        host = {name: value for name, value in given.items() if name in HOST}
        if "network" in given:
            host["network_mode"] = given["network"]
        if "volumes" in given:
            host["binds"] = given["volumes"]
        # As process 1 of its container a node would not hear SIGTERM before it has set itself up.
        # Docker's own init is process 1 instead: it passes signals to the node alone.
        host.setdefault("init", True)
        return cls(
            container={name: value for name, value in given.items() if name in CONTAINER},
            host=host,
            environment={k: str(v) for k, v in (given.get("environment") or {}).items()},
            labels={k: str(v) for k, v in (given.get("labels") or {}).items()},
        )


def _problems(given: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(given.keys() & OURS.keys()):
        yield f"the option {name} is the provider's own: {OURS[name]}"
    yield from unknown_names({k: v for k, v in given.items() if k not in OURS}, KNOWN)
    for name in ("environment", "labels"):
        if not isinstance(given.get(name) or {}, dict):
            yield f"the option {name} must be a mapping of names to values"
    labels = given.get("labels")
    if isinstance(labels, dict) and any(str(name).startswith(LABEL_PREFIX) for name in labels):
        yield f"the option labels must leave those that begin with {LABEL_PREFIX} to the cluster"
    if "network" in given and "network_mode" in given:
        yield "the options network and network_mode name one thing: leave one out"
    if "volumes" in given and not isinstance(given["volumes"], list | dict):
        yield "the option volumes must be a list such as [/srv/cache:/cache:ro]"
