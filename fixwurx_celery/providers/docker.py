"""Nodes as containers of one Docker daemon, the one that DOCKER_HOST names.

    create ──▶ created ──start──▶ running ──kill TERM──▶ renamed ──▶ exited ──▶ removed
    STARTING   STARTING           RUNNING               STOPPING    ENDED      not listed

All is in the daemon: labels say whose a container is, which node, and what it has; labels cannot
change, names can, so the name says whether it was told to stop. A second SIGTERM would hurry a
node that drains, so nobody may send it twice.
"""

import builtins
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import DeviceRequest, HostConfig, LogConfig, Mount, Ulimit
from docker.utils import kwargs_from_env

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers.base import LaunchOrder, ProvidedNode, ProvidedState
from fixwurx_celery.providers.deadline import TIMEOUT_S, Deadline
from fixwurx_celery.providers.docker_options import DockerOptions
from fixwurx_celery.providers.launching import (
    CLUSTER,
    NODE,
    PROFILE,
    node_command,
    node_environment,
)
from fixwurx_celery.providers.options import read_options, split_kinds
from fixwurx_celery.providers.telling import TAIL_LINES, age_s, log_tail, passwords_of, server_time
from fixwurx_celery.settings import Settings

__all__ = ["DockerProvider"]

Row = Mapping[str, Any]
"""A container, as the daemon lists it."""

STOPPING: Final = ".stopping"
AGAIN_AFTER_S: Final = 0.05
OLDEST: Final = docker.constants.MINIMUM_DOCKER_API_VERSION

OPEN_PATHS: Final = "systempaths=unconfined"
"""Of the command line too: the daemon knows lists of paths that are closed in /proc and /sys."""

STATES: Final = {
    "created": ProvidedState.STARTING,
    "exited": ProvidedState.ENDED,
    "dead": ProvidedState.ENDED,
    "removing": ProvidedState.ENDED,
}
"""All others run: running, paused, restarting."""

BUILDERS: Final = {
    "mounts": Mount,
    "ulimits": Ulimit,
    "device_requests": DeviceRequest,
}
"""Options that are lists of what the SDK wants made into objects of its own."""


