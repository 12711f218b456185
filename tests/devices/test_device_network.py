"""Transfers: time by bytes, rate and round trips; failures by link; independence of blocks."""

import numpy as np
import pytest

from fedbert.devices.fleet import draw_fleet
from fedbert.devices.network import FAILURE_PROBABILITY, download, transfer_ms
from fedbert.devices.profiles import load_profiles

PROFILES = load_profiles()
FLEET = draw_fleet(PROFILES, 3, 0, 30_000)


def test_time_of_a_transfer() -> None:
    """1 MB at 8 Mbit/s takes a second, and four round trips come on top."""
    assert transfer_ms(1_000_000, np.array([8e6, 4e6]), 50.0).tolist() == [1200.0, 2200.0]


def test_failures_by_link() -> None:
    """Without a time limit, transfers fail at the rate of their link, and failed ones are not longer."""
    got = download(3, 1, 0, 30_000, FLEET, 1_900_000)
    for kind, chance in enumerate(FAILURE_PROBABILITY):
        failed = ~got.succeeded[FLEET.network_kind == kind]
        assert failed.mean() == pytest.approx(chance, abs=5 * np.sqrt(chance / len(failed)))
    whole = transfer_ms(1_900_000, FLEET.downlink_bits_per_s, FLEET.rtt_ms)
    assert (got.time_ms <= whole).all()
    assert (got.time_ms[got.succeeded] == whole[got.succeeded]).all()


def test_a_window_ends_transfers() -> None:
    """A transfer that would outlast the window fails when the window ends."""
    got = download(3, 1, 0, 30_000, FLEET, 1_900_000, window_ms=10_000.0)
    assert got.time_ms.max() <= 10_000.0
    slow = transfer_ms(1_900_000, FLEET.downlink_bits_per_s, FLEET.rtt_ms) > 10_000.0
    assert slow.any()
    assert not got.succeeded[slow].any()


def test_blocks_do_not_change_downloads() -> None:
    """Any split of the devices gives the same bits; another round gives others."""
    whole = download(3, 5, 0, 1_000, FLEET.take(slice(0, 1_000)), 100_000)
    parts = [
        download(3, 5, at, 100, draw_fleet(PROFILES, 3, at, 100), 100_000) for at in range(0, 1_000, 100)
    ]
    assert np.concatenate([part.time_ms for part in parts]).tobytes() == whole.time_ms.tobytes()
    assert np.concatenate([part.succeeded for part in parts]).tolist() == whole.succeeded.tolist()
    other = download(3, 6, 0, 1_000, FLEET.take(slice(0, 1_000)), 100_000)
    assert (other.succeeded != whole.succeeded).any()
