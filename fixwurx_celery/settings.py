"""Settings: every knob, with its meaning, default, bounds and environment variable."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.addresses import (
    HIDDEN,
    ListenAddress,
    SentinelAddress,
    is_sentinel,
    without_password,
)
from fixwurx_celery.domain.bugs import MAX_AGENTS, checked_labels
from fixwurx_celery.domain.nodes import BalancingStrategy, NodeSpec
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.logs import FORMATS, PLAIN

__all__ = ["SHIPPED_ENGINE", "Settings", "inherited_environment", "without_password"]

SCHEMES: Final = ("redis://", "rediss://", "unix://", "redis+sentinel://")
PROVIDERS: Final = ("none", "local", "docker", "kubernetes")
SHIPPED_ENGINE: Final = "fixwurx_celery.engine:triangulation"
SANDBOXES: Final = ("auto", "bwrap", "off")
NETWORKS: Final = ("never", "asked")
NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def setting(
    default: Any, env: str, doc: str, *, low: float | None = None, high: float | None = None
) -> Any:
    """A field of `Settings`, with what `config show` says of it."""
    return field(default=default, metadata={"env": env, "doc": doc, "low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process of the cluster is told. All processes of one cluster are told the same."""

    redis_url: str = setting(
        "",
        "FIXWURX_REDIS_URL",
        "The store: redis://, rediss:// (TLS), unix://, or `redis+sentinel://[user:password@]"
        "host:26379,host2:26379/mastername[/db]`, where `?sentinel_password=` is the sentinels' "
        "own. Empty: that of `run` and `up`.",
    )
    broker_url: str = setting(
        "",
        "FIXWURX_BROKER_URL",
        "Celery's broker, if it is not the store: any that Celery speaks; Redis and RabbitMQ are "
        "tested. Behind Sentinel it is written as the store is.",
    )
    namespace: str = setting(
        "fixwurx", "FIXWURX_NAMESPACE", "Keeps clusters on one server apart. Begins every key."
    )
    engine: str = setting(
        SHIPPED_ENGINE,
        "FIXWURX_ENGINE",
        "The factory of engines, module:callable, as the node can import it.",
    )
    total_agents: int = setting(
        9,
        "FIXWURX_TOTAL_AGENTS",
        "Agents of this node, or `auto`: one a core of its cgroup, and 512 MB each.",
        low=1,
        high=1024,
    )
    capabilities: frozenset[str] = setting(
        frozenset({"python"}), "FIXWURX_CAPABILITIES", "Labels of this node, comma-separated."
    )
    strategy: BalancingStrategy = setting(  # noqa: RUF009 - makes a field, as all the others
        BalancingStrategy.WEIGHTED_CAPACITY,
        "FIXWURX_STRATEGY",
        "How nodes are chosen, until `strategy set` says otherwise.",
    )
    min_workers: int = setting(1, "FIXWURX_MIN_WORKERS", "Nodes at least.", low=0, high=100_000)
    max_workers: int = setting(5, "FIXWURX_MAX_WORKERS", "Nodes at most.", low=1, high=100_000)
    scaling_interval_sec: float = setting(
        30.0, "FIXWURX_SCALING_INTERVAL_SEC", "Seconds between scaling decisions.", low=1, high=3600
    )
    scale_up_threshold: float = setting(
        0.8,
        "FIXWURX_SCALE_UP_THRESHOLD",
        "The utilisation aimed at. Nodes are added for bugs that find no free agents at once, and "
        "for headroom when half of what this leaves is used up (0.8: above 90 %).",
        low=0.05,
        high=1,
    )
    scale_down_threshold: float = setting(
        0.3,
        "FIXWURX_SCALE_DOWN_THRESHOLD",
        "Utilisation below which nodes are removed while demand still falls: the highest of the "
        "window counts. Once demand has stopped falling, all that the window did without is "
        "removed. Higher: sooner, in more steps.",
        low=0,
        high=0.95,
    )
    scale_down_window_sec: float = setting(
        60.0,
        "FIXWURX_SCALE_DOWN_WINDOW_SEC",
        "Seconds for which fewer nodes must have sufficed before any is removed: about as long as "
        "a node takes to start. Longer: fewer changes, more node-hours.",
        low=0,
        high=86400,
    )
    acceptable_wait_sec: float = setting(
        0.0,
        "FIXWURX_ACCEPTABLE_WAIT_SEC",
        "Seconds that bugs may wait for nodes that are there before others are started for them. "
        "More waiting, fewer node-hours; it tells most with FIXWURX_SCALE_UP_THRESHOLD=1.",
        low=0,
        high=86400,
    )
    provider: str = setting(
        "none",
        "FIXWURX_PROVIDER",
        "Who starts and stops nodes: `local` (processes on the controller's host), `docker`, "
        "`kubernetes`, or `none`.",
    )
    provider_options: str = setting(
        "",
        "FIXWURX_PROVIDER_OPTIONS",
        "A YAML file with options of the provider's own (docs/providers.md); empty: none.",
    )
    node_image: str = setting(
        "fixwurx-celery",
        "FIXWURX_NODE_IMAGE",
        "The image of the nodes that `docker` and `kubernetes` start.",
    )
    node_specs: tuple[NodeSpec, ...] = setting(
        (),
        "FIXWURX_NODE_SPECS",
        "The kinds of nodes that the provider may start, the usual one first: AGENTS[:LABELS], "
        "separated by spaces (`9:python 4:gpu,python`); empty: one with FIXWURX_TOTAL_AGENTS and "
        "FIXWURX_CAPABILITIES.",
    )
    boot_timeout_sec: float = setting(
        120.0,
        "FIXWURX_BOOT_TIMEOUT_SEC",
        "Seconds within which a node that was started must register; then it is removed.",
        low=1,
        high=3600,
    )
    health_check_interval_sec: float = setting(
        10.0,
        "FIXWURX_HEALTH_CHECK_INTERVAL_SEC",
        "Seconds between sweeps by the controller.",
        low=0.2,
        high=3600,
    )
    sync_interval_sec: float = setting(
        5.0,
        "FIXWURX_SYNC_INTERVAL_SEC",
        "Seconds between refreshes of a client's view.",
        low=0.1,
        high=3600,
    )
    state_path: str = setting(
        "", "FIXWURX_STATE_PATH", "Where the state is also kept as JSON; empty: nowhere."
    )
    artifacts: str = setting(
        "",
        "FIXWURX_ARTIFACTS",
        "An fsspec URL for sources and patches (file:///shared/dir, s3://...); empty: the store.",
    )
    work_dir: str = setting(
        "",
        "FIXWURX_WORK_DIR",
        "Where nodes keep workspaces; empty: a folder under the system's temporary one.",
    )
    sandbox: str = setting(
        "auto",
        "FIXWURX_SANDBOX",
        "How commands of repositories are confined (docs/security.md): `auto` (by bubblewrap where "
        "it works, else not, which is said), `bwrap` (or no bug runs), `off`.",
    )
    sandbox_network: str = setting(
        "never",
        "FIXWURX_SANDBOX_NETWORK",
        "Whether confined commands may have the host's network: `never`, or `asked` (bugs with "
        "`network: true` have it).",
    )
    sandbox_read: tuple[str, ...] = setting(
        (),
        "FIXWURX_SANDBOX_READ",
        "Folders of the host that confined commands may read besides the system and the node's "
        "Python, separated by colons (`/opt/venvs:/srv/data`). Only there a bug may have a source "
        "by path.",
    )
    sandbox_env: frozenset[str] = setting(
        frozenset(),
        "FIXWURX_SANDBOX_ENV",
        "Variables that confined commands may see besides language and time zone, comma-separated.",
    )
    sandbox_memory_mb: int = setting(
        4096,
        "FIXWURX_SANDBOX_MEMORY_MB",
        "Memory of a confined command with all that it starts.",
        low=64,
        high=2**24,
    )
    sandbox_disk_mb: int = setting(
        4096,
        "FIXWURX_SANDBOX_DISK_MB",
        "Disk that a confined command may fill.",
        low=1,
        high=2**24,
    )
    heartbeat_interval_sec: float = setting(
        1.0,
        "FIXWURX_HEARTBEAT_INTERVAL_SEC",
        "Seconds between a node's heartbeats.",
        low=0.1,
        high=60,
    )
    heartbeat_timeout_sec: float = setting(
        10.0,
        "FIXWURX_HEARTBEAT_TIMEOUT_SEC",
        "Seconds of silence after which a node is lost.",
        low=0.5,
        high=3600,
    )
    lease_sec: float = setting(
        15.0,
        "FIXWURX_LEASE_SEC",
        "Seconds a running bug stays its runner's without a report. It reports every second.",
        low=2,
        high=3600,
    )
    ring_after_sec: float = setting(
        5.0,
        "FIXWURX_RING_AFTER_SEC",
        "Seconds after which an unanswered doorbell is rung again.",
        low=0.2,
        high=600,
    )
    starve_after_sec: float = setting(
        60.0,
        "FIXWURX_STARVE_AFTER_SEC",
        "Seconds after which the head of a class that fits nowhere keeps a node for itself.",
        low=0,
        high=86400,
    )
    max_attempts: int = setting(
        3, "FIXWURX_MAX_ATTEMPTS", "Deaths of its own process that a bug may have.", low=1, high=100
    )
    max_losses: int = setting(
        5, "FIXWURX_MAX_LOSSES", "Deaths of nodes under it that a bug may have.", low=1, high=100
    )
    backoff_sec: float = setting(
        1.0,
        "FIXWURX_BACKOFF_SEC",
        "Pause before the third run; doubled for each further one.",
        low=0,
        high=3600,
    )
    max_waiting: int = setting(
        1_000_000,
        "FIXWURX_MAX_WAITING",
        "Bugs that may wait; more are refused.",
        low=1,
        high=100_000_000,
    )
    keep_finished_sec: float = setting(
        7 * 86400.0,
        "FIXWURX_KEEP_FINISHED_SEC",
        "Seconds for which finished bugs and logs are kept.",
        low=1,
        high=365 * 86400,
    )
    log_format: str = setting(
        PLAIN,
        "FIXWURX_LOG_FORMAT",
        "How nodes, controllers and what starts them write their logs: `plain`, or `json`, an "
        "object a line (docs/operations.md).",
    )
    drain_timeout_sec: float = setting(
        30.0,
        "FIXWURX_DRAIN_TIMEOUT_SEC",
        "Seconds a stopping node lets its bugs run before they move.",
        low=0,
        high=86400,
    )
    metrics_listen: str = setting(
        "",
        "FIXWURX_METRICS_LISTEN",
        "Where a controller serves the cluster's metrics to Prometheus, host:port; empty: nowhere.",
    )
    metrics_token: str = setting(
        "",
        "FIXWURX_METRICS_TOKEN",
        "What scrapers must send as their bearer token; empty: nothing.",
    )
    metrics_allow_remote: bool = setting(
        False,
        "FIXWURX_METRICS_ALLOW_REMOTE",
        "1: metrics may be served to other hosts without a token.",
    )

    def __repr__(self) -> str:
        """What differs from the defaults, passwords hidden: it may stand in a traceback."""
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Settings({', '.join(f'{name}={self._shown(name)!r}' for name in given)})"

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigurationError(problems)

    def _problems(self) -> Iterator[str]:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if low is not None and not low <= value <= high:
                yield f"{f.metadata['env']}={value} must lie between {low:g} and {high:g}"
        if not NAMESPACE.fullmatch(self.namespace):
            yield (
                f"FIXWURX_NAMESPACE={self.namespace!r} must be letters, digits, '_' or '-', "
                "at most 63 long"
            )
        if self.redis_url and not self.redis_url.startswith((*SCHEMES, "sentinel://")):
            yield (
                f"FIXWURX_REDIS_URL={without_password(self.redis_url)} must begin with redis://, "
                "rediss://, unix:// or redis+sentinel://"
            )
        yield from _problems_of_url("FIXWURX_REDIS_URL", self.redis_url)
        yield from _problems_of_url("FIXWURX_BROKER_URL", self.broker_url)
        module, _, name = self.engine.partition(":")
        if not module or not name:
            yield f"FIXWURX_ENGINE={self.engine!r} must be written module:callable"
        try:
            checked_labels(self.capabilities, "FIXWURX_CAPABILITIES: label")
        except ValueError as error:
            yield str(error)
        if self.metrics_listen:
            yield from self._problems_of_metrics()
        if self.min_workers > self.max_workers:
            yield (
                f"FIXWURX_MIN_WORKERS={self.min_workers} must not exceed "
                f"FIXWURX_MAX_WORKERS={self.max_workers}"
            )
        if self.log_format not in FORMATS:
            yield f"FIXWURX_LOG_FORMAT={self.log_format!r} must be one of {', '.join(FORMATS)}"
        if self.provider not in PROVIDERS:
            yield f"FIXWURX_PROVIDER={self.provider!r} must be one of {', '.join(PROVIDERS)}"
        if self.sandbox not in SANDBOXES:
            yield f"FIXWURX_SANDBOX={self.sandbox!r} must be one of {', '.join(SANDBOXES)}"
        if self.sandbox_network not in NETWORKS:
            yield (
                f"FIXWURX_SANDBOX_NETWORK={self.sandbox_network!r} must be one of "
                f"{', '.join(NETWORKS)}"
            )
        for folder in self.sandbox_read:
            if not folder.startswith("/") or not folder.strip("/") or ".." in folder.split("/"):
                yield (
                    f"FIXWURX_SANDBOX_READ has {folder!r}; give folders by their whole path, and "
                    "never / itself"
                )
        for name in sorted(self.sandbox_env):
            if name.startswith("FIXWURX_"):
                yield f"FIXWURX_SANDBOX_ENV has {name}; the cluster's own variables are never shown"
        if self.scale_down_threshold >= self.scale_up_threshold:
            yield (
                f"FIXWURX_SCALE_DOWN_THRESHOLD={self.scale_down_threshold} must lie below "
                f"FIXWURX_SCALE_UP_THRESHOLD={self.scale_up_threshold}"
            )
        if self.heartbeat_timeout_sec < 3 * self.heartbeat_interval_sec:
            yield (
                f"FIXWURX_HEARTBEAT_TIMEOUT_SEC={self.heartbeat_timeout_sec} must be at least "
                f"three times FIXWURX_HEARTBEAT_INTERVAL_SEC={self.heartbeat_interval_sec}, or one "
                "late heartbeat loses a node"
            )

    def _problems_of_metrics(self) -> Iterator[str]:
        try:
            address = ListenAddress.parse(self.metrics_listen)
        except ValueError as error:
            yield f"FIXWURX_METRICS_LISTEN={self.metrics_listen!r} {error}"
            return
        if not (address.is_local or self.metrics_token or self.metrics_allow_remote):
            yield (
                f"FIXWURX_METRICS_LISTEN={self.metrics_listen} is open to other hosts; set "
                "FIXWURX_METRICS_TOKEN, or FIXWURX_METRICS_ALLOW_REMOTE=1 if anybody may read it"
            )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **given: Any
    ) -> "Settings":
        """Settings from FIXWURX_* variables; what is `given` by keyword wins.

        Raises ConfigurationError with every problem at once, unknown FIXWURX_ names excepted:
        those may belong to an engine.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        problems: list[str] = []
        for f in fields(cls):
            text = environment.get(f.metadata["env"])
            if f.name in given or text is None or text == "":
                continue
            try:
                values[f.name] = _parsed(f.name, text, f.default)
            except (ValueError, KeyError) as error:
                said = str(error) if f.name == "node_specs" else _expected(f.name, f.default)
                problems.append(f"{f.metadata['env']}={text!r} {said}")
        try:
            settings = cls(**{**values, **given})
        except ConfigurationError as error:
            problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        return settings

    def environment(self) -> dict[str, str]:
        """The variables that make `from_environment` give these settings again."""
        return {
            f.metadata["env"]: _written(getattr(self, f.name))
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }

    def describe(self) -> list[dict[str, Any]]:
        """Each setting with its variable, value (passwords hidden), default and meaning."""
        return [
            {
                "name": f.name,
                "variable": f.metadata["env"],
                "value": self._shown(f.name),
                "default": _written(f.default),
                "meaning": f.metadata["doc"],
            }
            for f in fields(self)
        ]

    def _shown(self, name: str) -> str:
        written = _written(getattr(self, name))
        return "***" if name == "metrics_token" and written else without_password(written)

    def need_store(self) -> None:
        """Raises ConfigurationError when no store is named."""
        if not self.redis_url:
            raise ConfigurationError(
                [
                    "no store is named: set FIXWURX_REDIS_URL (redis://host:6379/0), or use "
                    "`fixwurx-celery run` or `up`, which bring their own"
                ]
            )

    @property
    def work_folder(self) -> Path:
        """Where this user's nodes on this host have their folders."""
        usual = Path(tempfile.gettempdir(), f"fixwurx-{os.getuid()}")
        return Path(self.work_dir or usual).absolute()

    @property
    def broker(self) -> str:
        """Celery's broker: its own setting, else the store."""
        return self.broker_url or self.redis_url

    @property
    def launchable(self) -> tuple[NodeSpec, ...]:
        """The kinds of nodes that the provider may start, the usual one first; none without one."""
        if self.provider == "none":
            return ()
        return self.node_specs or (
            NodeSpec(agents=self.total_agents, capabilities=self.capabilities),
        )

    @property
    def alone_sec(self) -> float:
        """How long a run may go on without the store's word: it must have ended before anyone can
        have taken its node for lost, or its lease for over."""
        return 0.8 * min(self.heartbeat_timeout_sec, self.lease_sec)

    def limits(self) -> dict[str, Any]:
        """What the scripts need to know of these settings; durations in ms."""
        return {
            "default_strategy": str(self.strategy),
            "ring_after_ms": int(self.ring_after_sec * 1000),
            "lease_ms": int(self.lease_sec * 1000),
            "heartbeat_ttl_ms": int(self.heartbeat_timeout_sec * 1000),
            "hang_up_ms": HANG_UP_MS,
            "move_after_ms": MOVE_AFTER_MS,
            "starve_after_ms": int(self.starve_after_sec * 1000),
            "backoff_ms": int(self.backoff_sec * 1000),
            "max_attempts": self.max_attempts,
            "max_losses": self.max_losses,
            "max_waiting": self.max_waiting,
            "max_classes": MAX_CLASSES,
            "largest_node": self.total_agents,
            "launchable": [spec.profile for spec in self.launchable],
            "keep_finished_ms": int(self.keep_finished_sec * 1000),
            "forget_node_ms": FORGET_NODE_MS,
            "log_chunks": LOG_CHUNKS,
        }


