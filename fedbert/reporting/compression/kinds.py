"""Chapter of a compression's report: heads of other kinds than labels of texts."""

from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.compression.sentences import count, exact_bytes
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, table_html

COLUMNS = ("set", "kind", "metric", "test", "teacher", "student", "share", "95% interval", "bytes")
NOTE = (
    "The student learnt none of these sets: a head was fitted on its frozen states, and the same head on "
    "those of the frozen teacher. Figures are of test texts, and the share's interval is a bootstrap over "
    "them. Bytes are those of the student's head."
)


def rows(record: CompressionRecord) -> list[list[str]]:
    """Return the cells of `COLUMNS`, a row each set."""
    found = []
    for row in record.get("kinds") or []:
        bounds = (row.get("low"), row.get("high"))
        interval = (
            text.NONE if None in bounds else f"{text.percent(bounds[0], 1)} to {text.percent(bounds[1], 1)}"
        )
        found.append(
            [
                str(row.get("name", "")),
                str(row.get("kind", "")),
                str(row.get("metric", "")),
                count(row.get("test")),
                text.percent(row.get("teacher"), 2),
                text.percent(row.get("student"), 2),
                text.percent(row.get("share"), 2),
                interval,
                exact_bytes(row.get("bytes")),
            ]
        )
    return found


def kinds(record: CompressionRecord) -> Section | None:
    """Heads of other kinds, student beside teacher."""
    found: list[list[Cell]] = [list(row) for row in rows(record)]
    if not found:
        return None
    return Section("Other kinds of task", "measured", table_html(found, list(COLUMNS)), NOTE)
