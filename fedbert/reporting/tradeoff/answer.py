"""What a grid answers, in words: what each arm costs and wins, as far as its seeds resolve it."""

from typing import TYPE_CHECKING, Any

from fedbert.planning.tradeoff.arms import PUBLIC
from fedbert.planning.tradeoff.paired import Reference, column, verdict
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Section, table_html

if TYPE_CHECKING:
    import pandas as pd

METRIC = "ndcg@10"

PAIRED_NOTE = (
    "Each difference is paired by seed: both runs have the same users, sessions and histories. Intervals: "
    "95%, Student's t over the seeds' differences."
)


def missing(value: float | None) -> bool:
    """Return whether a figure is None or NaN, as an epsilon is without privacy."""
    return value is None or value != value


def arm_name(row: Any) -> str:
    """Return an arm in words, without its budget."""
    return "public texts only" if row["signal"] == PUBLIC else f"{row['signal']}, {row['mechanism']}"


def plain_number(value: float | None) -> str:
    """Return an epsilon or a multiplier with three digits, a dash for none."""
    return "–" if value is None or missing(value) else f"{value:.3g}"


def share(value: float | None) -> str:
    """Return a share in 0..1 in per cent, a dash for none."""
    return text.percent(None if missing(value) else value)


def _difference(row: Any, reference: Reference) -> tuple[float, float, float]:
    name = column(METRIC, reference)
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def difference_text(row: Any, reference: Reference) -> str:
    """Return a difference with its sign and half interval; with one seed without, and a dash for none."""
    value, low, high = _difference(row, reference)
    if missing(value):
        return "–"
    return f"{value:+.3f}" if missing(low) else f"{value:+.3f} ± {(high - low) / 2:.3f}"


def _seeds(count: int) -> str:
    return "one seed resolves" if count == 1 else f"{count} seeds resolve"


def cost_words(row: Any) -> str:
    """Return what an arm costs against the same run without noise, after "it"."""
    value, low, high = _difference(row, "no_privacy")
    if missing(value):
        return "has no run without privacy to be held against"
    shown = difference_text(row, "no_privacy").lstrip("+-")
    said = verdict(value, low, high)
    if said == "less":
        return f"loses {shown} nDCG@10 against no privacy"
    if said == "more":
        return f"ranks {shown} nDCG@10 better than without privacy, which more seeds should be asked about"
    change = difference_text(row, "no_privacy")
    return f"loses nothing against no privacy that {_seeds(row['seeds'])} ({change} nDCG@10)"


def gain_words(row: Any) -> str:
    """Return what an arm wins over the same updates without signals, after "it"."""
    value, low, high = _difference(row, "public_only")
    if missing(value):
        return "has no run without signals to be held against"
    shown = difference_text(row, "public_only").lstrip("+-")
    said = verdict(value, low, high)
    if said == "more":
        return f"wins {shown} over no signal"
    if said == "less":
        return f"is worse than no signal by {shown}"
    return f"wins nothing over no signal that {_seeds(row['seeds'])} ({difference_text(row, 'public_only')})"


def verdict_words(row: Any) -> str:
    """Return the verdict on an arm for a table."""
    gain = verdict(*_difference(row, "public_only"))
    if row["signal"] == PUBLIC:
        return "no signal"
    return {
        "more": "better than no signal",
        "less": "worse than no signal",
        "not resolved": f"not resolved by {row['seeds']} {'seed' if row['seeds'] == 1 else 'seeds'}",
    }[gain]


def chosen(frontier: "pd.DataFrame") -> Any | None:
    """Return the private arm that answers; None without one.

    It is that with the least epsilon, participation seen, that wins over no signal; where none does, the one
    that ranks best.
    """
    private = frontier[frontier["epsilon"].notna()]
    if not len(private):
        return None
    wins = [row for _, row in private.iterrows() if verdict(*_difference(row, "public_only")) == "more"]
    if wins:
        return min(wins, key=lambda row: (row["epsilon_unamplified"], -row[METRIC]))
    return private.iloc[int(private[METRIC].to_numpy().argmax())]


def answer(frontier: "pd.DataFrame") -> str:
    """Return the sentence that answers: epsilon and its adversary, cost and gain."""
    row = chosen(frontier)
    if row is None:
        return "No arm of this grid is private, so it says nothing of what privacy costs."
    year = plain_number(row["epsilon_unamplified_365_days"])
    horizon = f" (a year of such days: {year})" if year != "–" else ""
    return (
        f"{_larger_fleet(row)}At epsilon {plain_number(row['epsilon_unamplified'])} for the run{horizon}, "
        f"participation seen, {row['signal']} with mechanism {row['mechanism']} {cost_words(row)} and "
        f"{gain_words(row)}."
    )


def _larger_fleet(row: Any) -> str:
    """Return what must be known first of a grid whose noise is that of more phones than were run."""
    devices, others = row.get("devices"), row.get("noise_devices")
    if devices is None or others is None or others == devices:
        return ""
    return (
        f"The noise is that of {others:,} phones (modelled): the {devices:,} that were run show what it "
        "would leave, and none of them is protected. "
    )


DIFFERENCE_COLUMNS = (
    "arm",
    "epsilon asked",
    "participation seen",
    "not seen",
    "an attack gets",
    "items in a bare report",
    "nDCG@10 against no privacy",
    "over no signal",
    "over release 0",
    "bytes a report",
    "verdict",
)


def difference_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return the arms as text, in `DIFFERENCE_COLUMNS`."""
    return [
        [
            arm_name(row),
            row["budget"],
            plain_number(row["epsilon_unamplified"]),
            plain_number(row["epsilon_spent"]),
            plain_number(row.get("attack_epsilon")),
            share(row.get("exposed_items")),
            *(difference_text(row, reference) for reference in ("no_privacy", "public_only", "no_update")),
            f"{row['bytes_per_report']:,.0f}",
            verdict_words(row),
        ]
        for _, row in frontier.iterrows()
    ]


def differences(frontier: "pd.DataFrame") -> Section:
    """Return the chapter with what each arm costs and wins."""
    return Section(
        "What each arm costs and wins",
        "measured",
        table_html(difference_rows(frontier), DIFFERENCE_COLUMNS, align="lrrrrrrrrrl"),
        note=f"{PAIRED_NOTE} The epsilons are proved, for the run, against who sees or does not see which "
        "devices take part. An attack gets: the largest lower bound on the epsilon, participation seen, that "
        "the audit's attackers reached in any seed. Items in a bare report: the share of clicked items that "
        "one report gives away without its mask. No signal: the same updates from public texts alone.",
    )
