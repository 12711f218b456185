"""Rows for the items of a large catalogue: a count sketch that phones and server agree on without a message.

With as many rows as items each item has its own; with fewer, items share rows with random signs (Charikar et
al. 2002), so that the other items of a row are noise about zero.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.randomness import ONCE, Purpose, words

SKETCH_ROWS = 512
"""Rows of a dense vector where the catalogue has more items: at width 96 a report stays at 200 kB."""

# Public and the same in every run, so that phones and server agree without a message.
_SKETCH_SEED = 1


class Sketched(Protocol):
    """A layout whose items have rows."""

    @property
    def items(self) -> int:
        """Items of the catalogue."""
        ...

    @property
    def rows(self) -> int:
        """Rows that they share, at most one each."""
        ...


def rows_for(items: int, rows: int | None) -> int:
    """Return `rows`, by default one per item or SKETCH_ROWS if that is fewer; raises FedbertError."""
    if items < 1:
        raise invalid("items", items, "be >= 1")
    used = min(items, SKETCH_ROWS) if rows is None else rows
    if not 1 <= used <= items:
        raise invalid("rows", rows, f"be >= 1 and <= items (= {items})")
    return used


def sketch(layout: Sketched) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each item's row and its sign, 1 or -1: `[item]`, `[item]`; public and the same in every run."""
    if layout.rows == layout.items:
        return np.arange(layout.items), np.ones(layout.items, np.int64)
    drawn = words(_SKETCH_SEED, Purpose.SKETCH, ONCE, 0, layout.items, 2)
    rows = (drawn[:, 0] % np.uint64(layout.rows)).astype(np.int64)
    # The top bit of a word of its own: the row's word must say nothing of the sign.
    return rows, np.where(drawn[:, 1] >> np.uint64(63), 1, -1)
