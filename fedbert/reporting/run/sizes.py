"""Chapter of a run's report: each phone the largest size that fits, beside one size for all of them."""

from fedbert.evidence import Known, from_row
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html
from fedbert.results import RunResult, SizeRow

HEADINGS = (
    *("model", "phones", "answered in time", "out of memory"),
    *("release 0", "final", "final, as users see it", "auto is above it by"),
    *("a release", "mJ/day", "p95", "memory p95"),
)
SHORT_HEADINGS = ("model", "phones", "in time", "release 0", "final", "seen", "release", "mJ/day", "p95")

WHAT_IT_IS = (
    "The evaluation sessions of the comparison, as if every phone had the release: with the size that each "
    "takes, and with one size for all. Qualities are measured: nDCG@10 with every session scored, from "
    "histories before the clock, and as users see it, with the default order where the phone cannot answer "
    "in time. All students have learnt from this fleet's sum. Times, memory and energy are modelled. Energy "
    "is that of answers and releases; signals cost the same with every size."
)


def rows(result: RunResult) -> list[list[Cell]]:
    """Return the cells of `HEADINGS` by choice, none for a run with one size."""
    found = result.get("sizes")
    return [] if found is None else [_cells(row) for row in found["rows"]]


def short_rows(result: RunResult) -> list[list[str]]:
    """Return the cells of `SHORT_HEADINGS`, which fit a terminal."""
    found = result.get("sizes")
    return [] if found is None else [_short(row) for row in found["rows"]]


def _cells(row: SizeRow) -> list[Cell]:
    won, part = from_row(row["won"]), text.shares(row["outcomes"])
    return [
        row["model"],
        row["devices"],
        text.percent(row["scored_share"], 1),
        text.percent(part.get("out_of_memory", 0.0), 1),
        row["release_0"],
        row["final"],
        row["seen_final"],
        f"{won.value:+.3f} ({text.between(won.low, won.high)})" if isinstance(won, Known) else text.NONE,
        text.size(row["bytes"]),
        text.significant(row["energy_mj_per_day"]),
        text.milliseconds(row["latency_p95_ms"]),
        text.size(row["memory_p95_bytes"]),
    ]


def _short(row: SizeRow) -> list[str]:
    return [
        row["model"],
        f"{row['devices']:,}",
        text.percent(row["scored_share"], 1),
        *(text.number(row[key]) for key in ("release_0", "final", "seen_final")),
        text.size(row["bytes"]),
        text.significant(row["energy_mj_per_day"]),
        text.milliseconds(row["latency_p95_ms"]),
    ]


def sentences(result: RunResult) -> list[str]:
    """Return who takes which size, and what that wins and costs beside each size for all."""
    found = result.get("sizes")
    if found is None:
        return []
    auto, *single = found["rows"]
    shares = [text.percent(row["devices"] / auto["devices"], 1) for row in single]
    first, *others = (f"{share} {row['model']}" for share, row in zip(shares, single, strict=True))
    first = first.replace(" ", " take ", 1)
    taken = f"Of {auto['devices']:,} phones {', '.join([first, *others[:-1]])} and {others[-1]}."
    return [taken, *(_beside(auto, row) for row in single)]


def _beside(auto: SizeRow, row: SizeRow) -> str:
    """Return what auto wins and costs beside one size for all; a difference that is not resolved is none."""
    reach = (
        f"Beside {row['model']} for all, auto answers {text.percent(auto['scored_share'], 1)} of the "
        f"sessions in time instead of {text.percent(row['scored_share'], 1)}"
    )
    energy = auto["energy_mj_per_day"] / row["energy_mj_per_day"] - 1
    cost = (
        f"a release is {text.size(auto['bytes'])} instead of {text.size(row['bytes'])}, and answers and "
        f"releases take {text.percent(abs(energy))} {'more' if energy > 0 else 'less'} energy."
    )
    return f"{reach}; {_quality(row)}; {cost}"


def _quality(row: SizeRow) -> str:
    won = from_row(row["won"])
    if not isinstance(won, Known):
        return "users' nDCG@10 was not compared"
    interval = f"auto less {row['model']}: 95% interval {text.between(won.low, won.high)}"
    if won.sign is None:
        return "too few sessions tell whether users see another nDCG@10"
    if won.sign == 0:
        return f"no difference in the nDCG@10 that users see is resolved ({interval})"
    side = "higher" if won.sign > 0 else "lower"
    return f"users see nDCG@10 {abs(won.value):.3f} {side} ({interval})"


def sizes(result: RunResult) -> Section | None:
    """Each phone the largest size that fits, beside one size for all; None for a run with one size."""
    cells = rows(result)
    if not cells:
        return None
    panel = Panel(
        "Reach, quality and cost of each choice",
        "modelled",
        table_html(cells, list(HEADINGS), align="l" + "r" * (len(HEADINGS) - 1), emphasis=[0]),
        WHAT_IT_IS,
        wide=True,
    )
    return Section("Which size for which phone?", None, panels_html(panel), "", " ".join(sentences(result)))
