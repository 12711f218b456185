"""Rules of the fit of the fetching model: what it finds again, and how sure it says that it is."""

import math

import numpy as np
import pytest

from fedbert.intervals import Array
from fedbert.planning.capacity.base_run import FetchWindows
from fedbert.planning.capacity.fetch_fit import fit_fetching, still_behind

UNMETERED = np.full(24, 0.5)
HOURS = 2.0


def windows(fetched: Array, devices: float) -> FetchWindows:
    """Return windows of two hours from midnight on, of `devices` that are behind at first."""
    ends = np.arange(1, len(fetched) + 1)
    hours = np.zeros((len(fetched), 24))
    for row, end in enumerate(ends):
        hours[row, : int(end * HOURS)] = 1.0
    behind = devices - np.concatenate([[0.0], np.cumsum(fetched)[:-1]])
    return FetchWindows(behind, fetched, np.vstack([np.zeros(24), hours[:-1]]), hours)


def sampled(rng: np.random.Generator, factor: float, frailty: tuple[float, float], count: int) -> Array:
    """Return what each of 12 windows fetches of `count` phones, each by its own coins."""
    seldom = rng.uniform(size=count) < frailty[0]
    rate = factor * UNMETERED[0] * np.where(seldom, frailty[1], 1.0)
    window = np.floor(rng.exponential(1 / rate) / HOURS)
    return np.bincount(window[window < 12].astype(int), minlength=12).astype(np.float64)


def test_two_kinds_of_phones() -> None:
    """After an exposure of 2, of phones a quarter of which ask at a tenth of the rate."""
    found = still_behind(np.array([2.0]), np.array([[0.25, 0.1]]))
    assert found.tolist() == pytest.approx([0.75 * math.exp(-2) + 0.25 * math.exp(-0.2)])
    assert still_behind(np.zeros(3), np.array([[0.25, 0.1]] * 3)).tolist() == [1.0, 1.0, 1.0]


def test_what_made_the_counts_is_found_again() -> None:
    """Counts exactly as expected of f = 2, 20 % of the phones at a twentieth: all three are found."""
    behind = still_behind(2 * 0.5 * HOURS * np.arange(13), np.tile([0.2, 0.05], (13, 1)))
    fetched = -np.diff(1e6 * behind)
    factor, frailty = fit_fetching(windows(fetched, 1e6), UNMETERED, np.random.default_rng(0), 50)
    assert factor[0] == pytest.approx(2.0, rel=1e-2)
    assert frailty[0] == pytest.approx([0.2, 0.05], rel=1e-2)
    assert np.quantile(factor[1:], 0.975) - np.quantile(factor[1:], 0.025) < 0.04


def test_intervals_hold_what_was_sampled() -> None:
    """Of 40 fleets of 3,000 phones the 95 % interval of those behind after a day has it 35 times or more."""
    truth = 0.8 * math.exp(-24.0) + 0.2 * math.exp(-0.05 * 24.0)
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = windows(sampled(rng, 2.0, (0.2, 0.05), 3_000), 3_000)
        factor, frailty = fit_fetching(found, UNMETERED, rng, 200)
        behind = still_behind(factor * 12.0, frailty)[1:]
        low, high = np.quantile(behind, [0.025, 0.975])
        assert (high - low) / 2 < 0.2 * truth
        held += low <= truth <= high
    assert 35 <= held <= 40


def test_more_scatter_than_chance_is_less_sure() -> None:
    """Counts that swing by a fifth from window to window leave f with an interval more than twice as wide."""
    behind = still_behind(0.3 * 0.5 * HOURS * np.arange(13), np.tile([0.0, 1.0], (13, 1)))
    smooth = -np.diff(30_000 * behind)
    swinging = smooth * np.where(np.arange(12) % 2, 1.2, 0.8)
    widths = []
    for fetched in (smooth, swinging):
        factor, _ = fit_fetching(windows(fetched, 30_000), UNMETERED, np.random.default_rng(0), 400)
        low, high = np.quantile(factor[1:], [0.025, 0.975])
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_all_at_once_is_no_error() -> None:
    """Where all phones fetch in the first window, draws say so: fewer than one in a hundred is left."""
    found = windows(np.array([1_000.0, 0.0, 0.0]), 1_000)
    factor, frailty = fit_fetching(found, UNMETERED, np.random.default_rng(0), 200)
    assert np.isfinite(factor).all()
    assert np.quantile(still_behind(factor * 1.0, frailty), 0.975) < 0.01
