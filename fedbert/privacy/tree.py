"""The mechanism `tree`: the binary tree of DP-FTRL, the textbook's way to noise running totals.

The nodes of a binary tree over the rounds are sums of 1, 2, 4, ... rounds. Each gets noise of its own once,
and the total of t rounds is that of the nodes by t's binary digits: log2(t) draws and not t (Dwork et al.
2010; Chan, Shi and Song 2011; Kairouz et al. 2021, "Practical and private (deep) learning without sampling or
shuffling"). A round's noise is the difference of two totals' noise. Without Honaker's reuse of lower nodes.

A device keeps its slot of the day. Only nodes that some total uses are ever noised, left children that is;
what a device adds to each is how often it joined below it, so its cost is the norm of these counts.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedbert.privacy.correlated import one_gaussian
from fedbert.privacy.gaussian import Terms
from fedbert.privacy.once_a_day import OnceADay

if TYPE_CHECKING:
    from dp_accounting import DpEvent

_LEVEL_BITS = 6
"""Bits of a draw's number that say the level of its node; the rest are the node's last round."""


def nodes(rounds: int) -> list[tuple[int, int]]:
    """Return (last round, level) of the nodes that make up the total of `rounds` rounds."""
    found, end = [], rounds
    while end:
        level = (end & -end).bit_length() - 1
        found.append((end, level))
        end -= 1 << level
    return found


@lru_cache(maxsize=4096)
def tree_sensitivity(rounds: int, period: int) -> float:
    """Return how far a device that joins every `period` rounds moves the nodes of `rounds` rounds."""
    worst = 0
    for slot in range(min(period, rounds)):
        joined = np.zeros(rounds + 1, np.int64)
        joined[slot + 1 :: period] = 1
        before = np.cumsum(joined)
        total = 0
        for level in range(rounds.bit_length()):
            # Left children: the odd ones of a level; a right child is no part of any total.
            ends = np.arange(1 << level, rounds + 1, 2 << level)
            total += int(((before[ends] - before[ends - (1 << level)]) ** 2).sum())
        worst = max(worst, total)
    return float(np.sqrt(worst))


@dataclass(frozen=True)
class Tree(OnceADay):
    """One fixed round of each day; the noise of the binary tree's totals."""

    name: str = "tree"
    fixed_slot: ClassVar[bool] = True

    def sensitivity(self, rounds: int) -> float:
        """Return how far one device moves the white draws of `rounds` rounds, in clip norms."""
        return self.settings.reach * tree_sensitivity(rounds, self.period)

    def terms(self, round_: int) -> Terms:
        """Return the draws of the nodes that this round's total has, less those of the total before."""
        now, before = set(nodes(round_)), set(nodes(round_ - 1))
        changed = [(node, 1.0) for node in sorted(now - before)]
        changed += [(node, -1.0) for node in sorted(before - now)]
        draws = [end << _LEVEL_BITS | level for (end, level), _ in changed]
        return np.array(draws), np.array([weight for _, weight in changed])

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds as the one Gaussian that they are."""
        return one_gaussian(self, rounds)
