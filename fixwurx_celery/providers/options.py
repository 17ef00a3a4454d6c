"""A provider's own options: a mapping in a YAML file, refused whole with every problem at once."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import yaml

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError

__all__ = ["read_options", "split_kinds", "unknown_names"]

KINDS: Final = "kinds"


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


def split_kinds(
    given: Mapping[str, Any], specs: Collection[NodeSpec]
) -> tuple[dict[str, Any], dict[NodeSpec, dict[str, Any]]]:
    """The options of all nodes, and those that only one kind of node has, from the option `kinds`.

    Raises ConfigurationError for a kind that is none of `specs`: nobody would ever launch it.
    """
    usual = dict(given)
    kinds = usual.pop(KINDS, None) or {}
    found: dict[NodeSpec, dict[str, Any]] = {}
    problems = []
    if not isinstance(kinds, dict):
        problems.append(f"the option {KINDS} must be a mapping of kinds of nodes to their options")
        kinds = {}
    for name, options in kinds.items():
        try:
            spec = NodeSpec.parse(str(name), frozenset({"python"}))
        except ValueError as error:
            problems.append(f"the option {KINDS}: {error}")
            continue
        if spec not in specs:
            launched = ", ".join(str(one) for one in specs)
            problems.append(
                f"the option {KINDS} names {name}, which is not launched: FIXWURX_NODE_SPECS has "
                f"{launched}"
            )
        if not isinstance(options, dict):
            problems.append(f"the option {KINDS}.{name} must be a mapping of options")
        else:
            found[spec] = options
    if problems:
        raise ConfigurationError(problems)
    return usual, found
