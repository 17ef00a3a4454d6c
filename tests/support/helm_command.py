"""`helm`, as far as docs/containers.md uses it, on the library of that name: its own program is on
no package index. KUBECONFIG says which cluster; the values of the file HELM_VALUES go below others.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="helm")
    parser.add_argument("verb", choices=["install", "upgrade", "test", "uninstall", "lint"])
    parser.add_argument("words", nargs="+")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("--create-namespace", action="store_true")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--reuse-values", action="store_true")
    parser.add_argument("-f", "--values", action="append", default=[])
    parser.add_argument("--set-string", action="append", default=[])
    return parser.parse_args()


def values_of(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    below = os.environ.get("HELM_VALUES", "")
    for name in ([below] if below and not given.reuse_values else []) + given.values:
        merge(found, yaml.safe_load(Path(name).read_text()))
    for pair in given.set_string:
        path, _, value = pair.partition("=")
        for part in reversed(path.split(".")):
            value = {part: value}  # type: ignore[assignment]
        merge(found, value)  # type: ignore[arg-type]
    return found


def merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def main() -> int:
    given = arguments()
    if given.verb == "lint":
        report = helm_python.lint(given.words[0], values_of(given), strict=True)
        print("\n".join(report["errors"]))
        return 1 if report["errors"] else 0
    release, *chart = given.words
    with helm_python.Config(
        kubeconfig_path=os.environ["KUBECONFIG"], namespace=given.namespace
    ) as config:
        how = {"timeout": 180, "wait": "legacy" if given.wait else None}
        match given.verb:
            case "install":
                config.install(str(Path(chart[0]).absolute()), release, values_of(given),
                               create_namespace=given.create_namespace, **how)  # fmt: skip
            case "upgrade":
                config.upgrade(str(Path(chart[0]).absolute()), release, values_of(given),
                               reuse_values=given.reuse_values, **how)  # fmt: skip
            case "test":
                config.test(release, timeout=120)
            case "uninstall":
                config.uninstall(release, **how)
    return 0


if __name__ == "__main__":
    sys.exit(main())
