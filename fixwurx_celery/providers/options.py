"""A provider's own options: a mapping in a YAML file, refused whole with every problem at once."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from fixwurx_celery.errors import ConfigurationError

__all__ = ["read_options", "unknown_names"]


def read_options(path: str) -> dict[str, Any]:
    """What the file says; nothing for no file. Raises ConfigurationError."""
    if not path:
        return {}
    named = f"FIXWURX_PROVIDER_OPTIONS={path}"
    try:
        read = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{named} cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigurationError([f"{named} is not YAML: {said}"]) from error
    if read is None:
        return {}
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise ConfigurationError([f"{named} must be a mapping: `option: value` in each line"])
    return read


def unknown_names(
    given: Mapping[str, Any], known: Collection[str], where: str = ""
) -> Iterator[str]:
    """A problem for each name that is not known, with the nearest one that is."""
    for name in sorted(given.keys() - set(known)):
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; docs/providers.md lists what there is"
        yield f"the provider has no option {where}{name}{hint}"
