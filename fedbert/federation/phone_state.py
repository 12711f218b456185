"""What phones remember between rounds: a row per device, so that any part of a fleet can be cut out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.federation.protocol import Arrays

NO_RELEASE = -1

_ROWS_PER_PART = 1_000_000

COLUMNS = ("installed", "waiting", "text", "item", "rank", "release", "selection")
"""The arrays of a state with a row per device; the others are sums over its devices."""


@dataclass
class PhoneState:
    """The memory of some phones; histories have the newest click last.

    `pooled_sums` and `pooled_clicks` are the simulator's own: the sums of all clicks so far, for the
    pooled-data bound.
    """

    installed: NDArray[np.int16]  # [device] release number, -1 none
    waiting: NDArray[np.bool_]  # [device] joined a round of a sum that still waits, and has not reported
    text: NDArray[np.int32]  # [device, history] text of a remembered click, -1 none
    item: NDArray[np.int32]  # [device, history] clicked item
    rank: NDArray[np.int8]  # [device, history] rank of the clicked item from 0, -1 where nothing was scored
    release: NDArray[np.int16]  # [device, history] release that had ranked it
    selection: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    """[device, column] what a phone keeps for a selection that learns; no column for any other."""
    pooled_sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))  # [item, dim]
    pooled_clicks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [item]

    @classmethod
    def empty(cls, devices: int, history: int, items: int, dim: int, columns: int = 0) -> "PhoneState":
        """Return the memory of new phones, with `columns` for the selection."""
        return cls(
            installed=np.full(devices, NO_RELEASE, np.int16),
            waiting=np.zeros(devices, np.bool_),
            text=np.full((devices, history), -1, np.int32),
            item=np.full((devices, history), -1, np.int32),
            rank=np.full((devices, history), -1, np.int8),
            release=np.full((devices, history), NO_RELEASE, np.int16),
            selection=np.zeros((devices, columns), np.int32),
            pooled_sums=np.zeros((items, dim), np.int64),
            pooled_clicks=np.zeros(items, np.int64),
        )

    def arrays(self) -> Arrays:
        """Return the state as named arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "PhoneState":
        """Return a copy of the state that `arrays()` gave."""
        return cls(**{name: array.copy() for name, array in arrays.items()})

    def installed_counts(self, newest: int) -> NDArray[np.int64]:
        """Return devices without a release, and on each release up to `newest`: `[1 + release]`."""
        counts = np.zeros(newest + 2, np.int64)
        # In parts: a count of 100 million devices at once would need a gigabyte beside them.
        for start in range(0, len(self.installed), _ROWS_PER_PART):
            part = self.installed[start : start + _ROWS_PER_PART].astype(np.int64)
            counts += np.bincount(part + 1, minlength=newest + 2)
        return counts

    def remember(
        self,
        rows: NDArray[Any],
        text: NDArray[Any],
        item: NDArray[Any],
        rank: NDArray[Any],
        release: NDArray[Any],
    ) -> None:
        """Append one click to each device of `rows` (each at most once), dropping its oldest."""
        for column, values in (
            (self.text, text),
            (self.item, item),
            (self.rank, rank),
            (self.release, release),
        ):
            column[rows, :-1] = column[rows, 1:]
            column[rows, -1] = values

    def pool(self, vectors: NDArray[np.int8], text: NDArray[Any], item: NDArray[Any]) -> None:
        """Add clicks to the pooled sums; `vectors` `[text, dim]` are those of release 0."""
        from fedbert.kernels.sums import add_rows

        add_rows(vectors, text, item, self.pooled_sums)
        self.pooled_clicks += np.bincount(item, minlength=len(self.pooled_clicks))


def cut(parts: Sequence[tuple[int, PhoneState]], first: int, count: int, into: PhoneState) -> PhoneState:
    """Return `into` with the memory of devices `first` .. `first + count - 1` from neighbouring ranges.

    `parts` are (first device, state), in order, and cover the range; `into` has room for it. A part's pooled
    sums go to the range that holds the part's first device, so that they are counted once however the fleet
    is cut.
    """
    for start, state in parts:
        low, high = max(first - start, 0), min(first + count - start, len(state.installed))
        if low < high:
            for name in COLUMNS:
                rows = getattr(state, name)[low:high]
                getattr(into, name)[start + low - first : start + high - first] = rows
        if first <= start < first + count:
            into.pooled_sums += state.pooled_sums
            into.pooled_clicks += state.pooled_clicks
    return into
