"""Intervals of the planning reports."""

import numpy as np
import pytest
from scipy import stats

from fedbert.intervals import from_draws, t_interval, wilson


def test_t_interval_of_three_seeds() -> None:
    """Mean ± 4.3027 s / sqrt(3) for three seeds."""
    found = t_interval(np.array([1.0, 2.0, 3.0]))
    assert found.value == pytest.approx(2.0)
    assert found.high == pytest.approx(2.0 + 4.302653 / np.sqrt(3), abs=1e-5)
    assert found.low == pytest.approx(2.0 - 4.302653 / np.sqrt(3), abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    """A single value says nothing about its spread."""
    found = t_interval(np.array([0.5]))
    assert (found.value, found.low, found.high) == (0.5, None, None)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (220, 1000)])
def test_wilson_equals_scipy(successes: int, trials: int) -> None:
    """The score interval is scipy's."""
    found = wilson(successes, trials)
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_draws_hold_the_best_guess_and_infinity() -> None:
    """Row 0 is the value and lies in the interval; the interval may be infinite."""
    found = from_draws(np.array([1.0, 2.0, 3.0, np.inf]))
    assert (found.value, found.low, found.high) == (1.0, 1.0, np.inf)
