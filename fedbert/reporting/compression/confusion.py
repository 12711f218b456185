"""Chapter of a compression's report: labels the student confuses more often than its teacher."""

from fedbert.reporting.compression.numbers import grown_confusions
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html, text_html


def confusion(record: CompressionRecord) -> Section | None:
    """Pairs of labels the student confuses more often than its teacher."""
    by_task = record.get("confusion") or {}
    if not by_task:
        return None
    panels = []
    for name, rows in by_task.items():
        grown = grown_confusions(rows or [])
        cells: list[list[Cell]] = [
            [
                str(r["true"]),
                str(r["predicted"]),
                r["teacher"],
                r["student"],
                f"+{r['student'] - r['teacher']:g}",
            ]
            for r in grown
        ]
        columns = ["true label", "taken for", "teacher", "student", "more"]
        html = (
            table_html(cells, columns, align="llrrr")
            if cells
            else text_html("No pair is confused more often than by the teacher.")
        )
        panels.append(Panel(str(name), "measured", html, wide=True))
    return Section(
        "What it confuses more than its teacher",
        None,
        panels_html(*panels),
        "Texts of the test split. The ten pairs whose count grew most, in each set.",
    )
