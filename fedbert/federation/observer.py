"""The simulator's own view of a run: it sums the truth parts of the reports and may see everything.

Nothing here is part of the simulated product, and nothing from here goes back to `server.py`.
"""

from dataclasses import dataclass, field

import numpy as np

from fedbert.federation import report as r
from fedbert.federation.wire import Arrays


@dataclass
class RoundTruth:
    """The truth of one round, over all shards."""

    round: int
    truth: Arrays
    installed: dict[str, int]

    def counts(self) -> dict[str, int]:
        """Return the counts by their names (`report.COHORT_KEYS`)."""
        return dict(zip(r.COHORT_KEYS, (int(value) for value in self.truth["counts"]), strict=True))


@dataclass
class Observer:
    """Collects what a person will read."""

    rounds: list[RoundTruth] = field(default_factory=list)
    totals: Arrays | None = None

    def add(self, round_: int, truth: Arrays, installed: np.ndarray) -> RoundTruth:
        """Take the truth of a round, and return it with the share of devices on each release."""
        names = ["none", *(str(number) for number in range(len(installed) - 1))]
        seen = RoundTruth(
            round_,
            truth,
            {name: int(count) for name, count in zip(names, installed, strict=True) if count},
        )
        self.rounds.append(seen)
        if round_ > 0:
            self.totals = r.add(self.totals, truth)
        return seen
