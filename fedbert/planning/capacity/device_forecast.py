"""What the phones of the larger fleet do and spend: sessions, the share that is scored, cost by tier."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedbert.intervals import NORMAL_QUANTILE, Array, Estimate, from_draws, wilson
from fedbert.planning.capacity.base_run import Tier
from fedbert.planning.capacity.capacity import HOURS, Forecast, Label
from fedbert.planning.capacity.draws import Draws
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.world import by_server_clock, of_a_day
from fedbert.results import ENERGY_USES
from fedbert.units import S_PER_HOUR

COST_VARIATION = 2.0
"""1 + the squared coefficient of variation of the cost of a session, install or report, assumed <= 1."""

EXTRAPOLATED = "energy is extrapolated from one phone's power profile"
ROUND_ENERGY = f"mean device in a round in which it sends a signal, as in the run; {EXTRAPOLATED}"
ASSUMPTION = (
    "the run's mean device of the tier, at the plan's sessions, installs, reports and bytes: each by what "
    "it is spent on; the cost of a session has a standard deviation of at most its mean"
)
_INSTALLS = "every download is installed; tiers differ as in the run"


def hourly(name: str, unit: str, draws: Array, label: Label, assumption: str) -> list[Forecast]:
    """Return one forecast per hour from `draws` `[draw, hour]` of a day, or of the mean day of a week."""
    draws = of_a_day(draws)
    return [
        Forecast(name, unit, from_draws(draws[:, hour]), label, assumption, hour=hour)
        for hour in range(HOURS)
    ]


def sessions(load: Load) -> list[Forecast]:
    """Return sessions by hour and the share that is scored."""
    base, draws = load.base, load.draws
    a_day = load.plan.devices * load.sessions_per_day
    shares = hourly(
        "sessions per second",
        "sessions/s",
        np.repeat(
            (a_day * by_server_clock(base.session_share, load.plan.world) / S_PER_HOUR)[None, :],
            len(draws.cost),
            axis=0,
        )
        * draws.cost[:, None],
        "modelled",
        "the planned sessions per day, spread over the hours as in the run; they send no request",
    )
    return [
        Forecast(
            "share of sessions scored",
            "share",
            _scored(base.scored_share, base.devices, draws),
            "modelled",
            "answered in time, in memory and with a release, as in the run; devices are the sampled units",
        ),
        *shares,
    ]


def _scored(share: float, devices: int, draws: Draws) -> Estimate:
    """Return a share with an interval that joins Wilson's for `devices` with the model spread of the odds."""
    sampled = wilson(share * devices, devices)
    odds = from_draws(draws.outcome_odds)

    def moved(value: float | None, factor: float | None) -> float:
        value, factor = value or 0.0, factor or 1.0
        return factor * value / (1 - value + factor * value)

    return Estimate(
        share, min(share, moved(sampled.low, odds.low)), max(share, moved(sampled.high, odds.high))
    )


@dataclass(frozen=True)
class Factors:
    """What the plan asks of a phone over what the run asked of it, `[draw]`, by what it is spent on."""

    sessions: Array
    installs: Array
    uploads: Array
    downloads: Array  # in bytes

    @classmethod
    def of(cls, load: Load) -> "Factors":
        """Return the factors of a load; row 0 is the best guess."""
        base, plan = load.base, load.plan
        downloads = load.downloads_per_day / plan.devices / base.downloads_per_day
        return cls(
            sessions=np.full(len(downloads), load.sessions_per_day / base.sessions_per_day),
            installs=downloads,
            uploads=load.reports_per_day / plan.devices / base.reports_per_day,
            downloads=downloads * (load.bytes_per_download / base.moved_bytes),
        )

    def of_tier(self, load: Load, tier: Tier) -> "Factors":
        """Return the factors of a tier: the size of its release may be its own."""
        if not load.plan.world.tier_bytes:
            return self
        return replace(self, downloads=self.downloads * (load.bytes_of(tier.name) / load.release_bytes))

    def by_use(self) -> dict[str, Array]:
        """Return them by `fedbert.results.ENERGY_USES`."""
        return {use: getattr(self, use) for use in ENERGY_USES}


def tiers(load: Load) -> list[Forecast]:
    """Return what a device of each tier spends per day, and the share of its sessions that is scored."""
    factors = Factors.of(load)
    return [row for tier in load.base.tiers for row in _tier(load, tier, factors.of_tier(load, tier))]


