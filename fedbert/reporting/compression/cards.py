"""The key numbers at the top of a compression's report."""

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import final_stage, kept, per_seed, t_spread, tasks
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Card

CARDS_OF_TASKS = 6
"""At most so many tasks have a card; the table has them all."""
_USUAL_TOKENS = 16


def _size_cards(record: CompressionRecord) -> list[Card]:
    total, budget = record.get("total_bytes"), record.get("budget_bytes")
    over = total is not None and budget is not None and total > budget
    cards = []
    if total is not None:
        note = f"{said.exact_bytes(total)}" + (f" of {said.exact_bytes(budget)} allowed" if budget else "")
        cards.append(Card("On disk, everything included", text.size(total), note, "measured", alert=over))
    if record.get("download_bytes") is not None:
        cards.append(Card("To download", text.size(record["download_bytes"]), "compressed", "measured"))
    if record.get("memory_bytes") is not None:
        cards.append(Card("In memory", text.size(record["memory_bytes"]), "when loaded", "measured"))
    return cards


def _accuracy_cards(record: CompressionRecord) -> list[Card]:
    final, teacher = final_stage(record), record.get("teacher") or {}
    cards: list[Card] = []
    if final is None:
        return cards
    for task in tasks(record)[:CARDS_OF_TASKS]:
        share, reference = kept(final, teacher, task), t_spread(per_seed(teacher, task))
        accuracy = t_spread(per_seed(final, task))
        if accuracy is None:
            continue
        if share is None:
            cards.append(
                Card(f"Accuracy, {task}", f"{said.percent_points(accuracy)}%", "test split", "measured")
            )
            continue
        interval = (
            ""
            if share.low is None or share.high is None
            else f"{100 * share.low:.2f}% to {100 * share.high:.2f}%; "
        )
        against = f"{100 * accuracy.mean:.2f} of {said.percent_points(reference)} points"
        cards.append(
            Card(
                f"Of the teacher's accuracy, {task}",
                f"{100 * share.mean:.2f}%",
                interval + against,
                "measured",
            )
        )
    return cards


def _speed_cards(record: CompressionRecord) -> list[Card]:
    rows = record.get("latency") or []
    rows = [row for row in rows if row.get("length") == _USUAL_TOKENS] or rows
    alone = [row for row in rows if row.get("batch") == 1 and row.get("ms") is not None]
    rates = [row for row in rows if row.get("texts_per_s") is not None]
    cards = []
    if alone:
        best = min(alone, key=lambda row: float(row["ms"]))
        note = f"{best.get('length', text.NONE)} tokens, {best.get('threads', text.NONE)} thread(s)"
        cards.append(Card("One text alone", text.milliseconds(best["ms"]), note, "measured"))
    if rates:
        best = max(rates, key=lambda row: float(row["texts_per_s"]))
        note = f"{best.get('length', text.NONE)} tokens, batches of {best.get('batch', text.NONE)}"
        cards.append(Card("Texts per second", said.count(best["texts_per_s"]), note, "measured"))
    if record.get("seconds") is not None:
        note = (
            f"{said.seeds(record)}, from start to report" if record.get("seeds") else "from start to report"
        )
        cards.append(Card("Made in", text.duration(record["seconds"]), note, "measured"))
    return cards


def cards(record: CompressionRecord) -> list[Card]:
    """Return the key numbers of a compression: sizes, accuracy, speed."""
    return [*_size_cards(record), *_accuracy_cards(record), *_speed_cards(record)]
