"""Cohorts are drawn as the accountant assumes."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.privacy.accounting import rounds_of_day
from fedbert.privacy.sampling import by_coin, once_a_day, slots_of_day

KINDS = {
    "coins": partial(by_coin, probability=0.08),
    "once a day": partial(once_a_day, period=12, slots=13, fixed=False),
    "a fixed slot": partial(once_a_day, period=12, slots=13, fixed=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cohort_does_not_depend_on_the_split(kind: str) -> None:
    """Seven parts of a fleet draw what the whole fleet draws."""
    draw: Callable[..., np.ndarray] = KINDS[kind]
    devices = DeviceRange(4, 0, 1000)
    whole = draw(devices, 7)
    cuts = np.linspace(0, 1000, 8).astype(int)
    parts = [draw(devices.part(slice(int(a), int(b))), 7) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_coins_are_tossed_a_round() -> None:
    """The rate is q, and two rounds are independent."""
    devices = DeviceRange(0, 0, 100_000)
    first, second = (by_coin(devices, number, 0.1) for number in (1, 2))
    assert first.mean() == pytest.approx(0.1, abs=0.004)
    assert (first & second).mean() == pytest.approx(0.01, abs=0.0015)


@pytest.mark.parametrize(("q", "rate"), [(0.05, 0.05), (0.5, 1 / 12), (1 / 12, 1 / 12), (0.06, 1 / 17)])
@pytest.mark.parametrize("fixed", [False, True])
def test_once_a_day_joins_at_most_once(q: float, rate: float, fixed: bool) -> None:
    """Over the rounds of a day no device joins twice, and each round has the same rate, at most q.

    A fixed slot is the same in each day; the other is drawn anew.
    """
    devices, slots = DeviceRange(0, 0, 20_000), slots_of_day(12, q)
    days = [
        np.stack([once_a_day(devices, 12 * day + k, 12, slots, fixed) for k in range(1, 13)])
        for day in (0, 1)
    ]
    for rounds in days:
        assert rounds.sum(0).max() == 1
        assert rounds.mean(1) == pytest.approx([rate] * 12, abs=0.008)
    assert np.array_equal(days[0], days[1]) == fixed


def test_days_that_do_not_divide_evenly_are_rounded_up() -> None:
    """With 4.8 rounds a day a device joins once in five rounds; 24 hours of exactly 5 rounds are five."""
    assert [rounds_of_day(each) for each in (4.8, 5.0, 24 / 4.8, 12.0, 0.5)] == [5, 5, 5, 12, 1]
    devices = DeviceRange(1, 0, 5_000)
    rounds = np.stack([once_a_day(devices, k, 5, 5, False) for k in range(1, 11)])
    assert rounds[:5].sum(0).max() == rounds[5:].sum(0).max() == 1
    assert rounds[:5].mean(1) == pytest.approx([0.2] * 5, abs=0.03)


def test_bad_settings_are_refused() -> None:
    """Round 0 and a rate of 0 or above 1 get one line."""
    devices = DeviceRange(0, 0, 5)
    for call in (
        lambda: by_coin(devices, 0, 0.1),
        lambda: by_coin(devices, 1, 0.0),
        lambda: by_coin(devices, 1, 1.1),
        lambda: once_a_day(devices, 0, 12, 12, False),
    ):
        with pytest.raises(FedbertError, match="must be"):
            call()
