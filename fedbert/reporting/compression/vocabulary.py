"""Chapter of a compression's report: what pruning the vocabulary did to the texts."""

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, facts_html


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
        facts_html(facts),
        "Special tokens, single characters and their ## forms always stay, so every word can be spelt.",
    )
