"""What the reports of all rounds have taken off their text vectors, as a mean over clicks.

Each release has item vectors of its own, so rounds take off different ones. How many clicks a round brought
is private: their mean is weighted by noisy counts, and where noise drowns these, by public expectation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.signals.prototypes.contribution import PrototypeLayout, centres_of
from fedbert.signals.signal import INT8_UNIT_LENGTH

_LEAST_SHARE = 0.1
"""Least clicks of a round, as a share of those expected: a noisy total may lie below zero."""

# A round of which nothing is known still counts for something, so that the mean exists.
_TINY = 1e-12


@dataclass(frozen=True)
class Centres:
    """Sums over rounds: of a click's centre `[item, dim]` times the round's clicks, and of these clicks."""

    sums: NDArray[np.float64]
    clicks: float

    @property
    def means(self) -> NDArray[np.float64]:
        """What a click took off on average, `[item, dim]`; zeros before the first round."""
        return self.sums / max(self.clicks, _TINY)


def no_centres(layout: PrototypeLayout) -> Centres:
    """Return what was taken off before the first round: nothing."""
    return Centres(np.zeros((layout.items, layout.dim)), 0.0)


def add_centres(
    centres: Centres, layout: PrototypeLayout, items: NDArray[np.float32], clicks: float
) -> Centres:
    """Return `centres` with a round of `clicks` (> 0) in it.

    `items` `[item, dim]` are the unit vectors of its release.
    """
    stored = np.rint(items * INT8_UNIT_LENGTH).astype(np.int8)
    taken = centres_of(layout, stored) / float(INT8_UNIT_LENGTH)
    return Centres(centres.sums + clicks * taken, centres.clicks + clicks)


def clicks_of_round(noisy: float, variance: float, usual: float) -> float:
    """Return a round's clicks, > 0, from their `noisy` total of noise `variance`, drawn to `usual` ones.

    Rounds differ by as much as their usual clicks: at night few people click and most phones report. The more
    of that the noise covers, the less the total moves the estimate (linear shrinkage, Efron and Morris 1973).
    """
    usual = max(usual, _TINY)
    trust = usual**2 / (usual**2 + variance)
    return max(usual + trust * (noisy - usual), _LEAST_SHARE * usual)


def turned(centres: Centres, turn: NDArray[np.float64]) -> Centres:
    """Return `centres` in the space that the orthogonal matrix `turn` leads to."""
    return Centres(centres.sums @ turn, centres.clicks)
