"""The two files that a run reads, out of a published log; and a popularity that the server may know."""

import csv
import hashlib
import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.recommendation.sequences import LEARNING_SHARE
from fedbert.recommendation.shown import COLUMN
from fedbert.recommendation.tables import MIN_ITEMS

ITEMS = "items.csv"
INTERACTIONS = "interactions.parquet"

PRIOR = 0.5
"""Added to each item's count: one that no public user chose can still be drawn."""


@dataclass(frozen=True)
class PublishedLog:
    """A published log.

    items: columns item and text, each id once. log: user, item, timestamp (Unix seconds) and, as far as the
    set has them, rating and candidates; ordered by user and time. lines: what was read, for people.
    """

    items: pa.Table
    log: pa.Table
    lines: tuple[str, ...]


def with_public_users(found: PublishedLog, share: float) -> PublishedLog:
    """Return the log without a `share` of its users; their choices are counted as the items' popularity.

    Who is public follows from the id alone: its BLAKE2b hash is below `share`. Choices in the last part of
    the log, which a run evaluates on, are not counted. Raises FedbertError if nobody is left on a side.
    """
    if share == 0.0:
        return found
    if not 0.0 < share < 1.0:
        raise invalid("public_users", share, "be from 0 to less than 1", "0.1 makes a tenth of them public")
    codes = found.log["user"].combine_chunks().dictionary_encode()
    of_user = np.array([_position(name) < share for name in codes.dictionary.to_pylist()])
    public = of_user[np.asarray(codes.indices)]
    if not of_user.any() or of_user.all():
        left = "none of them" if of_user.all() else "all of them"
        rule = f"leave users on both sides ({left} of {len(of_user):,} would be private)"
        raise invalid("public_users", share, rule, "choose another share")
    time = np.asarray(found.log["timestamp"])
    chosen = np.ones(len(time), np.bool_)
    if COLUMN in found.log.column_names:
        chosen = np.asarray(pc.not_equal(found.log[COLUMN], ""))
    cut = np.sort(time[chosen])[int(LEARNING_SHARE * chosen.sum())]
    counted = public & (time < cut)
    count = _count(found, counted)
    line = (
        f"{int(of_user.sum()):,} of {len(of_user):,} users are public and not on phones: their "
        f"{int(counted.sum()):,} choices in the first {LEARNING_SHARE:.0%} of the log make the popularity"
    )
    return PublishedLog(
        found.items.append_column("popularity", pa.array(count + PRIOR)),
        found.log.filter(pa.array(~public)),
        (*found.lines, line),
    )


def _position(user: str) -> float:
    """Return a place in [0, 1) that follows from the id alone."""
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=6).digest()) / 2**48


def _count(found: PublishedLog, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    place = pc.index_in(found.log["item"], value_set=found.items["item"].combine_chunks())
    return np.bincount(np.asarray(place)[rows], minlength=found.items.num_rows).astype(np.float64)


def contents(found: PublishedLog) -> dict[str, bytes]:
    """Return the files of the world by name."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.items.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in found.items.columns), strict=True))
    table = pa.BufferOutputStream()
    pq.write_table(found.log, table, compression="zstd")
    return {ITEMS: text.getvalue().encode(), INTERACTIONS: table.getvalue().to_pybytes()}


def too_few(found: PublishedLog) -> str | None:
    """Return the line on a catalogue that is too small for a run, None for one that is not."""
    if found.items.num_rows >= MIN_ITEMS:
        return None
    return f"a run needs at least {MIN_ITEMS} items, and this set has {found.items.num_rows}"
