"""The mechanism `correlated`: noise that later rounds take back in part, so that totals carry less.

What the server works with are running totals, A x for the sums x of the rounds and A the lower triangle of
ones. With A = B C the mechanism adds to the rounds the noise C^-1 z, z white: it is one Gaussian mechanism on
C x, and totals carry B z (Denisov et al. 2022, "Improved differential privacy for SGD via optimal private
linear operators on adaptive streams"; Li et al. 2015). C is the square root of A: Toeplitz, its first column
the coefficients of (1 - x)^(-1/2) (Fichtenberger, Henzinger and Upadhyay 2023), and C^-1 has those of
(1 - x)^(1/2). C^-1 is cut off after `BAND` of them, which changes C and its cost, both computed here (banded
inverse square root: Kalinin, McMahan and Lampert 2025). A round's noise needs `BAND` draws at most.

A device keeps its slot of the day, so it joins rounds exactly a day apart. All coefficients of C are >= 0, so
the products of its columns are, and the device that joins first and every day moves C x farthest: by the norm
of the sum of columns a day apart (Choquette-Choo et al. 2023; Kalinin and Lampert 2024).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedbert.privacy.gaussian import Terms
from fedbert.privacy.once_a_day import OnceADay

if TYPE_CHECKING:
    from dp_accounting import DpEvent

BAND = 64
"""Most draws that a round's noise is mixed of: five days of rounds of two hours."""


@lru_cache(maxsize=8)
def inverse_root(count: int) -> NDArray[np.float64]:
    """Return the first `count` coefficients of (1 - x)^(1/2), zero from `BAND` on: a round's weights."""
    found = np.zeros(count)
    found[0] = 1.0
    for k in range(1, min(count, BAND)):
        found[k] = found[k - 1] * (k - 1.5) / k
    return found


@lru_cache(maxsize=8)
def root(count: int) -> NDArray[np.float64]:
    """Return the first column `[count]` of C: the power series inverse of `inverse_root`."""
    weights = -inverse_root(count)[1:BAND]
    found = np.zeros(count)
    found[0] = 1.0
    for k in range(1, count):
        found[k] = weights[:k] @ found[max(0, k - len(weights)) : k][::-1]
    return found


@lru_cache(maxsize=4096)
def root_sensitivity(rounds: int, period: int) -> float:
    """Return how far a device that joins every `period` rounds moves C x, in clip norms."""
    column = root(rounds)
    moved = np.zeros(rounds)
    for first in range(0, rounds, period):
        moved[first:] += column[: rounds - first]
    return float(np.linalg.norm(moved))


@dataclass(frozen=True)
class Correlated(OnceADay):
    """One fixed round of each day; noise correlated over the rounds by the square root of the total."""

    name: str = "correlated"
    fixed_slot: ClassVar[bool] = True

    def sensitivity(self, rounds: int) -> float:
        """Return how far one device moves the white draws of `rounds` rounds, in clip norms."""
        return self.settings.reach * root_sensitivity(rounds, self.period)

    def terms(self, round_: int) -> Terms:
        """Return the draws of this round and of those before it, with the weights of C^-1."""
        weights = inverse_root(min(round_, BAND))
        return round_ - np.arange(len(weights)), weights

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds as the one Gaussian that they are."""
        return one_gaussian(self, rounds)


def one_gaussian(mechanism: OnceADay, rounds: int) -> "DpEvent":
    """Return the event of a mechanism that is one Gaussian on combinations of the rounds."""
    import dp_accounting

    if not mechanism.private:
        return dp_accounting.NonPrivateDpEvent()
    if rounds <= 0:
        return dp_accounting.NoOpDpEvent()
    return dp_accounting.GaussianDpEvent(mechanism.noise_multiplier / mechanism.sensitivity(rounds))
