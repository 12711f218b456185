"""Chapter of a compression's report: texts that have none of a task's labels."""

from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.compression.sentences import count
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, table_html

COLUMNS = (
    "task",
    "known",
    "unknown",
    "AUROC",
    "unknown kept at 95 % of the known",
    "known, right without a threshold",
    "known, kept and right",
    "unknown, told",
    "both, right",
)
NOTE = (
    "A text is unknown if the highest logit is under a threshold, which was chosen on validation texts. The "
    "figures are of test texts, counts and shares in %."
)
_SHARES = ("false_kept_at_95", "accuracy", "known_right", "unknown_caught", "joint")


def rows(record: CompressionRecord) -> list[list[str]]:
    """Return the cells of `COLUMNS`, a row each task that has a threshold."""
    return [
        [
            str(row.get("task", "")),
            count(row.get("known")),
            count(row.get("unknown")),
            text.significant(row.get("auroc"), 4),
            *(_percent(dict(row).get(name)) for name in _SHARES),
        ]
        for row in record.get("unknown") or []
    ]


def _percent(value: object) -> str:
    return f"{100 * value:.2f}" if isinstance(value, int | float) else text.NONE


def unknown(record: CompressionRecord) -> Section | None:
    """Texts of no label: how they are told, and what that costs the others."""
    found: list[list[Cell]] = [list(row) for row in rows(record)]
    if not found:
        return None
    return Section("When it does not know", "measured", table_html(found, list(COLUMNS)), NOTE)
