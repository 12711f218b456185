"""What the phones of the larger fleet do and spend: sessions, the share that is scored, cost by tier."""

import numpy as np

from fedbert.intervals import NORMAL_QUANTILE, Array, Estimate, from_draws, wilson
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import HOURS, Forecast, Label, Plan
from fedbert.planning.capacity.draws import Draws
from fedbert.units import S_PER_HOUR

SESSION_VARIATION = 2.0
"""1 + the squared coefficient of variation of the cost of one session, which is at most 1 by assumption."""

EXTRAPOLATED = "energy is extrapolated from one phone's power profile"
ROUND_ENERGY = f"mean device in a round in which it sends a signal, as in the run; {EXTRAPOLATED}"


def hourly(name: str, unit: str, draws: Array, label: Label, assumption: str) -> list[Forecast]:
    """Return one forecast per hour from `draws` `[draw, 24]`."""
    return [
        Forecast(name, unit, from_draws(draws[:, hour]), label, assumption, hour=hour)
        for hour in range(HOURS)
    ]


def sessions(base: BaseRun, plan: Plan, draws: Draws) -> list[Forecast]:
    """Return sessions by hour and the share that is scored."""
    a_day = plan.devices * base.sessions_per_day
    shares = hourly(
        "sessions per second",
        "sessions/s",
        np.repeat((a_day * base.session_share / S_PER_HOUR)[None, :], len(draws.cost), axis=0)
        * draws.cost[:, None],
        "modelled",
        "the scenario's sessions per day, spread over the hours as in the run; they send no request",
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


def tiers(base: BaseRun, draws: Draws) -> list[Forecast]:
    """Return what a device of each tier spends per day, and the share of its sessions that is scored."""
    assumption = (
        "the run's mean device of the tier; sessions are Poisson, and the cost of one has a standard "
        "deviation of at most its mean"
    )
    rows: list[Forecast] = []
    for tier in base.tiers:
        noise = np.sqrt(SESSION_VARIATION / max(1, tier.sessions))
        for name, unit, value, basis in (
            ("computing per day", "ms", tier.device_ms_per_day, assumption),
            ("energy per session", "mJ", tier.energy_mj_per_session, EXTRAPOLATED),
            ("energy per round", "mJ", tier.energy_mj_per_round, ROUND_ENERGY),
            ("charge per day", "mAh", tier.mah_per_day, f"{assumption}; {EXTRAPOLATED}"),
            ("battery per day", "%", tier.battery_percent_per_day, f"{assumption}; {EXTRAPOLATED}"),
        ):
            if value is None:
                continue  # a run from before it was kept
            spread = from_draws(draws.spending)
            rows.append(
                Forecast(name, unit, _scaled(value, spread, float(noise)), "modelled", basis, tier=tier.name)
            )
        scored = _scored(tier.scored_share, tier.devices, draws)
        rows.append(
            Forecast(
                "share of sessions scored", "share", scored, "modelled", "as for the fleet", tier=tier.name
            )
        )
    return rows


def _scaled(value: float, factor: Estimate, noise: float) -> Estimate:
    """Return `value` with the interval of a log-normal factor joined with a relative standard error."""
    half = [
        np.hypot(np.log(bound), NORMAL_QUANTILE * noise) for bound in (factor.low or 1.0, factor.high or 1.0)
    ]
    return Estimate(value, float(value * np.exp(-half[0])), float(value * np.exp(half[1])))
