"""What the phones of the larger fleet do and spend: sessions, the share that is scored, cost by tier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedbert.intervals import Array, Estimate, from_draws, wilson
from fedbert.planning.capacity.base_run import Tier
from fedbert.planning.capacity.capacity import HOURS, Forecast, Label
from fedbert.planning.capacity.clocks import by_server_clock, of_a_day
from fedbert.planning.capacity.draws import Draws
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.tier_noise import tier_noise
from fedbert.randomness import Purpose, generator
from fedbert.results import ENERGY_USES
from fedbert.units import S_PER_HOUR

EXTRAPOLATED = "energy is extrapolated from one phone's power profile"
ROUND_ENERGY = f"mean device in a round in which it sends a signal, as in the run; {EXTRAPOLATED}"
ASSUMPTION = (
    "the run's mean device of the tier, at the plan's sessions, installs, reports and bytes: each by what "
    "it is spent on"
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
    factors, rng = Factors.of(load), generator(load.plan.seed, Purpose.RESAMPLING, 3)
    growth, rows = load.base.devices / load.plan.devices, len(load.draws.spending)
    noises = [tier_noise(tier, rng, rows, growth) for tier in load.base.tiers]
    return [
        row
        for tier, noise in zip(load.base.tiers, noises, strict=True)
        for row in _tier(load, tier, factors.of_tier(load, tier), noise)
    ]


def _tier(load: Load, tier: Tier, factors: Factors, noise: Mapping[str, Array]) -> list[Forecast]:
    draws = load.draws

    def row(name: str, unit: str, spent: Array, assumption: str) -> Forecast:
        """Return a figure whose row 0 is the best guess."""
        estimate = from_draws(spent * draws.spending)
        return Forecast(name, unit, estimate, "modelled", assumption, tier=tier.name)

    installs = tier.installs_per_day * factors.installs * noise["installs per day"]
    session_ms = tier.device_ms_per_day - tier.install_ms_per_day
    computing = (
        session_ms * factors.sessions * noise["computing, sessions"]
        + tier.install_ms_per_day * factors.installs * noise["computing, installs"]
    )
    rows = [
        Forecast("installs per day", "installs", from_draws(installs), "modelled", _INSTALLS, tier=tier.name),
        row("computing per day", "ms", computing, ASSUMPTION),
    ]
    if load.plan.world.tier_bytes:
        each = load.bytes_of(tier.name) * load.base.moved_bytes / load.base.release_bytes
        down = from_draws(installs * each)
        rows.append(Forecast("bytes down per day", "bytes", down, "modelled", _INSTALLS, tier=tier.name))
    # A run from before a figure was kept has no forecast of it.
    if tier.energy_mj_per_session is not None:
        spent = tier.energy_mj_per_session * noise["energy per session"]
        rows.append(row("energy per session", "mJ", spent, EXTRAPOLATED))
    if tier.energy_mj_per_round is not None:
        spent = tier.energy_mj_per_round * noise["energy per round"]
        rows.append(row("energy per round", "mJ", spent, ROUND_ENERGY))
    rows += _energy(tier, factors, noise, row)
    scored = _scored(tier.scored_share, tier.devices, draws)
    return [
        *rows,
        Forecast("share of sessions scored", "share", scored, "modelled", "as for the fleet", tier=tier.name),
    ]


def _energy(
    tier: Tier,
    factors: Factors,
    noise: Mapping[str, Array],
    row: Callable[[str, str, Array, str], Forecast],
) -> list[Forecast]:
    """Return energy by use, its sum, and what that takes of the battery."""
    spent_by = tier.energy_mj_per_day_by
    in_run = sum(spent_by.values())
    if not in_run:
        return []
    assumption = f"{ASSUMPTION}; {EXTRAPOLATED}"
    by_use = {
        use: spent_by.get(use, 0.0) * factor * noise[f"energy, {use}"]
        for use, factor in factors.by_use().items()
    }
    total = sum(by_use.values(), np.zeros_like(factors.sessions))
    return [
        *(row(f"energy per day, {use}", "mJ", spent, assumption) for use, spent in by_use.items()),
        row("energy per day", "mJ", total, assumption),
        row("charge per day", "mAh", tier.mah_per_day * total / in_run, assumption),
        row("battery per day", "%", tier.battery_percent_per_day * total / in_run, assumption),
    ]
