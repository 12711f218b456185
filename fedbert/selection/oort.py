"""The selection `oort`: phones whose reports promise most, and come soon (Lai et al. 2021, "Oort").

Algorithm 1 of arXiv 2010.06081, section 4, over a fleet that draws for itself. Of the K devices that a round
asks in the mean, a share e explores phones that have not reported yet, the fast ones first; the others
exploit what earlier reports said. e falls from .9 by 2 % a round to .2. A phone's utility is

    U = |B| sqrt(mean of loss^2)        over the clicks B of its last report
    utility = (min(U, cap) + sqrt(.1 ln R / L)) (T / D)^2 where D > T

R is the round and L the one of its last report, D the time that this took, T the preferred time. Of utilities
only those of at least 95 % of the one at the cutoff are admitted, and drawn in proportion. The pacer prefers
a longer T where the last 20 rounds gained less utility than the 20 before.

A phone knows no gradient. The loss of a click is ln(1 + the items that stood above it): 0 in the first place.
The server computes from histograms of the fleet at the end of each round, in bins of 3 %, and announces with
the next order: the cutoff, the scale of the draw, the cap (the 95th percentile of U), and T. Cap and T hold
one round later, so that phones and histogram use the same. T is a percentile of the times D, the 30th at
first and 5 more at each step of the pacer, as in the authors' library. Left out: the list of phones that were
chosen too often, which the paper has against phones that lie.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fedbert.selection.selection import Done, Known, Reveals, SelectionSettings

EXPLORATION, EXPLORATION_DECAY, LEAST_EXPLORATION = 0.9, 0.98, 0.2
CUTOFF = 0.95
CAP_PERCENTILE = 0.95
PENALTY = 2.0
UNCERTAINTY = 0.1
WINDOW = 20
FIRST_PERCENTILE, PERCENTILE_STEP = 0.30, 0.05

BINS = 512
_RATIO = 1.03
UNIT = 1_000
"""Utilities are kept and binned in thousandths, times in milliseconds."""
_MOST = 4_000_000
"""Most that is kept of either: the upper end of the last bins, 1 h 5 min and utility 4,000."""

UTILITY, LAST_ROUND, SPENT_MS = range(3)
"""Columns of a phone's memory: U of its last report in thousandths, its round (0: none yet), its time."""

PREFERRED, CAP, NEXT_PREFERRED, NEXT_CAP, CUT, DRAWN, EXPLORED, PERCENTILE, HISTORY = range(9)
"""Places in what is announced: T and cap, both of the next round, by which its histogram is made, cutoff,
scale of the draw of explored phones and of the others, percentile of T; from the last on the utility that
each of the last rounds gained."""

_PARTS = 4
"""Histograms in the sums: utility of explored phones, their U, their times, report times of the others."""


