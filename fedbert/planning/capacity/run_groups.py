"""Sums over random groups of a tier's phones as a run kept them, checked: a damaged one is refused."""

import numpy as np

from fedbert.intervals import Array
from fedbert.results import GROUP_SUMS, TierRow

LEAST_GROUPS = 2


def run_groups(row: TierRow) -> dict[str, Array]:
    """Return `[group]` sums of a tier by `GROUP_SUMS`; empty for a run from before they were kept.

    Raises ValueError, KeyError or OverflowError for sums that no run has.
    """
    kept = row.get("groups", {})
    if not kept:
        return {}
    sums = {name: np.array([float(value) for value in kept[name]], np.float64) for name in GROUP_SUMS}
    groups = len(sums["devices"])
    for name, values in sums.items():
        if groups < LEAST_GROUPS or values.shape != (groups,) or not (values >= 0).all():
            raise ValueError(f"groups.{name} must be sums >= 0 of as many groups as the others, 2 at least")
    if not sums["devices"].any():
        raise ValueError("groups.devices must have devices")
    return sums
