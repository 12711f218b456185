"""The forecast's uncertain inputs, drawn together: row 0 is the best guess, the others make the intervals.

Two sources: *sampling*, because the run is a sample of the fleet (Jeffreys' posterior of each share; rounds
resampled for what varies between rounds), and *model spread*, because availability is modelled: a factor on
the odds of every share, log-normal, whose 95 % range is 1 / (1 + spread) .. 1 + spread, one for all hours.
What a device spends is spread by the measured error of the device model instead, where that is larger.
"""

import math
from dataclasses import dataclass, fields

import numpy as np

from fedbert.intervals import NORMAL_QUANTILE, Array
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.fetch_fit import fit_fetching
from fedbert.randomness import Purpose, generator
from fedbert.results import DeviceErrors, asked_errors

DRAWS = 400

_NORMAL_QUARTILE = 0.6744897501960817
"""Half of a normal variable's values are within so many standard deviations."""


@dataclass(frozen=True)
class Draws:
    """Uncertain inputs, `[draw]` or `[draw, 24]`; row 0 is the best guess."""

    eligible: Array  # [draw, 24] share of the fleet by local hour
    fetch_rate: Array  # [draw, 24] fetches an hour of a device behind that is often connected, by local hour
    frailty: Array  # [draw, 2] share of devices that seldom are, and their rate over that of the others
    reporting: Array  # [draw, 24] reports of a round by local hour, over the devices that join a round
    spread: Array  # [draw] relative standard deviation of a round's reports beyond chance
    cost: Array  # [draw] factor on modelled costs of a device
    outcome_odds: Array  # [draw] factor on the odds that a session is scored
    spending: Array  # [draw] factor on the time and energy of a device
    metered: Array  # [draw, 24] share of that local hour's fetches on a metered link
    metered_reporting: Array  # [draw, 24] part of `reporting` on a metered link


def first(draws: Draws) -> Draws:
    """Return the best guess alone, as draws with one row."""
    return Draws(**{field.name: getattr(draws, field.name)[:1] for field in fields(Draws)})


def draw_inputs(base: BaseRun, model_spread: float, seed: int, metered_share: float = 0.0) -> Draws:
    """Return `DRAWS` + 1 rows of inputs; the same arguments give the same rows.

    `metered_share` of the phones off Wi-Fi fetch there, as quickly as on it.
    """
    rng = generator(seed, Purpose.RESAMPLING)
    rows = DRAWS + 1

    def factors(least_sd: float = 0.0) -> Array:
        sd = max(spread_sd(model_spread), least_sd)
        drawn = np.exp(sd * rng.standard_normal(rows))
        drawn[0] = 1.0
        return drawn

    odds = factors()
    chance = rng.uniform(size=rows)
    eligible = _with_odds(_posterior(base.eligible, base.devices, chance), odds)
    unmetered = _with_odds(_posterior(base.unmetered, base.devices, chance), odds)
    rounds = len(base.completed)
    picks = rng.multinomial(rounds, np.full(rounds, 1 / rounds), rows)
    picks[0] = 1
    factor, frailty = fit_fetching(base.fetch, base.unmetered, rng, rows)
    factor = factor * factors()
    done, lost = base.completed.sum(), (base.cohort_eligible - base.completed).sum()
    completion = rng.beta(done + 0.5, lost + 0.5, rows)
    completion[0] = done / (done + lost)
    if base.waits:
        # Whoever waits may be eligible at any later hour of the day: the odds are those of a whole day.
        share, sums = np.array([min(1.0, base.report_share.mean())]), completed_sums(base, rng, rows)
        reporting = base.report_share * sums[:, None] * (_with_odds(share, odds) / share)
    else:
        reporting = eligible * completion[:, None]
    return Draws(
        eligible=eligible,
        fetch_rate=factor[:, None] * (unmetered + metered_share * (1 - unmetered)),
        frailty=frailty,
        reporting=reporting,
        spread=round_spread(base, picks.astype(np.float64)),
        cost=factors(),
        outcome_odds=factors(),
        spending=factors(error_sd(base.device_errors)),
        metered=_on_metered_links(base, unmetered, metered_share),
        metered_reporting=reporting * base.metered.reports,
    )


def _on_metered_links(base: BaseRun, unmetered: Array, metered_share: float) -> Array:
    """Return `[draw, 24]` the share of fetches on a metered link, as in the run or as asked for."""
    if not metered_share:
        return np.repeat(base.metered.downloads[None, :], len(unmetered), axis=0)
    there = metered_share * (1 - unmetered)
    return np.asarray(there / np.maximum(unmetered + there, 1e-12))


def completed_sums(base: BaseRun, rng: np.random.Generator, rows: int) -> Array:
    """Return `[draw]` factors on the run's reports that its sampling allows: binomial over its devices."""
    days = max(1.0, base.days)
    reports = min(base.completed.sum() / days, float(base.devices))
    drawn = rng.beta(reports + 0.5, base.devices - reports + 0.5, rows) * base.devices / reports
    drawn[0] = 1.0
    return np.asarray(drawn, np.float64)


def spread_sd(model_spread: float) -> float:
    """Return the standard deviation of the logarithm whose 95 % range is ± log(1 + `model_spread`)."""
    return math.log1p(model_spread) / NORMAL_QUANTILE


def error_sd(errors: DeviceErrors | None) -> float:
    """Return the standard deviation of a log-normal factor with the device model's median error.

    That of a SoC which is not in the fit; 0 for a run from before the table was kept.
    """
    asked = asked_errors(errors) if errors else []
    return math.log1p(asked[0]["median_error"]) / _NORMAL_QUARTILE if asked else 0.0


def _posterior(shares: Array, devices: int, chance: Array) -> Array:
    """Return `[draw, 24]` quantiles at `chance` of Beta(k + 1/2, n - k + 1/2); row 0 is `shares`.

    One `chance` serves all hours of a draw: they are hours of the same devices.
    """
    from scipy import stats

    counts = shares * devices
    draws = np.asarray(
        stats.beta.ppf(chance[:, None], counts[None, :] + 0.5, devices - counts[None, :] + 0.5), np.float64
    )
    draws[0] = shares
    return draws


def _with_odds(shares: Array, odds: Array) -> Array:
    return np.asarray(odds[:, None] * shares / (1 - shares + odds[:, None] * shares))


def round_spread(base: BaseRun, picks: Array) -> Array:
    """Return `[draw]` relative standard deviations of a round's reports beyond binomial chance.

    With o reports completed, m expected of a cohort of c devices (c x mean report share of the window) and
    weights w (how often the draw picked the round), the method of moments gives
    tau^2 = max(0, sum w ((o - m)^2 - m (1 - m/c)) / sum w m^2). Where devices wait the cohort is the fleet.
    """
    hours = base.round_hours_of_day.sum(axis=1)
    share = base.round_hours_of_day @ base.report_share / hours
    cohort = np.full(len(hours), float(base.devices)) if base.waits else np.maximum(1.0, base.cohort)
    expected = cohort * share * (base.sampling_probability if base.waits else 1.0)
    expected *= base.completed.sum() / max(1e-12, expected.sum())
    chance = np.minimum(1.0, expected / cohort)
    excess = (base.completed - expected) ** 2 - expected * (1 - chance)
    variance = np.maximum(0.0, picks @ excess) / np.maximum(1e-12, picks @ expected**2)
    return np.asarray(np.sqrt(variance), np.float64)
