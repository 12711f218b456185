"""How fast phones fetch a release, from a run's windows: the best guess, and draws of what else fits.

Phones differ: most are often on an unmetered network, some seldom. A phone of the first kind that is behind
asks at f x unmetered(hour) an hour, one of the second, a share s, at r times that rate: a frailty with two
points (Heckman and Singer 1984). After an exposure L = f x sum of hours x unmetered the share

    still behind = (1 - s) exp(-L) + s exp(-r L)

is left. What a window fetches of those behind at its start is binomial. Draws are of the posterior with weak
priors (`_CENTRE`, `_SPREAD`) by importance resampling; where windows scatter more than chance (Pearson's
chi-squared over its degrees of freedom above 1), the likelihood counts for as much less.
"""

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.base_run import FetchWindows

_CENTRE = np.array([-1.7, 0.0, -3.0])
"""Prior means of logit s, log f and logit r: 15 % seldom, one fetch an hour, a twentieth of that."""

_SPREAD = np.array([2.0, 3.0, 2.0])
"""Their standard deviations: each 95 % range covers far more than fleets differ by."""

_PROPOSALS = 20
"""Proposals for one draw."""

_DEGREES = 4
"""Of the proposals' t distribution: tails heavier than those of the posterior."""

_STEP = 1e-3
"""Step of the second differences; the parameters are logarithms and log odds."""


def still_behind(exposure: Array, frailty: Array) -> Array:
    """Return the share that has not asked after an `exposure`, of phones of either kind.

    `frailty` `[..., 2]` holds the share s of those that are seldom connected and their rate r over that of
    the others; its other axes are those of `exposure`.
    """
    seldom, rate = frailty[..., 0], frailty[..., 1]
    return np.asarray((1 - seldom) * np.exp(-exposure) + seldom * np.exp(-rate * exposure), np.float64)


def fit_fetching(
    fetch: FetchWindows, unmetered: Array, rng: np.random.Generator, rows: int
) -> tuple[Array, Array]:
    """Return `[draw]` factors f and `[draw, 2]` frailties (s, r) of the fetching model; row 0 fits best.

    `base_run.base_of` sees to it that there is a window, and a fetch in one.
    """
    from scipy import optimize

    windows = _Windows(fetch, unmetered)
    scatter, best = 1.0, _CENTRE
    for _ in range(2):
        found = optimize.minimize(
            windows.misfit,
            best,
            args=(scatter,),
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 5_000, "maxfev": 5_000},
        )
        best, scatter = np.asarray(found.x, np.float64), windows.scatter(found.x)
    drawn = _resampled(windows, best, scatter, rng, rows - 1)
    return _parts(np.concatenate([best[None, :], drawn]))


class _Windows:
    """The counts of a run's windows, and how well parameters explain them."""

    def __init__(self, fetch: FetchWindows, unmetered: Array) -> None:
        self.fetched, self.behind = fetch.fetched, fetch.behind
        self.start, self.end = fetch.before @ unmetered, fetch.after @ unmetered  # [window]

    def _log_stay(self, at: Array) -> Array:
        """Return `[row, window]` logarithms of the chance that a phone behind stays so for the window."""
        factor, frailty = _parts(at)
        two = frailty[:, None, :]
        start, end = factor[:, None] * self.start, factor[:, None] * self.end
        tiny = np.finfo(np.float64).tiny
        return np.asarray(
            np.log(np.maximum(still_behind(end, two), tiny))
            - np.log(np.maximum(still_behind(start, two), tiny))
        )

    def log_posterior(self, at: Array, scatter: float) -> Array:
        """Return `[row]` log posteriors, but for a constant, of parameters `at` `[row, 3]`."""
        log_stay = self._log_stay(at)
        log_fetch = np.log(np.clip(-np.expm1(log_stay), 1e-12, None))
        each = self.fetched * log_fetch + (self.behind - self.fetched) * log_stay
        prior = -0.5 * (((at - _CENTRE) / _SPREAD) ** 2).sum(axis=1)
        return np.asarray(each.sum(axis=1) / scatter + prior, np.float64)

    def misfit(self, at: Array, scatter: float) -> float:
        """Return minus the log posterior of one row of parameters `[3]`."""
        return -float(self.log_posterior(at[None, :], scatter)[0])

    def scatter(self, at: Array) -> float:
        """Return Pearson's chi-squared over its degrees of freedom, at least 1."""
        free = len(self.fetched) - len(at)
        if free < 1:
            return 1.0
        chance = np.clip(-np.expm1(self._log_stay(at[None, :])[0]), 1e-12, 1 - 1e-12)
        expected = self.behind * chance
        squares = (self.fetched - expected) ** 2 / np.maximum(expected * (1 - chance), 1e-9)
        return max(1.0, float(squares.sum()) / free)


def _parts(at: Array) -> tuple[Array, Array]:
    """Return factors `[row]` and frailties `[row, 2]` of parameters `at` `[row, 3]`."""
    odds = np.exp(-at[:, [0, 2]])
    return np.exp(np.clip(at[:, 1], -50.0, 50.0)), 1 / (1 + odds)


def _resampled(windows: _Windows, best: Array, scatter: float, rng: np.random.Generator, rows: int) -> Array:
    """Return `[rows, 3]` draws of the posterior around its mode `best`."""
    count = _PROPOSALS * rows
    root = np.linalg.cholesky(_covariance(windows, best, scatter))
    normal = rng.standard_normal((count, len(best)))
    stretch = np.sqrt(_DEGREES / rng.chisquare(_DEGREES, count))
    proposed = best + stretch[:, None] * (normal @ root.T)
    squared = stretch**2 * (normal**2).sum(axis=1)
    log_density = -0.5 * (_DEGREES + len(best)) * np.log1p(squared / _DEGREES)
    log_weight = windows.log_posterior(proposed, scatter) - log_density
    weight = np.exp(log_weight - log_weight.max())
    return np.asarray(proposed[rng.choice(count, size=rows, p=weight / weight.sum())])


def _covariance(windows: _Windows, best: Array, scatter: float) -> Array:
    """Return the inverse of the curvature at the mode, in no direction flatter than the prior is wide."""
    steps = _STEP * np.eye(len(best))
    pairs = [(one, other) for one in steps for other in steps]
    corners = np.array(
        [best + sign * one + turn * other for one, other in pairs for sign in (1, -1) for turn in (1, -1)]
    )
    values = windows.log_posterior(corners, scatter).reshape(len(best), len(best), 2, 2)
    curvature = (values[..., 0, 1] + values[..., 1, 0] - values[..., 0, 0] - values[..., 1, 1]) / (
        4 * _STEP**2
    )
    sizes, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    return np.asarray((axes / np.maximum(sizes, _SPREAD.max() ** -2)) @ axes.T)
