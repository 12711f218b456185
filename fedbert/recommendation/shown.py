"""Lists that users really chose from: sessions rank the items that were shown, instead of drawn ones.

A row of the log with a cell in column ``candidates`` was chosen from that list. A session ranks as many items
as any other (`results.CANDIDATES`): its target item and a random part of the others that were shown; drawn
items fill up where fewer were shown.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedbert.recommendation.item_ids import ItemIds
from fedbert.results import CANDIDATES, ShownRow
from fedbert.user_tables import UserTable, as_json

COLUMN = "candidates"


@dataclass(frozen=True)
class ShownFacts:
    """What was read of the lists. rows have one, history_rows have none.

    median_items counts the items of a list, the chosen one among them. rows_filled have fewer than
    `CANDIDATES`; filled_share is the share of all places beside the chosen items that drawn items take, 0..1.
    """

    rows: int
    history_rows: int
    median_items: float
    rows_filled: int
    filled_share: float

    def row(self) -> ShownRow:
        """Return the facts as run.json has them."""
        return cast(ShownRow, as_json(self))

    def line(self) -> str:
        """Return the facts in words."""
        text = (
            f"{self.rows:,} rows have a list in column {COLUMN}, of {self.median_items:g} items (median): a "
            f"session ranks {CANDIDATES} of it"
        )
        if self.rows_filled:
            text += (
                f"; {self.rows_filled:,} lists are shorter, and {self.filled_share:.0%} of all places are "
                "filled with drawn items"
            )
        if self.history_rows:
            text += f"; {self.history_rows:,} rows without a list are history and are not ranked"
        return text


@dataclass(frozen=True)
class Shown:
    """The items shown beside the chosen one: those of row r are `items[start[r] : start[r] + count[r]]`.

    items: int32, distinct within a row, without the row's own. is_list [row] is whether the row has a list.
    """

    items: NDArray[np.int32]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    is_list: NDArray[np.bool_]

    def ordered(self, rows: NDArray[np.int64]) -> "Shown":
        """Return the lists of `rows`, in their order."""
        return Shown(self.items, self.start[rows], self.count[rows], self.is_list[rows])

    def facts(self) -> ShownFacts:
        """Return what a run says of the lists; there must be one."""
        count = self.count[self.is_list]
        missing = np.maximum(CANDIDATES - 1 - count, 0)
        return ShownFacts(
            rows=len(count),
            history_rows=len(self.count) - len(count),
            median_items=float(np.median(count)) + 1.0,
            rows_filled=int(np.count_nonzero(missing)),
            filled_share=float(missing.mean()) / (CANDIDATES - 1),
        )


def read_shown(table: UserTable, ids: ItemIds, item: NDArray[np.int64], mended: dict[str, int]) -> Shown:
    """Return the lists of a log whose rows chose `item` [row].

    Args:
        table: the log, with column `COLUMN`: ids separated by blanks; empty for history.
        ids: the ids of the catalogue.
        item: the place of each row's item in it.
        mended: takes how many ids were taken as the same.

    Raises:
        FedbertError: for an id that is no item's, a list without the row's item, and a log without lists.
    """
    text = pc.utf8_trim_whitespace(table.text(COLUMN))
    is_list = np.asarray(pc.not_equal(text, ""))
    if not is_list.any():
        raise table.refused(f"have a list in column {COLUMN!r} somewhere", "fill it in, or leave it out")
    words = pc.utf8_split_whitespace(text)
    length = np.where(is_list, np.asarray(pc.list_value_length(words)), 0)
    flat = pc.list_flatten(words.filter(pa.array(is_list)))
    row = np.repeat(np.arange(len(item)), length)
    found = ids.places(flat, mended, f"ids in column {COLUMN}")
    if len(found.missing):
        first = int(found.missing[0])
        rule = f"hold items of the items file ({len(found.missing):,} of {len(flat):,} ids are of none)"
        value = flat[first].as_py()
        raise table.bad(int(row[first]), COLUMN, value, rule, ids.hint(value))
    own = found.place == item[row]
    held = np.zeros(len(item), np.bool_)
    held[row[own]] = True
    if (lacking := np.flatnonzero(is_list & ~held)).size:
        first = int(lacking[0])
        rule = f"hold the row's own item ({lacking.size:,} of {int(is_list.sum()):,} lists do not)"
        raise table.bad(first, COLUMN, text[first].as_py(), rule, "list all items that were shown")
    pairs = np.unique(row[~own] * np.int64(len(ids)) + found.place[~own])
    count = np.bincount(pairs // len(ids), minlength=len(item))
    return Shown((pairs % len(ids)).astype(np.int32), np.cumsum(count) - count, count, is_list)


def shown_draws(candidates: int) -> int:
    """Return how many uniforms `with_shown` takes per session."""
    return 2 * candidates - 1


def with_shown(
    shown: Shown,
    row: NDArray[np.int64],
    item: NDArray[np.int32],
    drawn: NDArray[np.int32],
    draw: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Return `[s, C]` distinct items for sessions that chose `item` [s] in `row` [s], in random order.

    The target item; of the others that were shown all, or C - 1 of them, each equally likely; then items of
    `drawn` [s, C] until there are C. `draw` is `[s, shown_draws(C)]` in (0, 1).
    """
    size = drawn.shape[1]
    chosen = _sample(shown, row, draw[:, : size - 1])
    pool = np.concatenate([item[:, None], chosen, drawn], axis=1)
    new = pool >= 0
    for column in range(size, pool.shape[1]):
        new[:, column] = (pool[:, :size] != pool[:, column, None]).all(axis=1)
    kept = new & (np.cumsum(new, axis=1) <= size)
    distinct = pool[kept].reshape(-1, size)
    return np.take_along_axis(distinct, np.argsort(draw[:, size - 1 :], axis=1), axis=1)


def _sample(shown: Shown, row: NDArray[np.int64], draw: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return `[s, n]` of the items beside the chosen one, n uniforms per session; -1 where there are fewer.

    Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance"): each set of n is equally likely.
    """
    count, start = shown.count[row], shown.start[row]
    most = draw.shape[1]
    place = np.full(draw.shape, -1, np.int64)
    for column in range(most):
        # Lists of `most` items or fewer are taken whole, in their order.
        last = np.maximum(count - most, 0) + column
        pick = np.where(count > most, (draw[:, column] * (last + 1)).astype(np.int64), last)
        taken = (place[:, :column] == pick[:, None]).any(axis=1)
        place[:, column] = np.where(last < count, np.where(taken, last, pick), -1)
    if not len(shown.items):  # every list holds its own item alone
        return np.full(draw.shape, -1, np.int32)
    at = np.minimum(start[:, None] + np.maximum(place, 0), len(shown.items) - 1)
    return np.where(place >= 0, shown.items[at], -1).astype(np.int32)
