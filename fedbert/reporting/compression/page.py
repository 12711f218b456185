"""The report of a compression: one HTML page and a Markdown table, both from ``compression.json``."""

from pathlib import Path

from fedbert.errors import FedbertError, invalid
from fedbert.files import write_text
from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.markdown import markdown
from fedbert.reporting.compression.numbers import (
    Record,
    final_stage,
    kept,
    per_seed,
    reached,
    t_spread,
    tasks,
)
from fedbert.reporting.compression.sections import outcome
from fedbert.reporting.compression.sections_made import made
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Card, alert_html, render_page

CARDS_OF_TASKS = 6
"""At most so many tasks have a card; the table has them all."""
_USUAL_TOKENS = 16


def _checked(record: Record) -> Record:
    for key in ("title", "command"):
        if not isinstance(record.get(key), str):
            raise invalid(
                key, record.get(key), "be a text in the record of a compression", "run compress.py again"
            )
    return record


def _size_cards(record: Record) -> list[Card]:
    total, budget = record.get("total_bytes"), record.get("budget_bytes")
    over = total is not None and budget is not None and total > budget
    cards = []
    if total is not None:
        note = f"{said.exact_bytes(total)}" + (f" of {said.exact_bytes(budget)} allowed" if budget else "")
        cards.append(Card("On disk, everything included", text.size(total), note, "measured", alert=over))
    if record.get("download_bytes") is not None:
        cards.append(
            Card("To download", text.size(record["download_bytes"]), "compressed for the way", "measured")
        )
    if record.get("memory_bytes") is not None:
        cards.append(Card("In memory", text.size(record["memory_bytes"]), "when loaded", "measured"))
    return cards


def _accuracy_cards(record: Record) -> list[Card]:
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


def _speed_cards(record: Record) -> list[Card]:
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
        cards.append(Card("Texts a second", said.count(best["texts_per_s"]), note, "measured"))
    if record.get("seconds") is not None:
        note = (
            f"{said.seeds(record)}, from start to report" if record.get("seeds") else "from start to report"
        )
        cards.append(Card("Made in", text.duration(record["seconds"]), note, "measured"))
    return cards


def _alerts(record: Record) -> list[str]:
    alerts = []
    missed = [str(each.get("what", "")) for each in record.get("targets") or [] if reached(each) is False]
    if missed:
        word = "A target was missed." if len(missed) == 1 else f"{len(missed)} targets were missed."
        alerts.append(alert_html(word, f"{'; '.join(missed)}."))
    total, budget = record.get("total_bytes"), record.get("budget_bytes")
    if total is not None and budget is not None and total > budget:
        excess = said.exact_bytes(total - budget)
        alerts.append(alert_html("Over budget.", f"The student is {excess} larger than was allowed."))
    final = final_stage(record)
    if final is not None and all(len(per_seed(final, task)) < 2 for task in tasks(record)):
        note = "No figure has an interval, and small differences may be chance; give several seeds."
        alerts.append(alert_html("One seed.", note, warning=False))
    return alerts


def compression_html(record: Record) -> str:
    """Return the report of a compression as one self-contained HTML page.

    Args:
        record: the parsed ``compression.json``; what is missing of it is left out of the page.

    Raises:
        FedbertError: if it has no ``title`` or no ``command``.
    """
    _checked(record)
    environment = record.get("environment") or {}
    commit = str(environment.get("commit") or "")[:12]
    small = ["Compression report", said.seeds(record), f"commit {commit}" if commit else ""]
    return render_page(
        title=f"{record['title']}: a student of {text.size(record['total_bytes'])}"
        if record.get("total_bytes") is not None
        else record["title"],
        subtitle=" · ".join(part for part in small if part),
        lead=said.headline(record),
        answers=said.answers(record),
        cards=[*_size_cards(record), *_accuracy_cards(record), *_speed_cards(record)],
        sections=[chapter for chapter in (*outcome(record), *made(record)) if chapter is not None],
        alerts=_alerts(record),
        footer=f"Made by: {record['command']}",
    )


def compression_markdown(record: Record) -> str:
    """Return the table of a compression for a README, with the command that made it.

    Raises:
        FedbertError: if the record has no ``title`` or no ``command``.
    """
    return markdown(_checked(record))


def write_compression_report(record: Record, folder: Path) -> Path:
    """Write ``report.html`` and ``report.md`` into `folder`, made if need be; return the page's path.

    Raises:
        FedbertError: if the record lacks its title or command, or the folder cannot be written.
    """
    page, table = compression_html(record), compression_markdown(record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FedbertError(
            f"output(={str(folder)!r}) must be a folder that can be written: {error.strerror}; "
            "choose another --output"
        ) from None
    write_text(folder / "report.md", table)
    write_text(folder / "report.html", page)
    return folder / "report.html"
