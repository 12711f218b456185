"""A comparison in words: its figures, its verdicts, and the sentences that answer."""

from collections import Counter
from collections.abc import Sequence

from fedbert.planning.comparing.comparison import HOW, Comparison, Pair, Row, Setting
from fedbert.planning.comparing.verdicts import Difference, Verdict
from fedbert.reporting.capacity.text import value_text
from fedbert.reporting.parts import text

QUALITY_UNIT = "0..1"
"""Of nDCG@10 and AUC."""

NOUNS = {"run": "runs", "tradeoff": "trade-off grids", "capacity": "capacity forecasts"}
COUNTED: tuple[Verdict, ...] = ("effect", "unsure", "chance", "one seed", "exact", "no interval", "equal")
SHOWN_PAIRS = 3
"""Variants that the answer speaks of; the tables have all."""
SHOWN_SETTINGS = 4
"""Settings that a sentence names; the table has all."""

ONE_RUN = (
    "One run stands against one: the intervals are those of the two runs' own sessions, and what another "
    "seed would change is not in them. Several runs of each, with the same seeds, tell an effect from the "
    "seed."
)


def value(amount: float | None, unit: str) -> str:
    """Return one figure with its unit."""
    if amount is None:
        return text.NONE
    if unit == QUALITY_UNIT:
        return f"{amount:.3f}"
    return text.duration(amount) if unit == "s" else value_text(amount, unit)


def difference(found: Difference, unit: str) -> str:
    """Return a difference with its sign and interval."""
    value, interval = parts(found, unit)
    return f"{value} ({interval})" if interval else value


def parts(found: Difference, unit: str) -> tuple[str, str]:
    """Return a difference with its sign, and its interval; that is empty where there is none."""
    if found.value is None:
        return text.NONE, ""
    if not found.value:
        return "0", ""
    value = _signed(found.value, unit)
    if found.low is None or found.high is None:
        return value, ""
    return value, f"{_signed(found.low, unit)} to {_signed(found.high, unit)}"


def _signed(amount: float, unit: str) -> str:
    """Return a difference with its sign; the zero that it may read keeps the sign of what it is."""
    sign = "-" if amount < 0 else "+"
    if unit == QUALITY_UNIT:
        return f"{sign}{abs(amount):.{3 if abs(amount) >= 0.0005 else 5}f}"
    if unit == "share":
        return f"{sign}{100 * abs(amount):.2f} points"
    return f"{sign}{value(abs(amount), unit)}"


def relative(row: Row) -> str:
    """Return by how many per cent the figure differs, where that can be said."""
    found = row.difference.value
    if not found or not row.reference or row.figure.unit in (QUALITY_UNIT, "share"):
        return text.NONE
    share = found / abs(row.reference)
    return f"{'-' if share < 0 else '+'}{100 * abs(share):.{1 if abs(share) < 0.1 else 0}f}%"


def name(row: Row) -> str:
    """Return a figure with the arm that it is of."""
    return f"{row.figure.name} ({row.arm})" if row.arm else row.figure.name


def settings_that_count(found: Comparison) -> list[Setting]:
    """Return what differs and may make a result differ: not where and how it was computed."""
    return [each for each in found.settings if each.group not in HOW]


def what_differs(found: Comparison, letter: str) -> str:
    """Return what a variant differs in from the first, and what follows if it is more than one thing."""
    letters = [variant.letter for variant in found.variants]
    place = letters.index(letter)
    named = [each for each in settings_that_count(found) if each.values[0] != each.values[place]]
    if not named:
        if found.kind == "run" and found.variants[0].seeds != found.variants[place].seeds:
            return "Nothing but the seed differs, so whatever differs in the results is chance."
        return (
            "No setting, version or model differs: what differs in the results is not explained by anything "
            "that was written down."
        )
    shown = ", ".join(f"{each.group} {each.key}" for each in named[:SHOWN_SETTINGS])
    more = len(named) - SHOWN_SETTINGS
    said = f"They differ in {shown}{f' and {more} more' if more > 0 else ''}."
    if len(named) > 1:
        said += " A comparison cannot tell which of them a difference comes from."
    return said


def warnings(found: Comparison) -> list[str]:
    """Return what a reader must know before the figures."""
    said = []
    changed = [variant.letter for variant in found.variants if variant.changed]
    if changed:
        said.append(
            f"The code of {_listed(changed)} had changes that its commit does not have: it may differ by "
            "more than is listed."
        )
    if any(row.difference.method == "one run each" for pair in found.pairs for row in pair.rows):
        said.append(ONE_RUN)
    for pair in found.pairs:
        if not pair.rows:
            said.append(f"{pair.letter} has no arm or figure that the first has: nothing can be compared.")
    return said


def _listed(words: Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def headline(found: Comparison) -> str:
    """Return the answer: the main figures of each pair, how many others differ, and what differs."""
    said = [f"{_pair(found, pair)} {what_differs(found, pair.letter)}" for pair in found.pairs[:SHOWN_PAIRS]]
    more = len(found.pairs) - SHOWN_PAIRS
    return " ".join([*said, *([f"{more} more in the tables."] if more > 0 else [])])


def _pair(found: Comparison, pair: Pair) -> str:
    reference = found.variants[0].letter
    main = [row for row in pair.rows if row.figure.main]
    said = "; ".join(_main(row) for row in main[:4])
    more = f"; {len(main) - 4} more in the tables" if len(main) > 4 else ""
    against = f"{pair.letter} against {reference}"
    return f"{against}: {said}{more}. {_others(pair)}" if main else f"{against}: {_others(pair)}"


def _main(row: Row) -> str:
    found = row.difference
    if found.value is None:
        return f"{name(row)} is not known in both ({found.why})"
    if found.verdict == "equal":
        return f"{name(row)} is equal"
    says = {
        "effect": "an effect",
        "unsure": "not more than chance among so many",
        "chance": "not told from chance",
        "one seed": "more than their sessions explain, but one seed each",
        "no interval": "without an interval",
        "exact": "exact",
    }[found.verdict]
    return f"{name(row)} differs by {difference(found, row.figure.unit)}, {says}"


def counts(rows: Sequence[Row]) -> dict[Verdict, int]:
    """Return how many of `rows` have each verdict, in the order of `COUNTED`."""
    counted = Counter(row.difference.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in COUNTED if counted[verdict]}


def _others(pair: Pair) -> str:
    others = [row for row in pair.rows if not row.figure.main and row.figure.hour is None]
    if not others:
        return "No other figure is known in both."
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts(others).items())
    return f"Of {len(others)} other figures: {listed or 'none known in both'}."