def _noises(tier: Tier) -> dict[str, float]:
    """Return the relative standard error of what the run's tier spent a day, by what it was spent on."""
    counts = {
        "sessions": tier.sessions,
        "installs": tier.installs,
        "uploads": tier.reports,
        "downloads": tier.installs,
    }
    return {use: float(np.sqrt(COST_VARIATION / max(1.0, counts[use]))) for use in ENERGY_USES}


def _joined(parts: Mapping[str, Array], noises: Mapping[str, float]) -> float:
    """Return the relative standard error of the sum of `parts` [draw] by use, at the best guess."""
    total = sum(float(part[0]) for part in parts.values())
    return math.hypot(*(float(part[0]) * noises[use] for use, part in parts.items())) / (total or 1.0)


def _tier(load: Load, tier: Tier, factors: Factors) -> list[Forecast]:
    noises, draws = _noises(tier), load.draws

    def row(name: str, unit: str, spent: Array, assumption: str, noise: float) -> Forecast:
        """Return a figure whose row 0 is the best guess; a figure of 0 stays 0."""
        value, relative = float(spent[0]), spent * draws.spending / (spent[0] or 1.0)
        estimate = _scaled(value, from_draws(relative if value else draws.spending), noise)
        return Forecast(name, unit, estimate, "modelled", assumption, tier=tier.name)

    one = np.ones(len(draws.spending))
    installs = tier.installs_per_day * factors.installs
    session_ms = tier.device_ms_per_day - tier.install_ms_per_day
    computing = {
        "sessions": session_ms * factors.sessions,
        "installs": tier.install_ms_per_day * factors.installs,
    }
    in_all = computing["sessions"] + computing["installs"]
    rows = [
        Forecast("installs per day", "installs", from_draws(installs), "modelled", _INSTALLS, tier=tier.name),
        row("computing per day", "ms", in_all, ASSUMPTION, _joined(computing, noises)),
    ]
    if load.plan.world.tier_bytes:
        each = load.bytes_of(tier.name) * load.base.moved_bytes / load.base.release_bytes
        down = from_draws(installs * each)
        rows.append(Forecast("bytes down per day", "bytes", down, "modelled", _INSTALLS, tier=tier.name))
    # A run from before a figure was kept has no forecast of it.
    if tier.energy_mj_per_session is not None:
        spent = tier.energy_mj_per_session * one
        rows.append(row("energy per session", "mJ", spent, EXTRAPOLATED, noises["sessions"]))
    if tier.energy_mj_per_round is not None:
        spent = tier.energy_mj_per_round * one
        rows.append(row("energy per round", "mJ", spent, ROUND_ENERGY, noises["uploads"]))
    rows += _energy(tier, factors, noises, row)
    scored = _scored(tier.scored_share, tier.devices, draws)
    return [
        *rows,
        Forecast("share of sessions scored", "share", scored, "modelled", "as for the fleet", tier=tier.name),
    ]


def _energy(
    tier: Tier,
    factors: Factors,
    noises: Mapping[str, float],
    row: Callable[[str, str, Array, str, float], Forecast],
) -> list[Forecast]:
    """Return energy by use, its sum, and what that takes of the battery."""
    spent_by = tier.energy_mj_per_day_by
    in_run = sum(spent_by.values())
    if not in_run:
        return []
    assumption = f"{ASSUMPTION}; {EXTRAPOLATED}"
    by_use = {use: spent_by.get(use, 0.0) * factor for use, factor in factors.by_use().items()}
    total = sum(by_use.values(), np.zeros_like(factors.sessions))
    noise = _joined(by_use, noises)
    return [
        *(
            row(f"energy per day, {use}", "mJ", spent, assumption, noises[use])
            for use, spent in by_use.items()
        ),
        row("energy per day", "mJ", total, assumption, noise),
        row("charge per day", "mAh", tier.mah_per_day * total / in_run, assumption, noise),
        row("battery per day", "%", tier.battery_percent_per_day * total / in_run, assumption, noise),
    ]


def _scaled(value: float, factor: Estimate, noise: float) -> Estimate:
    """Return `value` with the interval of a log-normal factor joined with a relative standard error."""
    half = [
        np.hypot(np.log(bound), NORMAL_QUANTILE * noise) for bound in (factor.low or 1.0, factor.high or 1.0)
    ]
    return Estimate(value, float(value * np.exp(-half[0])), float(value * np.exp(half[1])))
