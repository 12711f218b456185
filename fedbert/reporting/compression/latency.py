"""Chapter of a compression's report: speed on the machine that made it."""

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, table_html


def latency(record: CompressionRecord) -> Section | None:
    """Speed on the machine that made it."""
    listed = record.get("latency") or []
    if not listed:
        return None
    rows: list[list[Cell]] = [
        [
            said.count(row.get("length")),
            said.count(row.get("batch")),
            said.count(row.get("threads")),
            text.milliseconds(row.get("ms")),
            said.count(row.get("texts_per_s")),
        ]
        for row in listed
    ]
    cores = (record.get("environment") or {}).get("cores")
    machine = f"the machine that made it ({cores} cores)" if cores else "the machine that made it"
    return Section(
        "Speed on this machine",
        "measured",
        table_html(
            rows, ["tokens", "texts per batch", "threads", "time per text", "texts per second"], align="rrrrr"
        ),
        f"Timed on {machine}, not on a phone. In batches, the time per text is that of the batch over "
        "its texts.",
    )
