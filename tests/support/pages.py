"""Pages of metrics as Prometheus reads them."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


def series(page: bytes) -> dict[tuple[str, Labels], float]:
    """Every sample of the page, by its name and labels. Fails when one is there twice."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(page.decode("utf-8")):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(page: bytes, name: str, **labels: str) -> float:
    """The one sample of this name and these labels."""
    return series(page)[name, frozenset(labels.items())]


def by(page: bytes, name: str, label: str) -> Mapping[str, float]:
    """The samples of this name, by one of their labels."""
    return {
        dict(labels)[label]: value
        for (found, labels), value in series(page).items()
        if found == name
    }
