"""The histogram of clicked ranks in a report, beside a plain count."""

import numpy as np
from signal_examples import example_clicks

from fedbert.signals.ranks import RANK_BINS, rank_reports
from fedbert.signals.signal import UNIT, Clicks

ONE = np.ones(60)


def _plain(clicks: Clicks, weight: int) -> np.ndarray:
    """Count device by device and click by click."""
    out = np.zeros((len(clicks.item), RANK_BINS), np.int64)
    for device in range(len(out)):
        for item, rank in zip(clicks.item[device], clicks.rank[device], strict=True):
            if item >= 0 and rank >= 0:
                out[device, min(int(rank), RANK_BINS - 1)] += weight
    return out


def test_the_histogram_is_the_plain_count() -> None:
    """Dense vectors, sum and squared norm are those of a plain count; clicks on one rank are added first."""
    clicks = example_clicks(60, per_device=6)
    reports, plain = rank_reports(clicks, 13 * UNIT), _plain(clicks, 13)
    assert (plain == 26).any()
    assert np.array_equal(reports.dense(ONE), plain)
    assert np.array_equal(reports.sum(ONE), plain.sum(0))
    assert np.array_equal(reports.squared_norm, (plain**2).sum(1))


def test_the_last_bin_takes_all_later_ranks_and_unknown_ranks_none() -> None:
    """Rank 24 falls into bin 19; a click without a rank, or without an item, is not counted."""
    item = np.array([[0, 0, 0, -1]], np.int32)
    ranks = np.array([[24, 19, -1, 3]], np.int8)
    clicks = Clicks(np.ones((1, 2), np.int8), item * 0, item, ranks, np.ones((1, 2), np.int8))
    counted = rank_reports(clicks, UNIT).dense(np.ones(1))
    assert counted.tolist() == [[0] * 19 + [2]]


def test_factors_scale_and_truncate_each_device() -> None:
    """A device's bins are multiplied by its own factor and cut toward zero, after clicks are added."""
    item = np.zeros((2, 2), np.int32)
    names = np.ones((1, 2), np.int8)
    clicks = Clicks(names, item, item, np.zeros((2, 2), np.int8), names)
    reports = rank_reports(clicks, 3 * UNIT)
    factors = np.array([0.25, 10.0])
    assert reports.dense(factors)[:, 0].tolist() == [1, 60]
    assert reports.sum(factors)[0] == 61


def test_without_weight_nothing_is_reported() -> None:
    """A weight of 0 gives zeros, and adds nothing to the norm."""
    reports = rank_reports(example_clicks(60), 0.0)
    assert not reports.dense(ONE).any()
    assert not reports.squared_norm.any()
