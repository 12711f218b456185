"""What phones of a tier did and spent, summed over random groups of them: how sure the tier's means are.

Figures of one phone in several rounds depend on each other, so counts of sessions or reports say too little
about the error of a mean over them. Groups of whole phones do not: a phone stays in its group, and which that
is has nothing to do with it (Wolter 2007, "Introduction to Variance Estimation", random groups).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedbert.results import GROUP_SUMS

GROUPS = 32
"""Groups of a tier: the error of a mean is then known to about an eighth of it."""


def empty_groups(tiers: int) -> NDArray[np.int64]:
    """Return sums `[tier, group, GROUP_SUMS]` of nothing."""
    return np.zeros((tiers, GROUPS, len(GROUP_SUMS)), np.int64)


def add_groups(
    total: NDArray[np.int64],
    first: int,
    tier: NDArray[np.integer],
    spent: Mapping[str, NDArray[np.integer]],
) -> None:
    """Add what the devices from `first` on did in a round to the sums `total`.

    `tier` `[device]`; `spent` has amounts `[device]` by `GROUP_SUMS` but for the devices themselves.
    """
    cell = tier.astype(np.intp) * GROUPS + (first + np.arange(len(tier))) % GROUPS
    by_cell = total.reshape(-1, len(GROUP_SUMS))
    by_cell[:, GROUP_SUMS.index("devices")] += np.bincount(cell, minlength=len(by_cell))
    for name, amounts in spent.items():
        rows = np.flatnonzero(amounts)  # few: most devices do nothing in a round
        np.add.at(by_cell[:, GROUP_SUMS.index(name)], cell[rows], amounts[rows])


def group_row(total: NDArray[np.int64]) -> dict[str, list[int]]:
    """Return the sums `[group, GROUP_SUMS]` of one tier by name, a number a group."""
    return dict(zip(GROUP_SUMS, total.T.tolist(), strict=True))
