"""The histogram of clicked ranks that every report carries beside its signal, for the gate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.privacy.mechanisms import to_fixed_point
from fedbert.results import CANDIDATES
from fedbert.signals.signal import UNIT, Clicks

RANK_BINS = CANDIDATES
"""Bins of the histogram, from rank 0: one for each place in a list; the last takes all later ranks."""


@dataclass(frozen=True)
class RankReports:
    """Histograms of some devices, as the bins only that they clicked, in the order of devices."""

    squared_norm: NDArray[np.int64]
    device: NDArray[np.int64]
    """[entry]"""
    bin: NDArray[np.int64]
    """[entry]"""
    integers: NDArray[np.int64]
    """[entry] clicks times their weight"""

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[RANK_BINS]` of the clipped integers."""
        from fedbert.kernels.reports import add_bins

        total = np.zeros(RANK_BINS, np.int64)
        add_bins((self.device, self.bin, self.integers), factors, total)
        return total

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, RANK_BINS]`."""
        out = np.zeros((len(self.squared_norm), RANK_BINS), np.int64)
        out[self.device, self.bin] = to_fixed_point(self.integers, factors[self.device])
        return out


def rank_reports(clicks: Clicks, gamma: float) -> RankReports:
    """Return the histograms of `clicks`; each known rank weighs `gamma`, a multiple of `UNIT`."""
    from fedbert.kernels.reports import fill_bins

    text, item, filled = clicks.slots()
    entries = np.empty(filled, np.int64), np.empty(filled, np.int64), np.empty(filled, np.int64)
    squared_norm = np.empty(len(item), np.int64)
    # Whole steps of UNIT: the histogram then has an exact integer norm, as the signal has. A bin is one
    # entry: truncation acts on its whole count, not on each click.
    weight, rank = round(gamma / UNIT), np.ascontiguousarray(clicks.rank)
    used = fill_bins((text, item, rank), weight, RANK_BINS - 1, entries, squared_norm)
    return RankReports(squared_norm, *(column[:used] for column in entries))
