"""The simulator's own view of a run: it sums the truth parts of the reports and may see everything.

Nothing here is part of the simulated product, and nothing from here goes back to `server.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.federation import shard_report as r
from fedbert.federation.protocol import Arrays
from fedbert.federation.sums_apart import SumsApart


@dataclass(frozen=True)
class RoundTruth:
    """The truth of one round, over all shards that answered."""

    round: int
    truth: Arrays
    installed: dict[str, int]
    """Devices by installed release, at the round's end."""
    missing: int = 0
    """Devices of shards that gave no answer: they are in no other figure of the round."""
    arms_differ: bool = False
    """Whether a treated device had another release than 0 when the round began."""
    apart: SumsApart | None = None
    """What honest and what poisoned phones sent; None where none is poisoned."""

    def counts(self) -> dict[str, int]:
        """Return the counts by their names (`report.COHORT_KEYS`)."""
        return dict(zip(r.COHORT_KEYS, (int(value) for value in self.truth["counts"]), strict=True))


def observe(
    round_: int,
    truth: Arrays,
    installed: NDArray[np.int64],
    missing: int,
    arms_differ: bool = False,
    apart: SumsApart | None = None,
) -> RoundTruth:
    """Return the truth of a round; `installed` counts devices without a release, and on each."""
    names = ["none", *(str(number) for number in range(len(installed) - 1))]
    shares = {name: int(count) for name, count in zip(names, installed, strict=True) if count}
    return RoundTruth(round_, truth, shares, missing, arms_differ, apart)


def add_truth(totals: Arrays, seen: RoundTruth) -> Arrays:
    """Return the sums over rounds 1 .. N; those of round 0 stand alone until round 1 is there.

    ``arm_ranks`` is summed only over rounds in which the arms can differ: the others would hide what does.
    """
    truth = seen.truth
    if not seen.arms_differ:
        truth = truth | {"arm_ranks": np.zeros_like(truth["arm_ranks"])}
    return r.add(None, truth) if seen.round <= 1 else r.add(r.add(None, totals), truth)
