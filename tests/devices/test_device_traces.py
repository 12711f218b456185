"""Traces to facts: transfers by hand, the split of a variance, and what is left out."""

import numpy as np
import pytest

from fedbert.devices.fitting.traces import link_facts, spread, transfer_rates


def test_downloads_follow_each_other() -> None:
    """1 MB (8 Mbit) takes 2 s at 4 Mbit/s, then 4 s at 2 Mbit/s; the rest of 4 Mbit is no whole download."""
    seconds, rates = np.array([0.0, 1.0, 2.0, 4.0, 6.0]), np.array([4.0, 4.0, 2.0, 2.0, 2.0])
    assert transfer_rates(seconds, rates, 1_000_000) == pytest.approx([4.0, 2.0])


def test_a_silent_second_lengthens_its_transfer() -> None:
    """8 Mbit at 4 Mbit/s with 2 silent seconds between take 4 s; a silent trace has no transfer."""
    seconds = np.array([0.0, 1.0, 2.0, 3.0])
    assert transfer_rates(seconds, np.array([4.0, 0.0, 0.0, 4.0]), 1_000_000) == pytest.approx([2.0])
    assert len(transfer_rates(seconds, np.zeros(4), 1_000_000)) == 0


def test_the_last_rate_holds_for_the_usual_step() -> None:
    """Four points 5 s apart are 20 s of trace: 10 Mbit/s moves 25 MB."""
    rates = transfer_rates(np.array([0.0, 5.0, 10.0, 15.0]), np.full(4, 10.0), 5_000_000)
    assert rates == pytest.approx([10.0] * 5)


def test_a_variance_is_split_by_hand() -> None:
    """Units (1, 3) and (5, 7): MSW = 2, MSB = 16, n_0 = 2, so between = sqrt(7), within = sqrt(2)."""
    got = spread([np.array([1.0, 3.0]), np.array([5.0, 7.0])])
    assert got.means.tolist() == [2.0, 6.0]
    assert (got.between, got.within) == pytest.approx((np.sqrt(7), np.sqrt(2)))


def test_units_that_do_not_differ_have_no_spread_between() -> None:
    """Where the units' means differ less than chance would have it, the spread between is 0."""
    assert spread([np.array([1.0, 9.0]), np.array([2.0, 8.0])]).between == 0.0


def test_the_split_finds_what_was_put_in() -> None:
    """400 units of unequal size with sigma .6 between and .3 within are found within 10 %."""
    rng = np.random.default_rng(0)
    groups = [rng.normal(rng.normal(0, 0.6), 0.3, 2 + unit % 50) for unit in range(400)]
    got = spread(groups)
    assert (got.between, got.within) == pytest.approx((0.6, 0.3), rel=0.1)


def test_facts_of_a_link() -> None:
    """Units at 1, 2 and 4 Mbit/s with a silent point: medians are theirs, one too short is left out."""
    seconds = np.arange(100.0)
    traces = [np.column_stack([seconds, np.full(100, rate)]) for rate in (1.0, 2.0, 4.0)]
    traces[1][-1, 1] = 0.0
    facts = link_facts([*traces, traces[0][:3]], 500_000)
    assert (facts.units, facts.transfers, facts.transfer_bytes) == (3, 25 + 49 + 100, 500_000)
    assert facts.unit_kbit_per_s_p50 == 2000.0
    assert facts.sigma_within_transfers == 0.0
    assert facts.sigma_between_units > 0.5
    assert np.isfinite(facts.sigma_moments)