class DockerProvider:
    """One container a node. For one thread; connects when it is first asked for something."""

    name = "docker"

    def __init__(self, settings: Settings, cluster: str) -> None:
        self._cluster, self._image = cluster, settings.node_image
        usual, kinds = split_kinds(read_options(settings.provider_options), settings.launchable)
        self._usual = _Recipe.of(usual)
        self._kinds = {spec: _Recipe.of({**usual, **given}) for spec, given in kinds.items()}
        self._secrets = passwords_of(settings)
        self._api: Any = None
        self._scope = self._date = ""

    @property
    def scope(self) -> str:
        """The daemon's id, which it keeps over restarts."""
        if not self._scope:
            with self._asked("say who it is") as api:
                self._scope = f"docker:{api.info()['ID']}"
        return self._scope

    def worker_id(self, name: str) -> str:
        """As the node's container is told to register."""
        return f"{name}@docker"

    def is_gone(self, scope: str) -> bool:  # noqa: ARG002 - a Provider's method
        """See Provider. Of others it knows nothing."""
        return False

    def list(self) -> list[ProvidedNode]:
        """What the daemon has with this cluster's label."""
        deadline = Deadline()
        with self._asked("list the nodes", deadline) as api:
            rows = self._rows(api)
            now = server_time(self._date)
            return [self._listed(api, row, now, deadline) for row in rows]

    def launch(self, order: LaunchOrder) -> None:
        """Creates the container and starts it; one that somebody created only, is started."""
        deadline = Deadline()
        with self._asked(f"start node {order.name}", deadline) as api:
            rows = self._rows(api, order.name) or self._made(api, order, deadline)
            while created := [row["Id"] for row in rows if row["State"] == "created"]:
                try:
                    for id_ in created:
                        api.start(id_)
                    return
                except NotFound as error:
                    # The daemon lists a container some time before it can be started.
                    if deadline.is_near() or "No such container" not in str(error.explanation):
                        raise
                time.sleep(AGAIN_AFTER_S)
                rows = self._rows(api, order.name)

    def stop(self, name: str) -> None:
        """Sends SIGTERM and renames the container. One that never ran is removed instead."""
        with self._asked(f"stop node {name}") as api:
            for row in self._rows(api, name):
                with _harmless_if_over():
                    if row["State"] == "created":
                        api.remove_container(row["Id"], v=True)
                    elif _state_of(row) is ProvidedState.RUNNING:
                        api.kill(row["Id"], "SIGTERM")
                        # Killed first: a client that dies here leaves one that is told again.
                        api.rename(row["Id"], self._container(name) + STOPPING)

    def remove(self, name: str) -> None:
        """Removes the container and its anonymous volumes."""
        deadline = Deadline()
        with self._asked(f"remove node {name}", deadline) as api:
            rows = self._rows(api, name)
            while rows:
                for row in rows:
                    with _harmless_if_over():
                        api.remove_container(row["Id"], v=True, force=True)
                rows = self._rows(api, name)
                if rows:  # somebody else is removing it
                    if deadline.is_near():
                        raise ProviderError(f"cannot remove node {name}: it is still being removed")
                    time.sleep(AGAIN_AFTER_S)

    def close(self) -> None:
        """Drops the connections."""
        if self._api is not None:
            self._api.close()
            self._api = None

    # -- the daemon ------------------------------------------------------------------------

    @contextmanager
    def _asked(self, what: str, deadline: Deadline | None = None) -> Iterator[Any]:
        """A client for requests that are over by the deadline. What it raises becomes a
        ProviderError."""
        deadline = deadline or Deadline()
        try:
            yield self._connected(deadline)
        except ImageNotFound as error:
            raise ProviderError(
                f"cannot {what}: the Docker daemon has no image {self._image}; build or pull it "
                "there, or set FIXWURX_NODE_IMAGE"
            ) from error
        except APIError as error:
            said = " ".join(str(error.explanation or error).split())
            raise ProviderError(f"cannot {what}: Docker says: {said}") from error
        except (DockerException, OSError) as error:  # requests' own errors are OSErrors
            self.close()
            said = " ".join(str(error).split())
            raise ProviderError(
                f"cannot {what}: the Docker daemon does not answer; see that it runs and that "
                f"DOCKER_HOST names it ({said[-300:]})"
            ) from error

    def _connected(self, deadline: Deadline) -> Any:
        if self._api is None:
            address = kwargs_from_env()
            # The SDK's `version="auto"` asks in the constructor, and leaves its connection open
            # when nobody answers.
            probe = docker.APIClient(version=OLDEST, timeout=deadline.left_s(), **address)
            with closing(probe):
                version = probe.version(api_version=False)["ApiVersion"]
            self._api = docker.APIClient(version=version, timeout=TIMEOUT_S, **address)
            self._api.hooks["response"].append(self._note_date)
        return _Hurried(self._api, deadline)

    def _note_date(self, response: Any, **_: Any) -> None:
        self._date = response.headers.get("Date", "")

    def _rows(self, api: Any, name: str = "") -> builtins.list[Row]:
        labels = [f"{CLUSTER}={self._cluster}", f"{NODE}={name}" if name else NODE]
        return builtins.list(api.containers(all=True, filters={"label": labels}))

    def _container(self, name: str) -> str:
        return f"fixwurx-{self._cluster}-{name}"

    def _made(self, api: Any, order: LaunchOrder, deadline: Deadline) -> builtins.list[Row]:
        """The order's container, by this call or by another process's at the same instant: the
        daemon gives the name away some time before it lists the container."""
        recipe = self._kinds.get(order.spec, self._usual)
        options = recipe.options
        while True:
            try:
                made = api.create_container(
                    self._image,
                    node_command(self.worker_id(order.name)),
                    name=self._container(order.name),
                    labels={
                        **options.labels,
                        CLUSTER: self._cluster,
                        NODE: order.name,
                        PROFILE: order.spec.profile,
                    },
                    environment={**options.environment, **node_environment(order)},
                    host_config=recipe.host,
                    **options.container,
                )
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                if rows := self._rows(api, order.name):
                    return rows
                if deadline.is_near() or self._is_a_strangers(api, order.name):
                    raise
                time.sleep(AGAIN_AFTER_S)
            else:
                return [{"Id": made["Id"], "State": "created"}]

    def _is_a_strangers(self, api: Any, name: str) -> bool:
        try:
            found = api.inspect_container(self._container(name))
        except NotFound:
            return False
        return bool((found["Config"]["Labels"] or {}).get(CLUSTER) != self._cluster)

    # -- what it tells ---------------------------------------------------------------------

    def _listed(self, api: Any, row: Row, now: datetime, deadline: Deadline) -> ProvidedNode:
        labels, state = row["Labels"], _state_of(row)
        is_of_interest = state in (ProvidedState.STARTING, ProvidedState.ENDED)
        detail = str(row.get("Status", "")) if state is ProvidedState.ENDED else ""
        if is_of_interest and not deadline.is_near():
            with suppress(NotFound):  # it was removed since
                detail = self._detail(api, row, state)
        return ProvidedNode(
            name=labels[NODE],
            spec=NodeSpec.of_profile(labels[PROFILE]),
            state=state,
            age_s=age_s(datetime.fromtimestamp(row["Created"], UTC), now),
            detail=detail,
        )

    def _detail(self, api: Any, row: Row, state: ProvidedState) -> str:
        seen = api.inspect_container(row["Id"])["State"]
        said = log_tail(seen.get("Error", ""), self._secrets)
        if state is ProvidedState.STARTING:
            return said
        memory = ", killed for its memory (OOMKilled)" if seen.get("OOMKilled") else ""
        detail = f"exit status {seen['ExitCode']}{memory}" + (f": {said}" if said else "")
        try:
            log = api.logs(row["Id"], tail=TAIL_LINES).decode("utf-8", "replace")
        except NotFound:
            raise
        except APIError:  # some log drivers cannot be read
            return detail
        return f"{detail}\n{log_tail(log, self._secrets)}".rstrip()


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What containers of one kind are made with."""

    options: DockerOptions
    host: Any

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "_Recipe":
        """Raises ConfigurationError."""
        options = DockerOptions.of(given)
        return cls(options, _host_config(options.host))


class _Hurried:
    """The SDK's client, each of whose requests gets what is left of a deadline."""

    def __init__(self, api: Any, deadline: Deadline) -> None:
        self._api, self._deadline = api, deadline

    def __getattr__(self, name: str) -> Any:
        self._api.timeout = self._deadline.left_s()
        return getattr(self._api, name)


