"""A Kubernetes API server: found, asked within a deadline, with its errors in plain words."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers.deadline import Deadline
from fixwurx_celery.providers.pod_options import PodOptions
from fixwurx_celery.providers.telling import server_time

__all__ = ["ApiException", "KubernetesApi", "Requests", "container_fields", "spec_fields"]

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubernetesApi:
    """One server and a namespace there, as the options or the surroundings name them. Connects when
    it is first asked for something."""

    def __init__(self, options: PodOptions) -> None:
        """Raises ConfigurationError when nothing says where the server is."""
        self._configuration, namespace = _configured(options)
        self.namespace = options.namespace or namespace
        self._client = client.ApiClient(self._configuration)

    @contextmanager
    def asked(self, what: str) -> Iterator["Requests"]:
        """Requests that are over by the deadline. What they raise becomes a ProviderError."""
        try:
            yield Requests(self._client, Deadline())
        except ApiException as error:
            if not error.status:  # TLS did not come about
                raise self._away(what, error) from error
            raise ProviderError(f"cannot {what}: {_plainly(error)}") from error
        except (HTTPError, OSError) as error:
            raise self._away(what, error) from error
        except ConfigException as error:  # the token's file has gone
            raise ProviderError(f"cannot {what}: {error}") from error

    def _away(self, what: str, error: Exception) -> ProviderError:
        said = " ".join(str(error).split())
        return ProviderError(
            f"cannot {what}: the Kubernetes API at {self._configuration.host} does not answer; "
            f"see `kubectl cluster-info` ({said[-300:]})"
        )

    def close(self) -> None:
        """Drops the connections."""
        self._client.rest_client.close()


class Requests:
    """Bare requests to the API server: a newer server's answers are as good as ours."""

    def __init__(self, api: Any, deadline: Deadline) -> None:
        self._api, self.deadline = api, deadline
        self.server_time = server_time(None)

    def __call__(self, method: str, path: str, *, body: Any = None, **query: str) -> Any:
        """What the server answers. Raises ApiException when it refuses."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        answer = self._api.call_api(
            *self._api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
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
        try:
            return json.loads(data)
        except ValueError as error:  # a proxy's page
            raise ApiException(status=answer.status, reason="something that is no JSON") from error


def spec_fields() -> set[str]:
    """Of a Pod's spec, as YAML has them."""
    return set(client.V1PodSpec.attribute_map.values())


def container_fields() -> set[str]:
    """Of a container, as YAML has them."""
    return set(client.V1Container.attribute_map.values())


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
