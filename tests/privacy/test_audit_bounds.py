"""Lower bounds of epsilon: against published and plain values, never above the truth, never blind."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from fedbert.errors import FedbertError
from fedbert.privacy.allocation_event import RandomAllocationDpEvent
from fedbert.privacy.audit.bounds import (
    gaussian_lower_bound,
    independent_lower_bound,
    one_run_epsilon,
    one_run_lower_bound,
    one_run_p_value,
    refuted,
)
from fedbert.privacy.audit.gaussian_events import is_gaussian
from fedbert.privacy.curves import gaussian_delta, gaussian_epsilon

DELTA = 1e-6
TRUTH = {1.0: 4.887, 2.0: 10.997, 4.0: 26.357}
"""Epsilon at 1e-6 of telling N(mu, 1) from N(0, 1), by mu."""

HALF = 10_000


def gaussian_scores(mu: float, seed: int, half: int = HALF) -> tuple[np.ndarray, np.ndarray]:
    """Return log likelihood ratios of `half` canaries that are in and as many that are out."""
    drawn = np.random.default_rng(seed).normal(size=2 * half)
    included = np.arange(2 * half) < half
    return (mu or 1.0) * (drawn + mu * included - mu / 2), included


def best(mu: float, seed: int) -> tuple[float, float, float]:
    """Return the three bounds at .05: Steinke's, of one run for Gaussians, of independent canaries."""
    scores, included = gaussian_scores(mu, seed)
    how = {"significance": 0.05, "delta": DELTA}
    return (
        one_run_lower_bound(scores, included, gaussian=False, **how),
        one_run_lower_bound(scores, included, gaussian=True, **how),
        independent_lower_bound(scores, included, gaussian=True, **how),
    )


@pytest.mark.parametrize(
    ("right", "guesses", "significance", "epsilon"),
    [(4840, 6332, 0.05, 1.1277), (1024, 1024, 0.01, 5.2688), (900, 1000, 0.001, 1.8440)],
)
def test_steinke_s_bound_is_the_largest_refuted_epsilon(
    right: int, guesses: int, significance: float, epsilon: float
) -> None:
    """Right guesses of 20,000 canaries give the values of jax-privacy 2.0 to three places."""
    assert one_run_epsilon(right, guesses, 20_000, significance, DELTA) == pytest.approx(epsilon, abs=1e-3)


def test_without_delta_steinke_s_p_value_is_a_binomial_tail() -> None:
    """At delta 0 the p-value is the chance of as many right guesses by coins of e^eps / (1 + e^eps)."""
    assert one_run_p_value(1.0, 0.0, 80, 100, 200) == binom.sf(79, 100, math.e / (1 + math.e))


@pytest.mark.parametrize(
    ("right", "guesses", "significance", "epsilon"),
    [(4840, 6332, 0.05, 1.8702), (1024, 1024, 0.01, 7.9922), (900, 1000, 0.001, 2.2206)],
)
def test_the_bound_for_gaussians_is_the_largest_refuted_one(
    right: int, guesses: int, significance: float, epsilon: float
) -> None:
    """Right guesses of 20,000 canaries give the values of jax-privacy 2.0, within the step of the search."""
    mu = gaussian_lower_bound(right, guesses, 20_000, significance)
    assert gaussian_epsilon(1 / mu, DELTA) == pytest.approx(epsilon, abs=0.01)
    assert refuted(mu, right, guesses, 20_000, significance)
    assert not refuted(mu + 2e-3, right, guesses, 20_000, significance)


@pytest.mark.parametrize(("mu", "least"), [(1.0, 1.133), (2.0, 2.312), (4.0, 4.396)])
def test_bounds_lie_between_the_known_ones_and_the_truth(mu: float, least: float) -> None:
    """On N(mu, 1) and N(0, 1) each bound is above a published one by Steinke's way and below the truth; the
    more is taken for granted, the larger it is.
    """
    found = best(mu, seed=1)
    assert least < found[0] < found[1] < found[2] < TRUTH[mu]


