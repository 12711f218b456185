"""A back-test in words: its figures, and the sentence that answers."""

from fedbert.planning.capacity.backtest import Backtest, Checked, Summary
from fedbert.reporting.capacity.text import value_text
from fedbert.reporting.parts import text

SUMMARY = ("fleet", "figures", "inside", "median error", "median half width")
FIGURES = ("forecast", "predicted", "95% interval", "simulated", "error", "inside")

METHOD = (
    "Each run trains nothing and has the default scenario; downloads have no cap. The forecast has the "
    "schedule of the small run. Large runs have other seeds, so that the small fleet is no part of them. "
    "Small and large runs share the model of phones and habits: a back-test finds faults of the forecast's "
    "arithmetic and intervals, none of that model."
)

NOTE = (
    "A good 95% interval holds about 95% of the figures, and is not wide. The figures of one pair of runs "
    "depend on each other, so the share of one pair alone says little."
)


def summary_rows(found: Backtest) -> list[list[str]]:
    """Return a row for each size of fleet, in `SUMMARY`."""
    return [
        [
            f"{each.devices:,}",
            f"{each.figures:,}",
            text.percent(each.inside, 1),
            text.percent(each.median_error, 1),
            text.percent(each.median_half_width, 1),
        ]
        for each in found.summaries
    ]


def name(row: Checked) -> str:
    """Return a figure with the tier or hour that it is of."""
    said = row.name if row.tier is None else f"{row.tier}: {row.name}"
    return said if row.hour is None else f"{said}, {row.hour:02d}:00"


def figure_row(row: Checked) -> list[str]:
    """Return one figure, in `FIGURES`."""
    return [
        name(row),
        value_text(row.predicted, row.unit),
        f"{value_text(row.low, row.unit)} to {value_text(row.high, row.unit)}",
        value_text(row.simulated, row.unit),
        text.NONE if row.error is None else f"{100 * row.error:+.1f}%",
        "yes" if row.inside else "no",
    ]


def headline(found: Backtest) -> str:
    """Return the answer in a sentence for each size of fleet."""
    seeds = "one pair of runs" if found.seeds == 1 else f"{found.seeds} pairs of runs"
    said = [_sized(each) for each in found.summaries]
    return f"From {found.small:,} phones, {seeds}: {'; '.join(said)}."


def _sized(each: Summary) -> str:
    return (
        f"of {each.figures:,} figures of {each.devices:,} phones {text.percent(each.inside)} lie in their "
        f"95% intervals, with a median error of {text.percent(each.median_error, 1)} and a median half width "
        f"of {text.percent(each.median_half_width, 1)}"
    )


def misses(each: Summary) -> str | None:
    """Return which figures every seed misses on one side; None where there is none."""
    if not each.systematic:
        return None
    return f"{each.devices:,} phones: every seed misses {', '.join(each.systematic)} on the same side."
