"""Prints the table of docs/metrics.md: every metric with its kind, labels and meaning."""

import click

from fixwurx_celery.metrics.families import FAMILIES

__all__ = ["table"]

HEAD = "| metric | kind | labels | meaning |\n|---|---|---|---|\n"


def table() -> str:
    """A row for each, in the order in which they are shown."""
    rows = []
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    click.echo(table(), nl=False)
