"""A back-test in words: its figures, and the sentence that answers."""

from fedbert.planning.capacity.backtest import Backtest, Checked, Summary
from fedbert.reporting.capacity.text import value_text
from fedbert.reporting.parts import text

SUMMARY = (
    *("fleet", "figures", "inside", "median error", "median half width"),
    *("with model spread", "with device model"),
)
FIGURES = ("forecast", "predicted", "95% interval", "simulated", "error", "inside")

METHOD = (
    "Each run trains nothing and has the default scenario; downloads have no cap. The forecast has the "
    "schedule of the small run. Large runs have other seeds, so that the small fleet is no part of them. "
    "Small and large runs share the model of phones and habits: a back-test finds faults of the forecast's "
    "arithmetic and statistics, none of that model. So the intervals tested are those of the statistics: the "
    "run's phones are a sample, and the larger fleet has chance of its own."
)

NOTE = (
    "A good 95% interval holds about 95% of the figures, and is not wide. The figures of one pair of runs "
    "depend on each other, so the share of one pair alone says little; the interval of the share is over "
    "pairs. The last two columns are the median half width of the wider intervals that a plan has, with the "
    "spread of modelled odds and costs and with the measured error of the device model: these are not tested."
)


def summary_rows(found: Backtest) -> list[list[str]]:
    """Return a row for each size of fleet, in `SUMMARY`."""
    return [
        [
            f"{each.devices:,}",
            f"{each.figures:,}",
            _inside(each),
            text.percent(each.median_error, 1),
            text.percent(each.median_half_width, 1),
            *(_share(width) for width in (each.median_spread_half_width, each.median_plan_half_width)),
        ]
        for each in found.summaries
    ]


def _share(value: float | None) -> str:
    return text.NONE if value is None else text.percent(value, 1)


def _inside(each: Summary) -> str:
    share, low, high = each.inside.value, each.inside.low, each.inside.high
    if low is None or high is None:
        return text.percent(share, 1)
    return f"{text.percent(share, 1)} ({text.percent(low, 1)} to {text.percent(high, 1)})"


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
        f"of {each.figures:,} figures of {each.devices:,} phones {_inside(each)} lie in their 95% intervals "
        f"of the statistics, with a median error of {text.percent(each.median_error, 1)} and a median half "
        f"width of {text.percent(each.median_half_width, 1)}"
    )


def misses(each: Summary) -> str | None:
    """Return which figures every seed misses on one side; None where there is none."""
    if not each.systematic:
        return None
    return f"{each.devices:,} phones: every seed misses {', '.join(each.systematic)} on the same side."
