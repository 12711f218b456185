"""Chapter of a compression's report: what pruning the vocabulary did to the texts."""

from collections.abc import Sequence

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.record import CompressionRecord, CoverageRow
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, facts_html, table_html


def vocabulary(record: CompressionRecord) -> Section | None:
    """What pruning the vocabulary did to the texts."""
    values = record.get("vocabulary") or {}
    if not values:
        return None
    facts: dict[str, Cell] = {}
    for key, name, shown in (
        ("size", "tokens kept", said.count(values.get("size"))),
        ("unknown_share", "tokens of the texts that become [UNK]", said.share(values.get("unknown_share"))),
        ("tokens_per_text", "tokens per text", text.significant(values.get("tokens_per_text"))),
        (
            "tokens_per_text_teacher",
            "tokens per text, teacher's vocabulary",
            text.significant(values.get("tokens_per_text_teacher")),
        ),
    ):
        if key in values:
            facts[name] = shown
    for name, agreement in (values.get("agreement") or {}).items():
        facts[f"kept alike if ranked by {text.label(str(name))}"] = said.share(agreement)
    return Section(
        "Vocabulary",
        "measured",
        facts_html(facts) + _coverage(values.get("coverage") or []),
        "Special tokens, single characters and their ## forms always stay, so every word can be spelt.",
    )


def _coverage(rows: Sequence[CoverageRow]) -> str:
    """Return a table of what a vocabulary of each size keeps whole of the tasks' texts."""
    if not rows:
        return ""
    cells: list[list[Cell]] = [
        [
            said.count(row.get("size")),
            said.share(row.get("train")),
            said.share(row.get("validation")),
            said.count(row.get("unread")),
            said.count(row.get("split")),
        ]
        for row in rows
    ]
    columns = [
        "tokens kept",
        "training texts' tokens kept whole",
        "validation texts'",
        "kept, in no training text",
        "of training texts, not kept",
    ]
    chosen = [index for index, row in enumerate(rows) if row.get("chosen")]
    return table_html(cells, columns, align="rrrrr", emphasis=chosen)