def test_bounds_exceed_the_truth_no_more_often_than_they_may() -> None:
    """At a significance of a half the bounds exceed the truth in at most 15 of 20 draws (chance .006)."""
    truth = gaussian_epsilon(1 / 0.5, DELTA)
    for bound in (one_run_lower_bound, independent_lower_bound):
        drawn = [gaussian_scores(0.5, seed, 1_000) for seed in range(20)]
        found = [bound(*each, significance=0.5, delta=DELTA, gaussian=True) for each in drawn]
        assert sum(each > truth for each in found) <= 15
        assert max(found) > truth / 8


def test_scores_that_say_nothing_give_nothing() -> None:
    """Coins that no score leans on bound epsilon by 0; so do equal scores, however many canaries are in."""
    assert best(0.0, seed=2) == (0.0, 0.0, 0.0)
    included = np.arange(1000) % 2 == 0
    assert one_run_lower_bound(np.zeros(1000), included, significance=0.05, delta=DELTA, gaussian=True) == 0
    for all_in in (np.ones(50, np.bool_), np.zeros(50, np.bool_)):
        bound = independent_lower_bound(
            np.arange(50.0), all_in, significance=0.05, delta=DELTA, gaussian=True
        )
        assert bound == 0


@pytest.mark.parametrize(("canaries", "least"), [(20_000, 9.0), (278, 4.0)])
def test_right_guesses_alone_are_found(canaries: int, least: float) -> None:
    """Where every canary shows, as without noise, bounds are above 9 for 20,000 canaries, 4 for 278."""
    included = np.arange(canaries) % 2 == 0
    scores = np.where(included, 1.0, -1.0)
    assert one_run_lower_bound(scores, included, significance=0.05, delta=DELTA, gaussian=True) > least


def test_bad_scores_are_refused_in_one_line() -> None:
    """Scores that do not fit the coins, are not finite, or a significance of 1 are named."""
    included = np.array([True, False, True])
    for scores, significance, name in (
        (np.zeros(2), 0.05, "scores"),
        (np.array([0.0, math.nan, 1.0]), 0.05, "scores"),
        (np.zeros(3), 1.0, "significance"),
    ):
        with pytest.raises(FedbertError, match=rf"^{name}\(="):
            one_run_lower_bound(scores, included, significance=significance, delta=DELTA, gaussian=True)


@pytest.mark.parametrize(("z", "q", "rounds"), [(1.36, 0.1, 12), (0.9, 0.01, 100)])
def test_a_sampled_gaussian_keeps_more_than_a_gaussian_of_its_epsilon(
    z: float, q: float, rounds: int
) -> None:
    """At every smaller epsilon its delta is below that of the Gaussian through its (epsilon, 1e-6), so that
    bounds for Gaussians do not accuse it.
    """
    import dp_accounting
    from dp_accounting.pld import PLDAccountant
    from scipy.optimize import brentq

    one = dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(z))
    event = dp_accounting.SelfComposedDpEvent(one, rounds)
    accountant = PLDAccountant(value_discretization_interval=1e-3).compose(event)
    epsilon = accountant.get_epsilon(DELTA)
    plain = brentq(lambda noise: gaussian_epsilon(noise, DELTA) - epsilon, 0.1, 1e3)
    for share in np.linspace(0, 0.95, 12):
        at = float(share * epsilon)
        assert accountant.get_delta(at) < gaussian_delta(plain, at)


def test_only_events_of_gaussians_are_taken_for_gaussian() -> None:
    """Composed and sampled Gaussians are; an event with anything else in it is not."""
    import dp_accounting as dp

    one = dp.GaussianDpEvent(2.0)
    assert is_gaussian(dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.1, one), 5))
    assert is_gaussian(dp.ComposedDpEvent([one, one]))
    assert not is_gaussian(dp.ComposedDpEvent([one, dp.LaplaceDpEvent(1.0)]))
    assert not is_gaussian(dp.NonPrivateDpEvent())


def test_a_random_round_is_a_gaussian_to_one_who_sees_it() -> None:
    """Random allocation hides which Gaussian it was, but from nobody who sees who took part."""
    import dp_accounting as dp

    days = dp.SelfComposedDpEvent(RandomAllocationDpEvent(12, dp.GaussianDpEvent(2.0)), 3)
    assert not is_gaussian(days)
    assert is_gaussian(days, seen=True)
    assert not is_gaussian(RandomAllocationDpEvent(12, dp.LaplaceDpEvent(1.0)), seen=True)
