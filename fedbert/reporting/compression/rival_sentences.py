"""What a compression's report says of simpler models of the same bytes, on the page and in Markdown."""

from collections.abc import Sequence

from fedbert.reporting.compression.numbers import Spread, tasks
from fedbert.reporting.compression.record import CompressionRecord, RivalRow
from fedbert.reporting.compression.sentences import listed, points, result_sentences


def rows_of(record: CompressionRecord) -> list[RivalRow]:
    """Return the student's row and those of its rivals; none if they were not compared."""
    return list((record.get("rivals") or {}).get("rows") or [])


def parts_of(record: CompressionRecord) -> list[RivalRow]:
    """Return a widened student's row, its parts' and those of models beside it; none if it has no parts."""
    parts = list((record.get("rivals") or {}).get("parts") or [])
    return [*rows_of(record)[:1], *parts] if parts else []


def _best(rivals: Sequence[RivalRow], task: str) -> RivalRow | None:
    known = [
        row for row in rivals if task in (row.get("ahead") or {}) and task in (row.get("accuracy") or {})
    ]
    return max(known, key=lambda row: row["accuracy"][task], default=None)


def margins(record: CompressionRecord) -> dict[str, tuple[RivalRow, Spread]]:
    """Return the best rival by task, and the student's accuracy minus its own."""
    found = {}
    for task in tasks(record):
        best = _best(rows_of(record)[1:], task)
        if best is not None:
            ahead = best["ahead"][task]
            mean = ahead.get("mean")
            if mean is not None:
                found[task] = (best, Spread(mean, ahead.get("low"), ahead.get("high")))
    return found


def better_sentence(record: CompressionRecord) -> str:
    """Return where a rival is not behind, and by how many points; nothing if every one is."""
    ahead = [
        f"{row.get('rival', '')} on {task} ({points(spread)} points)"
        for task, (row, spread) in margins(record).items()
        if spread.mean <= 0
    ]
    if not ahead:
        return ""
    return f"A simpler model of the same bytes is no worse: {listed(ahead)}, the student's minus its own."


def margins_sentence(record: CompressionRecord) -> str:
    """Return how far the student is above the best rival on each task where it is.

    It is the first seed's, whose files are kept; the sentences before it are of means over seeds.
    """
    found = [
        f"{points(spread)} points on {task} ({row.get('rival', '')})"
        for task, (row, spread) in margins(record).items()
        if spread.mean > 0
    ]
    seeds = record.get("seeds") or []
    begin = f"With seed {seeds[0]}, against" if len(seeds) > 1 else "Against"
    return f"{begin} the best simpler model of the same bytes: {listed(found)}." if found else ""


def headline(record: CompressionRecord) -> str:
    """Return the answer in a few sentences: first where a simpler model is as good, if one is."""
    parts = [better_sentence(record), *result_sentences(record), margins_sentence(record)]
    return " ".join(part for part in parts if part) or "Nothing was measured."