@dataclass(frozen=True)
class Oort:
    """Statistical utility times speed, with exploration; see `LearntSelection`."""

    cohort: float
    """Devices that a round asks in the mean."""
    name: str = "oort"
    reveals: ClassVar[Reveals] = "private"
    looks_at: str = "how far down a phone's clicks stood in what it was shown, and on its speed"
    columns: int = 3
    entries: int = _PARTS * BINS + 1

    @classmethod
    def make(cls, settings: SelectionSettings) -> Self:
        """Return one that asks as many devices as the mechanism's coins would."""
        return cls(settings.round_rate * settings.devices)

    def start(self) -> NDArray[np.float64]:
        """Return what is announced before any report: no preference, no limit, nobody drawn."""
        announced = np.zeros(HISTORY + 2 * WINDOW)
        announced[[PREFERRED, CAP, NEXT_PREFERRED, NEXT_CAP]] = _MOST
        announced[PERCENTILE] = FIRST_PERCENTILE
        return announced

    def chances(self, known: Known) -> NDArray[np.float64]:
        """Return each device's chance to be asked `[device]`."""
        explored, told = known.memory[:, LAST_ROUND] > 0, known.announced
        chance = np.empty(len(explored))
        worth = bins_of(utilities(known.memory, known.round, told[CAP], told[PREFERRED]))
        chance[explored] = np.where(worth >= told[CUT], told[DRAWN] * edges()[worth], 0.0)[explored]
        chance[~explored] = told[EXPLORED] / edges()[bins_of(known.report_ms[~explored])]
        return np.minimum(chance, 1.0)

    def remember(self, known: Known, done: Done) -> NDArray[np.int32]:
        """Return the memory after a round: of who reported U, the round and its time."""
        memory, rows = known.memory.copy(), done.reported
        utility = np.rint(statistical_utility(done.ranks[rows]) * UNIT)
        memory[rows, UTILITY] = np.minimum(utility, _MOST).astype(np.int32)
        memory[rows, LAST_ROUND] = done.round
        memory[rows, SPENT_MS] = np.clip(np.rint(done.spent_ms[rows]), 1, _MOST).astype(np.int32)
        return memory

    def sums(self, known: Known, reported: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the histograms of the fleet as the next round will see it, and the utility gained."""
        memory, told = known.memory, known.announced
        explored = memory[:, LAST_ROUND] > 0
        worth = utilities(memory, known.round + 1, told[NEXT_CAP], told[NEXT_PREFERRED])
        parts = (
            bins_of(worth[explored]),
            bins_of(memory[explored, UTILITY]),
            bins_of(memory[explored, SPENT_MS]),
            bins_of(known.report_ms[~explored]),
        )
        gained = int(memory[reported, UTILITY].sum(dtype=np.int64))
        return np.concatenate([*(np.bincount(part, minlength=BINS) for part in parts), [gained]]).astype(
            np.int64
        )

    def announce(
        self, announced: NDArray[np.float64], sums: NDArray[np.int64], round_: int
    ) -> NDArray[np.float64]:
        """Return what goes with the order of `round_`."""
        worth, plain, spent, unexplored = sums[:-1].reshape(_PARTS, BINS)
        told = announced.copy()
        told[HISTORY:-1], told[-1] = announced[HISTORY + 1 :], sums[-1]
        before, after = told[HISTORY : HISTORY + WINDOW].sum(), told[HISTORY + WINDOW :].sum()
        # Rounds 1 to 2 WINDOW are behind, so both windows are whole.
        if round_ > 2 * WINDOW and before > after:
            told[PERCENTILE] = min(1.0, told[PERCENTILE] + PERCENTILE_STEP)
        told[[PREFERRED, CAP]] = announced[[NEXT_PREFERRED, NEXT_CAP]]
        told[NEXT_PREFERRED] = _percentile(spent, float(told[PERCENTILE]))
        told[NEXT_CAP] = _percentile(plain, CAP_PERCENTILE)
        exploring, exploiting = self.split(int(worth.sum()), int(unexplored.sum()), round_)
        told[CUT] = _cutoff(worth, exploiting)
        admitted = np.where(np.arange(BINS) >= told[CUT], worth, 0)
        told[DRAWN] = scale_of(admitted, edges(), exploiting)
        told[EXPLORED] = scale_of(unexplored, 1 / edges(), exploring)
        return told

    def split(self, explored: int, unexplored: int, round_: int) -> tuple[float, float]:
        """Return how many unexplored and how many explored devices a round asks in the mean."""
        share = max(LEAST_EXPLORATION, EXPLORATION * EXPLORATION_DECAY ** (round_ - 1))
        exploring = min(share * self.cohort, unexplored)
        exploiting = min(self.cohort - exploring, explored)
        # Where one kind runs out the other fills up.
        return min(self.cohort - exploiting, unexplored), exploiting


def edges() -> NDArray[np.float64]:
    """Return what the bins stand for, `[bin]`: their upper edges, 3 % apart, from 1."""
    return np.asarray(_RATIO ** np.arange(BINS), np.float64)


def bins_of(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the bin `[n]` of each value: the last one has all that is above it."""
    return np.minimum(np.searchsorted(edges(), values), BINS - 1)


def statistical_utility(ranks: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return U `[device]` of reports with `ranks` `[device, click]`, from 0; -1 is no click or none known."""
    known = ranks >= 0
    count = known.sum(axis=1)
    squares = np.where(known, np.log1p(np.maximum(ranks, 0).astype(np.float64)), 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=1) * count), np.float64)  # count * sqrt(sum / count)


def utilities(memory: NDArray[np.int32], round_: int, cap: float, preferred_ms: float) -> NDArray[np.float64]:
    """Return the utility in `round_` of explored devices `[device]`, in thousandths; of others it is 0."""
    last = memory[:, LAST_ROUND]
    waited = np.sqrt(UNCERTAINTY * math.log(max(round_, 1)) / np.maximum(last, 1)) * UNIT
    late = preferred_ms / np.maximum(memory[:, SPENT_MS], preferred_ms)
    return np.where(last > 0, (np.minimum(memory[:, UTILITY], cap) + waited) * late**PENALTY, 0.0)


def scale_of(counts: NDArray[np.int64], weights: NDArray[np.float64], wanted: float) -> float:
    """Return s such that chances min(1, s * weights) `[bin]` ask `wanted` of `counts` devices in the mean.

    1 over the least weight, so that all are asked, where there are no more; 0 where nobody is wanted.
    """
    here = np.flatnonzero(counts)
    if not len(here) or wanted <= 0:
        return 0.0
    heaviest = here[np.argsort(-weights[here], kind="stable")]
    number, weight = counts[heaviest].astype(np.float64), weights[heaviest]
    if wanted >= number.sum():
        return float(1 / weight[-1])
    # With the m heaviest bins asked for certain the rest share what is left in proportion: the first m fits
    # at which no bin of the rest would be asked with more than certainty.
    certain = np.concatenate([[0.0], np.cumsum(number)[:-1]])
    rest = np.cumsum((number * weight)[::-1])[::-1]
    scales = (wanted - certain) / rest
    fits = scales * weight <= 1
    return float(scales[np.argmax(fits)])


def _percentile(counts: NDArray[np.int64], share: float) -> float:
    """Return the edge below which `share` of the counts are; the last edge where there are none."""
    total = np.cumsum(counts)
    return float(edges()[np.searchsorted(total, share * total[-1])]) if total[-1] else float(_MOST)


def _cutoff(worth: NDArray[np.int64], wanted: float) -> float:
    """Return the first bin that is admitted: that of `CUTOFF` of the utility at place `wanted` from above."""
    above = np.cumsum(worth[::-1])[::-1]
    reached = np.flatnonzero(above >= min(wanted, above[0]))
    return float(bins_of(CUTOFF * edges()[reached[-1:]])[0])
