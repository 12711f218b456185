"""Chapter of a capacity plan's report with inputs: other plans' best guesses, computed in the page."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fedbert.intervals import Estimate
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Price
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.text import BEYOND, SPOKEN_UNITS, figures_text
from fedbert.reporting.parts.page import Section, render, safe
from fedbert.reporting.parts.text import FIVE_DIGITS
from fedbert.settings import Settings

TITLE = "Change the plan"

_OF_THE_RUN = ("rounds_per_day", "releases_per_day", "release_hour")
"""Settings that the run's own schedule has; they cannot be given beside it."""

_LABELS = {
    "devices": "Phones",
    "reports_per_round": "Reports per round",
    "over_selection": "Over-selection",
    "rounds_per_day": "Rounds per day",
    "releases_per_day": "Releases per day",
    "release_hour": "Hour of the first release",
    "release_mbit_per_s": "Cap of downloads, Mbit/s",
    "download_bytes": "Bytes of a download",
    "check_in_bytes": "Bytes of a check-in, each way",
    "connection_bytes": "TLS bytes of a transfer, each way",
    "sessions_per_day": "Sessions per phone and day",
}

_FIRST = (
    "egress per day",
    "ingress per day",
    "total QPS, peak hour",
    "egress headroom, peak hour",
    "minimum hours under the cap",
    "hours to 50%",
    "hours to 90%",
    "hours to 95%",
    "sampling probability",
    "cost per day",
    "carbon per day",
)
"""Figures that stand open; the others are folded."""

_FOLDED = (
    "releases per day",
    "downloads per day",
    "reports per day",
    "check-ins per day",
    "check-in and TLS bytes, each way",
    "downloads per phone and day",
    "bytes down per phone and day",
    "bytes up per phone and day",
    "egress, one release to all devices",
    "egress, one release in 24 h",
    "peak egress without a cap",
    "hours a day at the cap",
    "hours to 99%",
    "download QPS, peak hour",
    "upload QPS, peak hour",
    "check-in QPS, peak hour",
    "aggregator ingress",
    "aggregator additions",
    "aggregator ingress, burst",
    "aggregator additions, burst",
)
_PRICED = ("cost per ", "carbon per ", "share of carbon, ")
_BY_TIER = ("installs per day", "computing per day", "energy per day", "charge per day", "battery per day")

NOTE = (
    "At your setting: best guesses, modelled, by the formulas of the command. Intervals are those of the "
    "computed plan, and so is every other chapter. Privacy, rounds that fill, p99 and the peak second are "
    "not here: give the command the flags of your setting."
)


@dataclass(frozen=True)
class Input:
    """A number that can be moved: its key is that of the setting, or of the prices file behind a dot."""

    key: str
    label: str
    value: float
    least: float
    least_is_in: bool  # whether `least` itself is allowed
    most: float
    whole: bool
    linear: bool  # how its slider moves; else by factors of the computed value


def live(result: CapacityForecast) -> list[Section]:
    """Return the chapter, or none for a forecast without its basis."""
    if result.basis is None:
        return []
    run, first = result.run, _rows(result, True)
    content = {
        "basis": {
            **asdict(result.basis),
            "release_bytes": run.release_bytes,
            "report_bytes": run.report_bytes,
            "days": run.days,
            "seen_share": run.seen_share,
            "above": {price.name: _above(price) for price in result.prices if price.above_tb_per_month},
        },
        "schedule": result.plan.schedule,
        "rounds_per_day": result.plan.rounds_per_day,
        "inputs": [asdict(each) for each in inputs(result)],
        "beyond": BEYOND,
    }
    html = render(
        "capacity.html.j2",
        # "<" would end the script element that holds it
        content=safe(json.dumps(content, allow_nan=False).replace("<", "\\u003c")),
        first=first,
        folded=_rows(result, False),
        inputs=inputs(result),
        five_digits=FIVE_DIGITS,
        spoken_units=safe(json.dumps(SPOKEN_UNITS)),
    )
    lead = "Move an input: the best guesses follow. The address of the page keeps the setting."
    return [Section(TITLE, "modelled", html, NOTE, lead)]


def _above(price: Price) -> list[list[float]]:
    """Return the steps of a price by volume over its first: an input moves them all alike."""
    return [[start, each / price.value] for start, each in price.above_tb_per_month]


def inputs(result: CapacityForecast) -> list[Input]:
    """Return what can be moved, at the values of the computed plan; with the run's schedule not that."""
    plan = result.plan
    values = {name: getattr(plan, name, None) for name in _LABELS}
    values |= {
        "release_mbit_per_s": plan.release_bits_per_s / 1e6,
        "download_bytes": plan.download_bytes or result.run.release_bytes,
    }
    known = {name: value for name, value in values.items() if value is not None}
    if plan.schedule == "run":
        known = {name: value for name, value in known.items() if name not in _OF_THE_RUN}
    return [
        *(_input(name, _LABELS[name], float(value), CapacitySettings, name) for name, value in known.items()),
        *(
            _input(
                f"prices.{price.name}",
                f"Price: {Prices.model_fields[price.name].description}",
                price.value,
                Sourced,
                "value",
            )
            for price in result.prices
            if price.name in Prices.model_fields
        ),
    ]


def _input(key: str, label: str, value: float, settings: type[Settings], field: str) -> Input:
    """Return an input with the limits that the field of `settings` has."""
    limits: dict[str, Any] = {}
    for rule in settings.model_fields[field].metadata:
        limits |= {name: getattr(rule, name) for name in ("ge", "gt", "le") if hasattr(rule, name)}
    most = 1.0 if key == "prices.charging_efficiency" else float(limits["le"])
    return Input(
        key=key,
        label=label,
        value=value,
        least=float(limits.get("ge", limits.get("gt", 0))),
        least_is_in="ge" in limits,
        most=most,
        whole=key in ("devices", "reports_per_round"),
        linear=key == "release_hour" or value == 0,
    )


def _rows(result: CapacityForecast, first: bool) -> list[dict[str, str]]:
    """Return the figures that the page computes, as it was computed: those that stand open, or the others."""
    q = Estimate(result.sampling_probability, None, None)
    known = [*result.forecasts, Forecast("sampling probability", "", q, "modelled", "")]
    rows = [row for row in known if computed_in_the_page(row) and (_stands_open(row) == first)]
    return [
        {
            "key": key_of(row),
            "name": row.name if row.tier is None else f"{row.name}: {row.tier}",
            "unit": row.unit,
            "value": figures_text(row)[0],
            "interval": "" if row.estimate.low is None else figures_text(row)[1],
        }
        for row in _in_order(rows)
    ]


def key_of(row: Forecast) -> str:
    """Return the name by which the page's formulas know a figure."""
    return row.name if row.tier is None else f"{row.name}|{row.tier}"


def computed_in_the_page(row: Forecast) -> bool:
    """Return whether the page's formulas have a figure: its best guess needs no draws and is known."""
    if row.hour is not None or row.estimate.value != row.estimate.value:
        return False
    if row.tier is not None:
        return row.name.startswith(_BY_TIER)
    return row.name in (*_FIRST, *_FOLDED) or row.name.startswith(_PRICED)


def _stands_open(row: Forecast) -> bool:
    return row.tier is None and row.name in _FIRST


def _in_order(rows: Iterable[Forecast]) -> list[Forecast]:
    return sorted(rows, key=lambda row: _FIRST.index(row.name) if _stands_open(row) else len(_FIRST))
