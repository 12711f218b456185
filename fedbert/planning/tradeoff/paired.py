"""Differences between arms of a grid, paired by seed.

Runs of one seed share users, tastes, sessions and histories, so most of what makes seeds differ cancels in a
difference. Each is a mean over seeds with Student's t interval.
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fedbert.intervals import t_interval
from fedbert.planning.tradeoff.arms import PUBLIC

if TYPE_CHECKING:
    import pandas as pd

Reference = Literal["no_privacy", "public_only", "no_update"]
"""What an arm is held against: the same signal and mechanism without noise, the same updates without signals,
and release 0."""

REFERENCES: tuple[Reference, ...] = ("no_privacy", "public_only", "no_update")
PAIRED_METRICS = ("ndcg@10", "auc")


def column(metric: str, reference: Reference) -> str:
    """Return the name of a difference: the arm's figure minus the reference's, of the same seed."""
    return f"{metric}_minus_{reference}"


PAIRED = tuple(column(metric, reference) for metric in PAIRED_METRICS for reference in REFERENCES)
"""Columns of the frontier; each has `_low` and `_high` beside it."""

Verdict = Literal["more", "less", "not resolved"]
"""Whether a difference's interval lies above zero, below it, or holds it."""


def verdict(value: float, low: float, high: float) -> Verdict:
    """Return what an interval says; one that is missing (NaN, one seed) resolves nothing."""
    if low > 0:
        return "more"
    return "less" if high < 0 else "not resolved"


def references(cells: "pd.DataFrame", signal: str, mechanism: str) -> "dict[Reference, pd.DataFrame]":
    """Return the cells that an arm of `signal` and `mechanism` is held against, by seed.

    A reference without cells is left out. That of release 0 stands in each cell's own row.
    """
    free = cells[cells["epsilon"].isna()].set_index("seed")
    own = free[(free["signal"] == signal) & (free["mechanism"] == mechanism)]
    public = free[free["signal"] == PUBLIC]
    found: dict[Reference, pd.DataFrame] = {"no_privacy": own, "public_only": public}
    return {name: frame for name, frame in found.items() if len(frame)}


def paired_columns(group: "pd.DataFrame", cells: "pd.DataFrame") -> dict[str, float]:
    """Return `PAIRED` with their intervals of one arm's cells `group`; NaN where there is no reference.

    An arm is not held against itself.
    """
    signal, mechanism = group["signal"].iloc[0], group["mechanism"].iloc[0]
    found = references(cells, signal, mechanism)
    rows: dict[str, float] = {}
    for metric in PAIRED_METRICS:
        own = group.set_index("seed")[metric]
        for reference in REFERENCES:
            if reference == "no_update":
                other: Any = group.set_index("seed")[f"release_0_{metric}"]
            elif reference in found and not _same(group, found[reference]):
                other = found[reference][metric]
            else:
                other = None
            rows |= _with_interval(column(metric, reference), own, other)
    return rows


def _same(group: "pd.DataFrame", reference: "pd.DataFrame") -> bool:
    """Return whether the arm is its own reference."""
    keys = ["signal", "mechanism", "budget"]
    return bool((group[keys].iloc[0] == reference[keys].iloc[0]).all())


def _with_interval(name: str, own: "pd.Series[float]", other: "pd.Series[float] | None") -> dict[str, float]:
    nothing = float("nan")
    if other is None:
        return {name: nothing, f"{name}_low": nothing, f"{name}_high": nothing}
    difference = (own - other).dropna()
    if not len(difference):
        return {name: nothing, f"{name}_low": nothing, f"{name}_high": nothing}
    found = t_interval(np.asarray(difference, np.float64))
    low, high = (nothing if end is None else end for end in (found.low, found.high))
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}
