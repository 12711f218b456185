"""How far off a tier's figures are because the run had so few of its phones, and the larger fleet has these.

A run keeps what random groups of a tier's phones did (`fedbert.results.GROUP_SUMS`). A figure is a ratio of
two sums; each group's part of its error is the group's own numerator less the ratio times its denominator.
Draws weigh these parts with normal numbers over the root of chi-squared ones, the same for all figures of the
tier, so each is distributed as Student's t with groups - 1 degrees of freedom, and they vary together.
"""

from collections.abc import Mapping

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.base_run import Tier
from fedbert.results import ENERGY_USES

COST_VARIATION = 2.0
"""1 + the squared coefficient of variation of the cost of a session, install or report, assumed <= 1: where a
run is from before groups were kept."""

_DAY, _SESSION, _ROUND = "devices", "sessions", "participants"

RATIOS: dict[str, tuple[str, str]] = {
    "installs per day": ("installs", _DAY),
    "computing, sessions": ("sessions_us", _DAY),
    "computing, installs": ("installs_us", _DAY),
    "energy per session": ("sessions_uj", _SESSION),
    "energy per round": ("participants_uj", _ROUND),
    **{f"energy, {use}": (f"{use}_uj", _DAY) for use in ENERGY_USES},
}
"""Figures of a tier as ratios of sums over its groups."""

_COUNTED = {
    "computing, sessions": "sessions",
    "computing, installs": "installs",
    "energy per session": "sessions",
    "energy per round": "reports",
    "energy, sessions": "sessions",
    "energy, installs": "installs",
    "energy, uploads": "reports",
    "energy, downloads": "installs",
}
"""Counts of a `Tier` that stand for how often a figure was seen, where there are no groups."""


def tier_noise(tier: Tier, rng: np.random.Generator, rows: int, growth: float) -> dict[str, Array]:
    """Return a factor `[draw]` on each of `RATIOS`; row 0 is 1.

    `growth` is the run's phones over those of the fleet: the fleet's own chance adds that share of the
    variance.
    """
    stretch = np.sqrt(1 + growth)
    errors = {name: stretch * error for name, error in _errors(tier, rng, rows).items()}
    for error in errors.values():
        error[0] = 0.0
    return {name: np.exp(error) for name, error in errors.items()}


def _errors(tier: Tier, rng: np.random.Generator, rows: int) -> dict[str, Array]:
    """Return relative errors `[draw]` of the run's figures."""
    if tier.groups:
        weights = _weights(rng, rows, len(tier.groups["devices"]))
        return {name: weights @ _parts(tier.groups, *ratio) for name, ratio in RATIOS.items()}
    counts = {name: max(1.0, getattr(tier, counted)) for name, counted in _COUNTED.items()}
    drawn = {
        name: np.sqrt(COST_VARIATION / count) * rng.standard_normal(rows) for name, count in counts.items()
    }
    return {"installs per day": np.zeros(rows)} | drawn


def _weights(rng: np.random.Generator, rows: int, groups: int) -> Array:
    """Return `[draw, group]` weights of groups' parts."""
    free = groups - 1
    scale = np.sqrt(free / rng.chisquare(free, rows)) / np.sqrt(groups * free)
    return np.asarray(scale[:, None] * rng.standard_normal((rows, groups)), np.float64)


def _parts(groups: Mapping[str, Array], over: str, under: str) -> Array:
    """Return `[group]` parts of the relative error of `over` / `under`, times the number of groups."""
    numerator, denominator = groups[over], groups[under]
    total = numerator.sum()
    if total <= 0:
        return np.zeros(len(numerator))
    expected = denominator * (total / denominator.sum())
    return np.asarray((numerator - expected) * len(numerator) / total, np.float64)
