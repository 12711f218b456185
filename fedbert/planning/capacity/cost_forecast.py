"""What a plan costs in money: bytes, requests, servers and phones' energy times a prices file's numbers.

A sum takes its parts' lows and highs together: its interval is as wide as if they moved as one.
"""

from collections.abc import Mapping
from dataclasses import replace

from fedbert.intervals import Estimate
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Price
from fedbert.planning.capacity.carbon_forecast import carbon, phone_kwh
from fedbert.planning.capacity.estimates import added, mapped, times
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.units import GIGABYTE, HOURS_PER_DAY, TERABYTE

DAYS_PER_YEAR = 365.0
DAYS_PER_MONTH = DAYS_PER_YEAR / 12

SERVERS = ("cores", "memory", "storage", "machines")
"""The parts of the cost that are of servers."""


def priced(base: BaseRun, found: CapacityForecast, prices: Prices) -> CapacityForecast:
    """Return the forecast with what it costs, and the numbers that this rests on."""
    used = tuple(
        Price(name, price.value, price.date.isoformat(), price.source, price.above_tb_per_month)
        for name, price in prices.known().items()
    )
    said = f"{prices.said}, in {prices.currency}{': ' * bool(prices.about)}{prices.about}"
    rows = (*found.forecasts, *costs(base, found, prices))
    return replace(found, forecasts=rows, prices=used, priced_by=said)


def costs(base: BaseRun, found: CapacityForecast, prices: Prices) -> tuple[Forecast, ...]:
    """Return money and carbon per day, release, year and thousand phones, as far as `prices` goes."""
    rows: list[Forecast] = []
    parts = _traffic(base, found, prices) | _servers(found, prices) | _charging(base, found, prices)
    if parts:
        whole = "" if parts.keys() & set(SERVERS) else "; servers are left out"
        rows += _spread(found, ("cost", prices.currency), parts, f"by {prices.said}{whole}")
    grams, energy = carbon(base, found, prices)
    if grams:
        whole = "" if "servers" in grams else "; servers are left out"
        lossless = "" if prices.charging_efficiency else "; losses of charging are left out"
        rows += [*energy, *_spread(found, ("carbon", "gCO2e"), grams, f"by {prices.said}{whole}{lossless}")]
        rows += _shares(grams)
    return tuple(rows)


def _traffic(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    """Return the cost a day of bytes and requests, by part."""

    def row(name: str) -> Estimate:
        return found.find(name).estimate

    both_ways = row("check-in and TLS bytes, each way")
    downloads = row("downloads per day")
    parts = {
        "cdn_per_gb": ("downloads", row("egress per day")),
        "cdn_requests_per_million": ("download requests", times(downloads, base.download_attempts)),
        "egress_per_gb": ("check-ins out", both_ways),
        "ingress_per_gb": ("ingress", added([row("ingress per day"), both_ways])),
        "requests_per_million": (
            "requests",
            added([downloads, row("reports per day"), row("check-ins per day")]),
        ),
    }
    known = prices.known()
    return {
        name: _by_volume(units, known[key])
        if key.endswith("_per_gb")
        else times(units, known[key].value / 1e6)
        for key, (name, units) in parts.items()
        if key in known
    }


def _by_volume(bytes_per_day: Estimate, price: Sourced) -> Estimate:
    return mapped(bytes_per_day, lambda each: graduated(each, price.value, price.above_tb_per_month))


def graduated(bytes_per_day: float, price: float, above: tuple[tuple[float, float], ...]) -> float:
    """Return what bytes cost a day where a gigabyte beyond so many terabytes a month has another price.

    `price` is that of the first ones, `above` has (terabytes a month, price), ascending. A month is a twelfth
    of 365 days.
    """
    month = bytes_per_day * DAYS_PER_MONTH
    starts = [0.0, *(start * TERABYTE for start, _ in above)]
    ends = [*starts[1:], float("inf")]
    each = [price, *(step for _, step in above)]
    in_steps = [max(0.0, min(month, end) - start) for start, end in zip(starts, ends, strict=True)]
    total = sum(volume * cost for volume, cost in zip(in_steps, each, strict=True))
    return total / GIGABYTE / DAYS_PER_MONTH


def _servers(found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    """Return the cost a day of servers, by part: as many as the busiest time needs, for the whole day."""
    if found.servers is None:
        return {}
    units = {
        "core_per_hour": ("cores", "cores, all servers", HOURS_PER_DAY),
        "memory_per_gb_hour": ("memory", "memory, all servers", HOURS_PER_DAY / GIGABYTE),
        "storage_per_gb_month": ("storage", "storage, all", 1 / DAYS_PER_MONTH / GIGABYTE),
        "machine_per_hour": ("machines", "machines, all servers", HOURS_PER_DAY),
    }
    known = prices.known()
    return {
        name: times(found.find(figure).estimate, factor * known[key].value)
        for key, (name, figure, factor) in units.items()
        if key in known
    }


def _charging(base: BaseRun, found: CapacityForecast, prices: Prices) -> dict[str, Estimate]:
    if prices.kwh is None:
        return {}
    parts = phone_kwh(base, found, prices)
    return {"charging": times(added(parts.values()), prices.kwh.value)} if parts else {}


def _spread(
    found: CapacityForecast, what: tuple[str, str], parts: Mapping[str, Estimate], said: str
) -> list[Forecast]:
    """Return the parts of a day, and their sum per day, release, year and thousand phones.

    `what` is the name of the figures and their unit.
    """
    name, unit = what
    total = added(parts.values())
    releases = found.find("releases per day").estimate.value
    per = {
        "per day": 1.0,
        **({"per release": 1 / releases} if releases > 0 else {}),
        "per year": DAYS_PER_YEAR,
        "per thousand phones and year": 1_000 * DAYS_PER_YEAR / found.plan.devices,
    }
    named = {f"{name} per day, {part}": estimate for part, estimate in parts.items()}
    named |= {f"{name} {each}": times(total, factor) for each, factor in per.items()}
    assumption = f"{name} of {', '.join(parts)}, {said}"
    return [Forecast(each, unit, estimate, "modelled", assumption) for each, estimate in named.items()]


PUBLISHED_SPLIT = {"computing": (46, 50), "uploads": (27, 29), "downloads": (22, 24), "servers": (1, 2)}
"""Per cent of the CO2e of federated training at a fleet of phones (Green FL, Meta), for comparison."""


def _shares(grams: Mapping[str, Estimate]) -> list[Forecast]:
    total = added(grams.values()).value
    whole = "" if "servers" in grams else ", servers left out"
    return [
        Forecast(
            f"share of carbon, {part}",
            "share",
            times(estimate, 1 / total),
            "modelled",
            f"of {', '.join(grams)}{whole}; published for federated training: {low} to {high}% (Green FL), "
            "whose phones train, and download less for it",
        )
        for part, estimate in grams.items()
        for low, high in [PUBLISHED_SPLIT[part]]
    ]
