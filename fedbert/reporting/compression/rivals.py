"""Chapter of a compression's report: simpler models of the same bytes, and test texts trained on."""

from collections.abc import Sequence

from fedbert.reporting.compression.numbers import tasks
from fedbert.reporting.compression.record import CompressionRecord, RivalRow
from fedbert.reporting.compression.rival_sentences import better_sentence, margins_sentence, parts_of, rows_of
from fedbert.reporting.compression.sentences import count, exact_bytes
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html

NOTE = (
    "Intervals are Wilson's over test texts, 95%. Differences are paired by test text. Speed is from a text "
    "to its label, one thread."
)

NOTE_PARTS = (
    "The first row has both parts. A part alone has its own bytes. Unseen are the test texts that no "
    "training set holds."
)


def percent(value: float | None) -> str:
    """Return a share in per cent with two decimals."""
    return text.NONE if value is None else f"{100 * value:.2f}"


def cells(row: RivalRow, names: Sequence[str]) -> list[str]:
    """Return accuracy with its interval by task."""
    out = []
    for name in names:
        accuracy = (row.get("accuracy") or {}).get(name)
        low, high = (row.get("low") or {}).get(name), (row.get("high") or {}).get(name)
        bounds = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
        out.append(f"{percent(accuracy)}{bounds}")
    return out


def unseen(row: RivalRow, names: Sequence[str]) -> list[str]:
    """Return accuracy on the test texts that no training set holds."""
    return [percent((row.get("accuracy_unseen") or {}).get(name)) for name in names]


def _parts_panel(rows: list[list[Cell]], names: Sequence[str]) -> Panel:
    columns = ["model", "bytes", *names, *(f"{name}, unseen texts" for name in names)]
    table = table_html(rows, columns, align="lr" + "r" * (2 * len(names)), emphasis=[0])
    return Panel("Deep part, wide part and both, accuracy in %", "measured", table, NOTE_PARTS, wide=True)


def rivals(record: CompressionRecord) -> Section | None:
    """Simpler models of the same bytes."""
    each, names = rows_of(record), tasks(record)
    if not each:
        return None
    held = {str(row.get("name", "")): row.get("test_in_any_train") for row in record.get("tasks") or []}
    table: list[list[Cell]] = [
        [
            str(row.get("rival", "")),
            exact_bytes(row.get("bytes")),
            count(row.get("texts_per_s")),
            *cells(row, names),
            str(row.get("note") or ""),
        ]
        for row in each
    ]
    parts = parts_of(record)
    beside: list[list[Cell]] = [
        [str(row.get("rival", "")), exact_bytes(row.get("bytes")), *cells(row, names), *unseen(row, names)]
        for row in parts
    ]
    fair: list[list[Cell]] = [[str(row.get("rival", "")), *unseen(row, names)] for row in each]
    fair.append(["test texts left out", *(count(held.get(name)) for name in names)])
    made = (record.get("rivals") or {}).get("made_texts")
    taught = (record.get("rivals") or {}).get("taught_by")
    teaching = f" Taught by {taught} on the training texts and {count(made)} made of them." if taught else ""
    return Section(
        "Simpler models of the same bytes",
        None,
        panels_html(
            Panel(
                "Accuracy, %",
                "measured",
                table_html(
                    table,
                    ["model", "bytes", "texts/s", *names, "note"],
                    align="lrr" + "r" * len(names) + "l",
                    emphasis=[0],
                ),
                NOTE + teaching,
                wide=True,
            ),
            Panel(
                "Without the test texts that a training set of any task holds, %",
                "measured",
                table_html(fair, ["model", *names], align="l" + "r" * len(names), emphasis=[0]),
                "Two texts are one if they have the same words. What was trained on is no evidence.",
                wide=True,
            ),
            *([_parts_panel(beside, names)] if parts else []),
        ),
        lead=better_sentence(record) or margins_sentence(record),
    )