def inherited_environment() -> dict[str, str]:
    """This process's environment for a process of the cluster that is told its settings otherwise:
    without them, and without what the caller's shell says about Celery, which is about another."""
    ours = {field.metadata["env"] for field in fields(Settings)}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("CELERY_")
    }


HANG_UP_MS: Final = 200
"""How long a node whose connection dropped has to be back; it tries at once, and every 20 ms."""
MOVE_AFTER_MS: Final = 5000
"""How long the runners of a draining node have to give their bugs back; they report each second."""
MAX_CLASSES: Final = 256
"""Waiting lines at once. Each costs a node that frees agents one look at its head."""
FORGET_NODE_MS: Final = 3_600_000
"""How long a node that has gone is still shown as OFFLINE."""
LOG_CHUNKS: Final = 256
"""Reports of at most 4 KB of log that are kept of an attempt: its last megabyte."""


def _problems_of_url(variable: str, url: str) -> Iterator[str]:
    shown = without_password(url)
    if shown == HIDDEN:
        yield (
            f"{variable}={shown} cannot be read; / ? # and [ in a password are written %2F %3F %23 "
            "and %5B"
        )
    elif url.startswith("sentinel://"):
        yield (
            f"{variable}={shown} does not say what the master is called; write "
            "redis+sentinel://host:26379,host2:26379/mastername"
        )
    elif is_sentinel(url):
        try:
            SentinelAddress.parse(url)
        except ValueError as error:
            yield f"{variable}={shown} {error}"


