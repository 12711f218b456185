"""What a plan costs in money and carbon: bytes, requests and phones' energy times a prices file's numbers.

A sum takes its parts' lows and highs together: its interval is as wide as if they moved as one. Servers are
not in it: a calibration has their cores and no power.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedbert.intervals import Estimate
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Price
from fedbert.planning.capacity.prices import Prices
from fedbert.units import GIGABYTE

MJ_PER_KWH = 3.6e9
"""Millijoules in one kilowatt-hour."""

DAYS_PER_YEAR = 365.0

PUBLISHED_SPLIT = {"computing": (46, 50), "uploads": (27, 29), "downloads": (22, 24), "servers": (1, 2)}
"""Per cent of the CO2e of federated training at a fleet of phones (Green FL, Meta), for comparison."""


def priced(base: BaseRun, found: CapacityForecast, prices: Prices) -> CapacityForecast:
    """Return the forecast with what it costs, and the numbers that this rests on."""
    used = tuple(
        Price(name, price.value, price.date.isoformat(), price.source)
        for name, price in prices.known().items()
    )
    return replace(found, forecasts=(*found.forecasts, *costs(base, found, prices)), prices=used)


def costs(base: BaseRun, found: CapacityForecast, prices: Prices) -> tuple[Forecast, ...]:
    """Return money and carbon per day, release, year and thousand phones, as far as `prices` goes."""
    rows: list[Forecast] = []
    money = _money(found, prices) | _charging(base, found, prices)
    if money:
        rows += _spread(found, "cost", prices.currency, money)
    carbon = _carbon(base, found, prices)
    if carbon:
        rows += _spread(found, "carbon", "gCO2e", carbon)
        total = _sum(carbon).value
        rows += [
            Forecast(
                f"share of carbon, {part}",
                "share",
                _times(estimate, 1 / total),
                "modelled",
                _compared(part),
            )
            for part, estimate in carbon.items()
        ]
    return tuple(rows)


def _compared(part: str) -> str:
    low, high = PUBLISHED_SPLIT[part]
    return (
        f"of phones and networks, servers left out; published for federated training: {low} to {high}% "
        "(Green FL), whose phones train, and download less for it"
    )


def _money(found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    def row(name: str) -> Estimate:
        return found.find(name).estimate

    both_ways = row("check-in and TLS bytes, each way")
    requests = [row(name) for name in ("downloads per day", "reports per day", "check-ins per day")]
    used = {
        "cdn_per_gb": ("downloads", _times(row("egress per day"), 1 / GIGABYTE)),
        "egress_per_gb": ("check-ins out", _times(both_ways, 1 / GIGABYTE)),
        "ingress_per_gb": (
            "ingress",
            _times(_sum({"reports": row("ingress per day"), "rest": both_ways}), 1 / GIGABYTE),
        ),
        "requests_per_million": ("requests", _times(_sum(dict(enumerate(requests))), 1e-6)),
    }
    known = prices.known()
    return {name: _times(units, known[key].value) for key, (name, units) in used.items() if key in known}


def _charging(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    if prices.kwh is None:
        return {}
    parts = _phone_kwh(base, found, prices)
    return {"charging": _times(_sum(parts), prices.kwh.value)} if parts else {}


def _phone_kwh(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    """Return kilowatt-hours a day of all phones, by part; empty for a run from before they were kept."""
    efficiency = prices.charging_efficiency.value if prices.charging_efficiency else 1.0
    uses = {"computing": ("sessions", "installs"), "uploads": ("uploads",), "downloads": ("downloads",)}
    if not any(tier.energy_mj_per_day_by for tier in base.tiers):
        return {}
    return {
        part: _sum(
            {
                (tier.name, use): _times(
                    found.find(f"energy per day, {use}", tier=tier.name).estimate,
                    found.plan.devices * tier.devices / base.devices / MJ_PER_KWH / efficiency,
                )
                for tier in base.tiers
                for use in names
            }
        )
        for part, names in uses.items()
    }


def _carbon(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    """Return grams of CO2e a day by part; empty if the grams of a kilowatt-hour are not given."""
    if prices.gco2e_per_kwh is None:
        return {}
    parts = _phone_kwh(base, found, prices)
    if parts and prices.network_kwh_per_gb is not None:
        each = prices.network_kwh_per_gb.value / GIGABYTE
        for part, name in (("uploads", "ingress per day"), ("downloads", "egress per day")):
            network = _times(found.find(name).estimate, each)
            parts[part] = _sum({"phone": parts[part], "network": network})
    return {part: _times(kwh, prices.gco2e_per_kwh.value) for part, kwh in parts.items()}


def _spread(found: CapacityForecast, what: str, unit: str, parts: Mapping[str, Estimate]) -> list[Forecast]:
    """Return the parts of a day, and their sum per day, release, year and thousand phones."""
    total = _sum(parts)
    releases = found.find("releases per day").estimate.value
    said = f"{what} of {', '.join(parts)}, by the prices file; servers are left out"
    per = {
        "per day": 1.0,
        **({"per release": 1 / releases} if releases > 0 else {}),
        "per year": DAYS_PER_YEAR,
        "per thousand phones and year": 1_000 * DAYS_PER_YEAR / found.plan.devices,
    }
    named = {f"{what} per day, {name}": part for name, part in parts.items()}
    named |= {f"{what} {name}": _times(total, factor) for name, factor in per.items()}
    return [Forecast(name, unit, estimate, "modelled", said) for name, estimate in named.items()]


def _times(estimate: Estimate, factor: float) -> Estimate:
    value = estimate.value
    low = value if estimate.low is None else estimate.low
    high = value if estimate.high is None else estimate.high
    return Estimate(value * factor, low * factor, high * factor)


def _sum(parts: Mapping[Any, Estimate]) -> Estimate:
    found = [_times(part, 1.0) for part in parts.values()]
    return Estimate(
        sum(part.value for part in found),
        sum(part.low or 0.0 for part in found),
        sum(part.high or 0.0 for part in found),
    )
