"""Cohorts are drawn as the accountant assumes."""

from itertools import pairwise

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.privacy.sampling import cohort


@pytest.mark.parametrize("sampler", ["poisson", "once-a-day"])
def test_a_cohort_does_not_depend_on_the_split(sampler: str) -> None:
    """Seven parts of a fleet draw what the whole fleet draws."""
    devices = DeviceRange(4, 0, 1000)
    whole = cohort(devices, 7, sampler, 0.08, 12.0)  # type: ignore[arg-type]
    cuts = np.linspace(0, 1000, 8).astype(int)
    parts = [
        cohort(devices.part(slice(int(a), int(b))), 7, sampler, 0.08, 12.0)  # type: ignore[arg-type]
        for a, b in pairwise(cuts)
    ]
    assert np.array_equal(np.concatenate(parts), whole)


def test_poisson_tosses_a_coin_a_round() -> None:
    """The rate is q, and two rounds are independent."""
    devices = DeviceRange(0, 0, 100_000)
    first, second = (cohort(devices, number, "poisson", 0.1, 12.0) for number in (1, 2))
    assert first.mean() == pytest.approx(0.1, abs=0.004)
    assert (first & second).mean() == pytest.approx(0.01, abs=0.0015)


@pytest.mark.parametrize(("q", "rate"), [(0.05, 0.05), (0.5, 1 / 12)])
def test_once_a_day_joins_at_most_once(q: float, rate: float) -> None:
    """Over the rounds of a day no device joins twice, each round has the same rate, and days differ."""
    devices = DeviceRange(0, 0, 20_000)
    days = [
        np.stack([cohort(devices, 12 * day + k, "once-a-day", q, 12.0) for k in range(1, 13)])
        for day in (0, 1)
    ]
    for rounds in days:
        assert rounds.sum(0).max() == 1
        assert rounds.mean(1) == pytest.approx([rate] * 12, abs=0.008)
    assert not np.array_equal(days[0], days[1])


def test_once_a_day_with_days_that_do_not_divide_evenly() -> None:
    """With 4.8 rounds a day the fifth round ends the first day and the sixth begins the second."""
    devices = DeviceRange(1, 0, 5_000)
    rounds = np.stack([cohort(devices, k, "once-a-day", 1.0, 4.8) for k in range(1, 11)])
    assert rounds[:5].sum(0).max() == 1
    assert rounds[5:].sum(0).max() == 1
    assert rounds[:5].mean(1) == pytest.approx([0.2] * 5, abs=0.03)


def test_bad_settings_are_refused() -> None:
    """Round 0, a rate of 0 or above 1 and an unknown sampler get one line."""
    for number, sampler, q in (
        (0, "poisson", 0.1),
        (1, "poisson", 0.0),
        (1, "poisson", 1.1),
        (1, "best", 0.1),
    ):
        with pytest.raises(FedbertError, match="must be"):
            cohort(DeviceRange(0, 0, 5), number, sampler, q, 12.0)  # type: ignore[arg-type]
