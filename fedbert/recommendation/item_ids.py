"""The ids of a user's catalogue, and where those of a log stand in it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedbert.user_tables import as_whole


class Places(NamedTuple):
    """Places of ids in the catalogue, -1 for none; `missing` are the places of those among the ids."""

    place: NDArray[np.int64]
    missing: NDArray[np.int64]


@dataclass(frozen=True)
class ItemIds:
    """The ids of a catalogue, `[item]` as text, each once."""

    values: pa.Array

    def __len__(self) -> int:
        return len(self.values)

    def places(self, ids: pa.Array, mended: dict[str, int], what: str) -> Places:
        """Return where `ids` stand; ``7.0`` is ``7`` where only one of the two is an item.

        `mended` takes how many ids were found so, under the name `what`.
        """
        found = pc.index_in(ids, value_set=self.values)
        before = found.null_count
        if before:
            whole = as_whole(self.values)
            if pc.count_distinct(whole).as_py() == len(self):
                found = pc.coalesce(found, pc.index_in(as_whole(ids), value_set=whole))
            if before > found.null_count:
                mended[f"{what} written as decimals in one file alone"] = before - found.null_count
        place = np.asarray(pc.fill_null(found, -1), np.int64)
        return Places(place, np.flatnonzero(place < 0))

    def hint(self, value: str) -> str:
        """Return what to do about an id that is no item: the likeliest cause, if one shows."""
        if not value:
            return "fill it in or drop the row"
        for name in self.values.to_pylist():
            if name.casefold() == value.casefold():
                return f"it is {name!r} there: capitals count"
            if name.lstrip("0") == value.lstrip("0"):
                return f"it is {name!r} there: leading zeros count, so save ids as text"
        return "add it or drop the row"
