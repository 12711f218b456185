"""Chapter of a capacity plan's report with inputs: other plans' best guesses, computed in the page."""

import json
import zlib
from base64 import b64encode
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isfinite, isnan
from typing import Any

from fedbert.intervals import Estimate
from fedbert.planning.budget.plan import HORIZON_DAYS
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Price
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.buyers import PRIVACY, Buyer, buyer_of, by_buyer, is_named
from fedbert.reporting.capacity.privacy import DAYS
from fedbert.reporting.capacity.record import frame
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
    "utilisation": "Utilisation of servers",
}

_PRICED = ("cost per ", "carbon per ", "share of carbon, ")
_BY_TIER = ("installs per day", "computing per day", "energy per day", "charge per day", "battery per day")
_ELSEWHERE = ("share of sessions scored",)
"""Figures of the whole fleet that stay those of the run at any plan."""

_ALWAYS_SEEN = ("egress per day", "total QPS, peak hour", "rounds that fill")
"""Figures that stay in sight on a narrow screen."""

NOTE = (
    "At your setting: best guesses, modelled, by the formulas of the command; epsilons are proved. Intervals "
    "are those of the computed plan, and so is every other chapter. Mechanism and region are those of the "
    "run and of the prices file. What reads \u201cby the command\u201d has no formula: give the command the "
    "flags of your setting."
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
    run, rows = result.run, _rows(result)
    content = {
        "basis": {
            **asdict(result.basis),
            "release_bytes": run.release_bytes,
            "report_bytes": run.report_bytes,
            "days": run.days,
            "seen_share": run.seen_share,
            "above": {price.name: _above(price) for price in result.prices if price.above_tb_per_month},
            "horizon_days": HORIZON_DAYS,
        },
        "schedule": result.plan.schedule,
        "rounds_per_day": result.plan.rounds_per_day,
        "inputs": [asdict(each) for each in inputs(result)],
        "beyond": BEYOND,
        "always_seen": _ALWAYS_SEEN,
        "figures": [row["figure"] for row in rows],
        "forecast_csv": _packed(frame(result).to_csv(index=False)),
    }
    html = render(
        "capacity.html.j2",
        # "<" would end the script element that holds it
        content=safe(json.dumps(content, allow_nan=False).replace("<", "\\u003c")),
        first=_grouped([row for row in rows if row["open"]]),
        folded=_grouped([row for row in rows if not row["open"]]),
        folded_count=sum(not row["open"] for row in rows),
        inputs=inputs(result),
        five_digits=FIVE_DIGITS,
        spoken_units=safe(json.dumps(SPOKEN_UNITS)),
    )
    lead = (
        "Move an input: the best guesses follow. Keep a setting as plan B to compare it with the next one. "
        "The address of the page keeps both."
    )
    return [Section(TITLE, "modelled", html, NOTE, lead)]


def _above(price: Price) -> list[list[float]]:
    """Return the steps of a price by volume over its first: an input moves them all alike."""
    return [[start, each / price.value] for start, each in price.above_tb_per_month]


def _packed(text: str) -> str:
    """Return a text as the page unpacks it: what repeats takes no place twice."""
    return b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def inputs(result: CapacityForecast) -> list[Input]:
    """Return what can be moved, at the values of the computed plan; with the run's schedule not that."""
    plan = result.plan
    values = {name: getattr(plan, name, None) for name in _LABELS}
    values |= {
        "release_mbit_per_s": plan.release_bits_per_s / 1e6,
        "download_bytes": plan.download_bytes or result.run.release_bytes,
        "utilisation": result.servers.utilisation if result.servers else None,
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


def _rows(result: CapacityForecast) -> list[dict[str, Any]]:
    """Return the figures that the page computes, as they were computed, in the order of their buyers."""
    q = Estimate(result.sampling_probability, None, None)
    known = [
        *result.forecasts,
        Forecast("sampling probability", "", q, "modelled", ""),
        *_epsilons(result),
    ]
    return [_row(row) for row in by_buyer(known) if computed_in_the_page(row)]


def _epsilons(result: CapacityForecast) -> list[Forecast]:
    """Return the plan's epsilons as figures, the adversary in the place of a tier."""
    return [
        Forecast(f"epsilon in {days}", "", Estimate(epsilon, None, None), "modelled", "", tier=each.adversary)
        for each in result.privacy.guarantees
        for days, epsilon in zip(DAYS, each.epsilons, strict=True)
    ]


def _row(row: Forecast) -> dict[str, Any]:
    key, buyer, estimate = key_of(row), buyer_of(row.name), row.estimate
    name = row.name if row.tier is None else f"{row.name}: {row.tier}"
    interval = "" if estimate.low is None else figures_text(row)[1]
    known = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {
        "buyer": buyer,
        "open": row.name in buyer.first or buyer is PRIVACY,
        "key": key,
        "name": name,
        "unit": row.unit,
        "value": figures_text(row)[0],
        "interval": "proved" if buyer is PRIVACY else interval,
        # JSON has no infinity: null, as in capacity.json
        "figure": {"key": key, "name": name, "buyer": buyer.name, "unit": row.unit}
        | {end: value if value is not None and isfinite(value) else None for end, value in known.items()},
    }


def _grouped(rows: list[dict[str, Any]]) -> list[tuple[Buyer, list[dict[str, Any]]]]:
    return [(buyer, list(mine)) for buyer, mine in groupby(rows, key=lambda row: row["buyer"])]


def key_of(row: Forecast) -> str:
    """Return the name by which the page's formulas know a figure."""
    return row.name if row.tier is None else f"{row.name}|{row.tier}"


def computed_in_the_page(row: Forecast) -> bool:
    """Return whether the page has a figure: one of the whole fleet, of a tier's day or of an adversary."""
    if row.hour is not None or isnan(row.estimate.value):
        return False
    if row.tier is not None:
        return row.name.startswith((*_BY_TIER, "epsilon in "))
    return row.name not in _ELSEWHERE and (is_named(row.name) or row.name.startswith(_PRICED))
