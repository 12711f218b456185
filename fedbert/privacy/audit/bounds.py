"""From canaries' scores to a lower bound of epsilon: auditing in one run.

Each canary was in or out by its own fair coin. The auditor says "in" of the highest scores and "out" of the
lowest, and nothing of the rest; more right guesses than a private mechanism allows refute its privacy.

* `refuted`, `gaussian_lower_bound`: Mahloujifar, Melis and Chaudhuri 2024, "Auditing f-differential privacy
  in one run", algorithm 3, for trade-off functions of a Gaussian. Valid for whatever adds Gaussian noise.
* `one_run_epsilon`: Steinke, Nasr and Jagielski 2023, "Privacy auditing with one (1) training run", theorem
  5.2. Valid for any mechanism, and lower.
* `independent_lower_bound`: exact intervals of both error rates, for canaries that are independent.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import beta, binom

from fedbert.errors import invalid
from fedbert.privacy.curves import gaussian_epsilon

GUESSES_PER_SIDE = tuple(2**power for power in range(4, 18))
"""How many canaries the auditor may call "in", and as many "out": fixed beforehand, as a bound needs."""

THRESHOLDS = (-8.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0)
"""Log likelihood ratios above which a canary is called "in", where canaries are independent."""

_MU_STEP = 1e-3
_LARGEST_MU = 64.0
_EPSILON_STEP = 1e-4
_LARGEST_EPSILON = 64.0


def refuted(mu: float, right: int, guesses: int, canaries: int, significance: float) -> bool:
    """Return whether `right` of `guesses` on `canaries` coins refute `mu`-Gaussian privacy.

    `mu` >= 0 is the distance of two unit Gaussians that are as hard to tell apart. Suppose that so many right
    guesses had the chance `significance`. Going down from there, `hit` is the chance that i or more guesses
    are right and one canary's is among them, `miss` that it is not. A canary's other coin turns hits above i
    into misses at i, and privacy keeps the two alike; where this adds up to more than the share of canaries
    that are guessed at, the supposition fails.
    """
    hit = significance * right / canaries
    miss = significance * (guesses - right) / canaries
    for i in range(right - 1, -1, -1):
        least = float(ndtr(ndtri(hit) - mu))
        if least <= miss:
            break  # nothing changes from here on
        hit = min(1.0, hit + i / (guesses - i) * (least - miss))
        miss = least
    return hit + miss > guesses / canaries


def gaussian_lower_bound(right: int, guesses: int, canaries: int, significance: float) -> float:
    """Return the largest refuted `mu`, to a thousandth; 0 if nothing is refuted."""
    return _largest(lambda mu: refuted(mu, right, guesses, canaries, significance), _LARGEST_MU, _MU_STEP)


def one_run_p_value(epsilon: float, delta: float, right: int, guesses: int, canaries: int) -> float:
    """Return the most likely that `right` or more of `guesses` are under (`epsilon`, `delta`) privacy."""
    accuracy = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, accuracy))
    fewer = np.arange(1, right + 1)
    gained = (binom.sf(right - fewer - 1, guesses, accuracy) - tail) / fewer
    return min(1.0, tail + 2 * canaries * delta * max(0.0, float(gained.max(initial=0.0))))


def one_run_epsilon(right: int, guesses: int, canaries: int, significance: float, delta: float) -> float:
    """Return the largest epsilon that is refuted at `delta`, without any assumption on the mechanism."""
    return _largest(
        lambda epsilon: one_run_p_value(epsilon, delta, right, guesses, canaries) <= significance,
        _LARGEST_EPSILON,
        _EPSILON_STEP,
    )


def _largest(is_refuted: Callable[[float], bool], most: float, step: float) -> float:
    """Return the largest value below `most` that is refuted, to `step`; 0 if 0 is not."""
    if not is_refuted(0.0):
        return 0.0
    low, high = 0.0, step
    while is_refuted(high):
        low, high = high, 2 * high
        if low >= most:
            return most
    while high - low > step:
        middle = (low + high) / 2
        low, high = (middle, high) if is_refuted(middle) else (low, middle)
    return low


def one_run_lower_bound(
    scores: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    significance: float,
    delta: float,
    gaussian: bool,
) -> float:
    """Return an epsilon that the audited mechanism exceeds at `delta`, at `significance` (0..1).

    `scores` and `included` are `[canary]`; higher scores speak for "in". The best of `GUESSES_PER_SIDE`, with
    as many guesses "out" or none, all of which share the significance; ties are broken by place. `gaussian`
    says that the trade-off is no worse than that of a Gaussian with the same epsilon; without it the bound is
    that of Steinke et al. Holds whether or not one canary's score says something of another's.
    """
    _check(scores, included, significance)
    canaries = len(scores)
    told = included[np.argsort(-scores, kind="stable")]
    sides = [side for side in GUESSES_PER_SIDE if 2 * side <= canaries] or [canaries // 2]
    level, most = significance / (2 * len(sides)), 0.0
    for side in sides:
        right_in, right_out = int(told[:side].sum()), int((~told[-side:]).sum())
        for right, guesses in ((right_in, side), (right_in + right_out, 2 * side)):
            if not gaussian:
                most = max(most, one_run_epsilon(right, guesses, canaries, level, delta))
            elif refuted(most, right, guesses, canaries, level):  # else no better than the best so far
                most = max(most, gaussian_lower_bound(right, guesses, canaries, level))
    return _gaussian_epsilon(most, delta) if gaussian else most


def independent_lower_bound(
    ratios: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    significance: float,
    delta: float,
    gaussian: bool,
) -> float:
    """Return the same from log likelihood ratios `[canary]`, if canaries are independent of each other.

    They are where each has a coordinate of its own and noise is white, which the test of the noise tells. At
    each of `THRESHOLDS` both error rates are bounded (Clopper and Pearson 1934); no privacy allows two so
    small. Much tighter than one run's bound, which must hold for canaries that lean on each other.
    """
    _check(ratios, included, significance)
    level = significance / (2 * len(THRESHOLDS))
    outside, inside = ratios[~included], ratios[included]
    if not len(outside) or not len(inside):
        return 0.0
    most = 0.0
    for threshold in THRESHOLDS:
        false_in = _rate_at_most(int((outside > threshold).sum()), len(outside), level)
        false_out = _rate_at_most(int((inside <= threshold).sum()), len(inside), level)
        if gaussian:
            most = max(most, float(ndtri(1 - false_in) - ndtri(false_out)))
            continue
        for one, other in ((false_in, false_out), (false_out, false_in)):
            if one > 0 and 1 - other - delta > one:
                most = max(most, math.log((1 - other - delta) / one))
    return _gaussian_epsilon(most, delta) if gaussian else most


def _check(scores: NDArray[np.float64], included: NDArray[np.bool_], significance: float) -> None:
    if scores.shape != included.shape or scores.ndim != 1 or len(scores) < 2:
        raise invalid("scores", scores.shape, "be those of two canaries or more, one each")
    if not np.isfinite(scores).all():
        raise invalid("scores", "inf or nan", "be finite")
    if not 0 < significance < 1:
        raise invalid("significance", significance, "be > 0 and < 1")


def _gaussian_epsilon(mu: float, delta: float) -> float:
    return gaussian_epsilon(1 / mu, delta) if mu > 0 else 0.0


def _rate_at_most(count: int, trials: int, level: float) -> float:
    """Return the upper end of a binomial rate at one-sided `level`."""
    return 1.0 if count >= trials else float(beta.ppf(1 - level, count + 1, trials - count))
