"""What the server keeps of the rounds: noisy sums per item, in the space of one release.

Sums are only ever divided by public numbers (the expected reports), never by the number of devices that
really took part. When devices report in a new release's space, the evidence follows by a rotation that public
texts fix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid
from fedbert.signals.prototypes.contribution import PrototypeLayout, split_sum


@dataclass(frozen=True)
class Evidence:
    """Noisy sums of all rounds so far.

    `sums` `[item, dim]` of text vectors and `counts` `[item]` of clicks carry Gaussian noise of variance
    `sum_variance` and `count_variance` on each number (`count_variance` is infinite if the layout has no
    counts). `expected_reports` is the public number of reports that the sampling leads one to expect.
    `crowding` is how many items share a row of the sum, 1 where each has its own.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    sum_variance: float
    count_variance: float
    expected_reports: float
    crowding: float


def no_evidence(layout: PrototypeLayout) -> Evidence:
    """Return the evidence before the first round."""
    return Evidence(
        sums=np.zeros((layout.items, layout.dim)),
        counts=np.zeros(layout.items),
        sum_variance=0.0,
        # Counts that are never sent are known to no precision at all.
        count_variance=0.0 if layout.beta else np.inf,
        expected_reports=0.0,
        crowding=layout.items / layout.rows,
    )


def add_round(
    evidence: Evidence,
    layout: PrototypeLayout,
    total: NDArray[np.float64],
    total_sigma: float,
    expected_reports: float,
) -> Evidence:
    """Return `evidence` with a round's decoded noisy sum `total` `[size]` added.

    `total_sigma` (>= 0) is the standard deviation of the noise on each coordinate of the evidence's sums with
    this round in them, `expected_reports` (> 0) is q times the devices of the fleet. The round must be in the
    evidence's space; see `rotated`.
    """
    if total.shape != (layout.size,):
        raise FedbertError(f"a round's sum has {total.shape[0]} numbers, its layout {layout.size}")
    if not total_sigma >= 0:
        raise invalid("total_sigma", total_sigma, "be >= 0")
    if not expected_reports > 0:
        raise invalid("expected_reports", expected_reports, "be > 0", "it is q times the devices")
    # Rounds add up with equal weight, since their clicks count alike: the noise of totals is what the
    # mechanism keeps low.
    sums, counts = split_sum(layout, total)
    return Evidence(
        sums=evidence.sums + sums,
        counts=evidence.counts + counts,
        sum_variance=total_sigma**2,
        count_variance=(total_sigma / layout.beta) ** 2 if layout.beta else np.inf,
        expected_reports=evidence.expected_reports + expected_reports,
        crowding=evidence.crowding,
    )


def rotated(evidence: Evidence, turn: NDArray[np.float64]) -> Evidence:
    """Return `evidence` in the space that the orthogonal matrix `turn` leads to."""
    return Evidence(
        sums=evidence.sums @ turn,
        counts=evidence.counts,
        sum_variance=evidence.sum_variance,
        count_variance=evidence.count_variance,
        expected_reports=evidence.expected_reports,
        crowding=evidence.crowding,
    )