def _parsed(name: str, text: str, default: Any) -> Any:
    if name == "total_agents" and text == "auto":
        return agents_of_this_host()
    if isinstance(default, BalancingStrategy):
        return BalancingStrategy(text.upper())
    if name == "node_specs":
        return tuple(NodeSpec.parse(one, frozenset({"python"})) for one in text.split())
    if name == "sandbox_read":
        return tuple(folder for folder in text.split(":") if folder)
    if isinstance(default, frozenset):
        return frozenset(label.strip() for label in text.split(",") if label.strip())
    if isinstance(default, bool):
        return {"1": True, "0": False}[text]
    return type(default)(text)


def _expected(name: str, default: Any) -> str:
    if isinstance(default, BalancingStrategy):
        return "must be one of " + ", ".join(BalancingStrategy)
    if isinstance(default, bool):
        return "must be 1 or 0"
    if isinstance(default, int):
        return "must be a whole number" + (" or `auto`" if name == "total_agents" else "")
    return "must be a number"


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        of_folders = all(isinstance(one, str) for one in value)
        return (":" if of_folders else " ").join(str(one) for one in value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def agents_of_this_host() -> int:
    """One agent a core that this process may use, and 512 MB for each."""
    cores = float(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    # A container's share of the cores is a quota of time per period, not a set of cores.
    match _kernel_words("/sys/fs/cgroup/cpu.max"):
        case [quota, period] if quota.isdecimal() and int(period) > 0:
            cores = min(cores, int(quota) / int(period))
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        match _kernel_words(file):
            case [limit] if limit.isdecimal():
                memory_mb = min(memory_mb, int(limit) // 2**20)
    return max(1, min(int(cores), memory_mb // 512, MAX_AGENTS))


def _kernel_words(path: str) -> list[str]:
    try:
        return Path(path).read_text("ascii").split()
    except (OSError, ValueError):
        return []
