"""The fleet: shares, spreads and independence of blocks."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.devices.fleet import between_quantiles, draw_fleet, lognormal, pick
from fedbert.devices.fleet_shares import load_fleet

PROFILES = load_fleet()
COUNT = 20_000
FLEET = draw_fleet(PROFILES, DeviceRange(7, 0, COUNT))


def test_blocks_do_not_change_devices() -> None:
    """Any split of the devices, down to single ones, gives the same bits."""
    for cuts in ([0, 1, 2, 3, 500], [0, 17, 500], [0, 500]):
        parts = [draw_fleet(PROFILES, DeviceRange(7, a, b - a)) for a, b in pairwise(cuts)]
        for field in fields(FLEET):
            joined = np.concatenate([getattr(part, field.name) for part in parts])
            assert joined.tobytes() == getattr(FLEET, field.name)[:500].tobytes(), field.name


def test_profiles_come_in_their_shares() -> None:
    """Each class has its share of the fleet, within five standard errors; the tier is the profile's."""
    counts = np.bincount(FLEET.profile, minlength=len(PROFILES))
    for profile, count in zip(PROFILES, counts, strict=True):
        assert abs(count - profile.share * COUNT) < 5 * np.sqrt(COUNT * profile.share)
    assert all(FLEET.tier[i] == PROFILES[FLEET.profile[i]].tier_index for i in range(200))


def test_memory_follows_the_profile() -> None:
    """Free memory has the profile's quantiles (log-normal through p10 and p90)."""
    index = 12
    mine = FLEET.free_memory_bytes[FLEET.profile == index]
    expected = PROFILES[index].free_memory
    measured = np.quantile(mine, [0.1, 0.5, 0.9])
    assert measured == pytest.approx([expected.p10_bytes, expected.p50_bytes, expected.p90_bytes], rel=0.12)
    assert FLEET.free_memory_bytes.dtype == np.int64


def test_seeds_differ() -> None:
    """Another seed is another fleet."""
    assert (draw_fleet(PROFILES, DeviceRange(8, 0, 100)).speed_factor != FLEET.speed_factor[:100]).all()


def test_picking_by_shares() -> None:
    """`pick` walks the running sum of shares, and never lands on a share of 0."""
    uniform = np.array([0.0001, 0.49, 0.51, 0.9999999])
    assert pick(uniform, np.array([0.5, 0.5, 0.0])).tolist() == [0, 0, 1, 1]
    assert pick(uniform, np.array([0.0, 1.0])).tolist() == [1, 1, 1, 1]


def test_quantiles_are_met() -> None:
    """A value at the 10th, 50th and 90th percentile is the given one; tails stop at the 1st and 99th."""
    one = np.ones(5)
    values = between_quantiles(np.array([0.1, 0.5, 0.9, 0.99, 0.999999]), 2 * one, 10 * one, 20 * one)
    assert values[:3] == pytest.approx([2, 10, 20])
    assert values[4] == pytest.approx(values[3])


def test_lognormal_median_and_spread() -> None:
    """One standard deviation up multiplies the median by exp(sigma)."""
    assert lognormal(np.array([0.5, 0.8413447460685429]), 3.0, 0.5) == pytest.approx([3.0, 3.0 * np.exp(0.5)])
