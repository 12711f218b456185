"""The histogram of clicked ranks that every report carries beside its signal, for the gate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.privacy.mechanisms import to_fixed_point
from fedbert.results import CANDIDATES
from fedbert.signals.signal import UNIT, Clicks

RANK_BINS = CANDIDATES
"""Bins of the histogram, from rank 0: one for each place in a list; the last takes all later ranks."""


def first_of_equals(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return `same` `[device, click, click]` with the rows of all but the first click of a group empty."""
    clicks = same.shape[1]
    earlier = np.asarray((same & np.tri(clicks, k=-1, dtype=np.bool_)).any(2))
    return np.asarray(same & ~earlier[:, :, None], np.int64)


@dataclass(frozen=True)
class RankReports:
    """Histograms of some devices, as the non-zero bins only; a click that is merged away has a zero."""

    squared_norm: NDArray[np.int64]
    bin: NDArray[np.int64]
    """[device, click]"""
    integers: NDArray[np.int64]
    """[device, click]"""

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[RANK_BINS]` of the clipped integers."""
        total = np.zeros(RANK_BINS, np.int64)
        np.add.at(total, self.bin.ravel(), to_fixed_point(self.integers, factors).ravel())
        return total

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, RANK_BINS]`."""
        out = np.zeros((len(self.bin), RANK_BINS), np.int64)
        np.add.at(out, (np.arange(len(out))[:, None], self.bin), to_fixed_point(self.integers, factors))
        return out


def rank_reports(clicks: Clicks, gamma: float) -> RankReports:
    """Return the histograms of `clicks`; each known rank weighs `gamma`, a multiple of `UNIT`."""
    # Whole steps of UNIT: the histogram then has an exact integer norm, as the signal has.
    weight = round(gamma / UNIT)
    ranked = ((clicks.item >= 0) & (clicks.text >= 0) & (clicks.rank >= 0)).astype(np.int64)
    bins = np.clip(clicks.rank.astype(np.int64), 0, RANK_BINS - 1)
    same = (bins[:, :, None] == bins[:, None, :]) & (ranked[:, :, None] * ranked[:, None, :] > 0)
    # The first click at a rank carries the bin's whole count: truncation acts on a bin, not on each click.
    integers = weight * np.einsum("nkl,nl->nk", first_of_equals(same), ranked)
    return RankReports(weight**2 * same.sum((1, 2)), bins, integers)