def _state_of(row: Row) -> ProvidedState:
    state = STATES.get(row["State"], ProvidedState.RUNNING)
    is_told = any(name.endswith(STOPPING) for name in row.get("Names") or ())
    return ProvidedState.STOPPING if is_told and state is ProvidedState.RUNNING else state


@contextmanager
def _harmless_if_over() -> Iterator[None]:
    """The container is gone, or has ended, or somebody else is at it: all is as it should be, or
    the list says otherwise."""
    try:
        yield
    except APIError as error:
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise


def _host_config(given: Mapping[str, Any]) -> Any:
    """Raises ConfigurationError for values that the SDK does not take."""
    options = dict(given)
    security = options.get("security_opt") or []
    if security:
        options["security_opt"] = [_for_daemon(one) for one in security if one != OPEN_PATHS]
    try:
        for name, build in BUILDERS.items():
            if name in options:
                options[name] = [build(**one) for one in options[name]]
        if "log_config" in options:
            options["log_config"] = LogConfig(**options["log_config"])
        config = HostConfig(version=docker.constants.DEFAULT_DOCKER_API_VERSION, **options)
        if OPEN_PATHS in security:
            config |= {"MaskedPaths": [], "ReadonlyPaths": []}
        return config
    except (TypeError, ValueError, AttributeError, DockerException) as error:
        raise ConfigurationError([f"the options of the provider: {error}"]) from error


def _for_daemon(security: str) -> str:
    """As Docker's own command line does it, the file of `seccomp=FILE` is read here."""
    name, _, value = str(security).partition("=")
    if name != "seccomp" or value in ("unconfined", "builtin") or value.startswith("{"):
        return security
    try:
        return f"seccomp={json.dumps(json.loads(Path(value).read_text('utf-8')))}"
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [f"the option security_opt names {security}, which cannot be read: {error}"]
        ) from error
