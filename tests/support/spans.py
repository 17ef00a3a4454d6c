"""An exporter of spans into a file, offered as OpenTelemetry's packages offer theirs."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.support.surroundings import ROOT

__all__ = ["FileExporter", "offer", "told"]

NAME = "test_file"


class FileExporter(SpanExporter):
    """Appends a line of JSON for each span to the file that TEST_SPANS names."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ["TEST_SPANS"]).open("a") as file:
            for span in spans:
                file.write(span.to_json(indent=None) + "\n")
        return SpanExportResult.SUCCESS


def offer(folder: Path) -> dict[str, str]:
    """Makes the exporter known to processes with these variables; its file is `folder`/spans."""
    info = folder / "packages" / "test_spans-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: test-spans\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[opentelemetry_traces_exporter]\n{NAME} = tests.support.spans:FileExporter\n"
    )
    return {
        "OTEL_TRACES_EXPORTER": NAME,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "TEST_SPANS": str(folder / "spans"),
        "PYTHONPATH": f"{info.parent}:{ROOT}",
    }


def told(folder: Path) -> list[dict[str, Any]]:
    """The spans that were exported so far."""
    path = folder / "spans"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
