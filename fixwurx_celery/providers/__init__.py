"""Who starts and stops nodes. One file a provider; each imports its SDK when it is opened."""

from collections.abc import Iterator
from contextlib import contextmanager

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.providers.base import LaunchOrder, ProvidedNode, ProvidedState, Provider
from fixwurx_celery.settings import Settings

__all__ = ["LaunchOrder", "ProvidedNode", "ProvidedState", "Provider", "open_provider"]


def open_provider(settings: Settings, cluster: str) -> Provider | None:
    """The provider that the settings name, for the cluster with that id (letters, digits and `-`,
    at most 80 characters, the same for every process of it); None where none is named.

    Raises ConfigurationError for options that it does not take, or when its SDK is not installed.
    """
    match settings.provider:
        case "none":
            return None
        case "local":
            from fixwurx_celery.providers.local import LocalProvider

            return LocalProvider.of(settings, cluster)
        case "docker":
            with _extra("docker"):
                from fixwurx_celery.providers.docker import DockerProvider
            return DockerProvider(settings, cluster)
        case "kubernetes":
            with _extra("kubernetes"):
                from fixwurx_celery.providers.kubernetes import KubernetesProvider
            return KubernetesProvider(settings, cluster)
        case other:
            raise ConfigurationError([f"FIXWURX_PROVIDER={other} is not built in ({cluster})"])


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """For the import of a provider whose SDK the extra of this name brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            [
                f"FIXWURX_PROVIDER={name} needs the package {error.name}, which is not installed: "
                f"pip install 'fixwurx-celery[{name}]'"
            ]
        ) from error
