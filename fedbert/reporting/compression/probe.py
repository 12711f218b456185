"""Chapter of a compression's report: text classification that the student never saw."""

from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, table_html


def probe(record: CompressionRecord) -> Section | None:
    """Text classification that the student never saw."""
    listed = record.get("probe") or []
    if not listed:
        return None
    rows: list[list[Cell]] = []
    for row in listed:
        bounds = (row.get("low"), row.get("high"))
        interval = (
            text.NONE if None in bounds else f"{text.percent(bounds[0], 1)} to {text.percent(bounds[1], 1)}"
        )
        rows.append(
            [
                str(row.get("set", "")),
                text.percent(row.get("teacher"), 2),
                text.percent(row.get("student"), 2),
                text.percent(row.get("retention"), 2),
                interval,
            ]
        )
    return Section(
        "On texts it never saw",
        "measured",
        table_html(rows, ["set", "teacher", "student", "kept", "95% interval"]),
        "A linear classifier on the vectors of the frozen encoder, trained and tested on a set held "
        "out of distillation. It shows how general the student is.",
    )
