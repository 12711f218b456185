"""The world `interactions`: a catalogue and a click log out of a user's own CSV or Parquet files.

items: columns ``item`` (any id), ``text`` (its written name) and, if the server knows it, ``popularity`` (any
weight >= 0, public). interactions: ``user``, ``item``, ``timestamp`` (Unix seconds or ISO 8601); a ``rating``
column may be there and is not used. Other columns are ignored. Every mistake is one `FedbertError`.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid
from fedbert.recommendation.catalogue import NEIGHBOURS, PublicData, make_catalogue
from fedbert.recommendation.names import nearest_by_name
from fedbert.recommendation.sequences import LEARNING_SHARE, SequenceWorld, make_sequence_world
from fedbert.results import CANDIDATES
from fedbert.table_files import bad_row, read_table, strings

MIN_ITEMS = max(CANDIDATES, NEIGHBOURS + 1)
"""A session ranks CANDIDATES items, half of them drawn from the target item's neighbours."""


def read_public(items: Path | None) -> PublicData:
    """Return the public part, out of the catalogue file alone. Raises `FedbertError` if it is wrong."""
    return _catalogue(items)[0]


def load_interactions(items: Path | None, interactions: Path | None) -> SequenceWorld:
    """Return the world of the two files. Raises `FedbertError` for each way they can be wrong."""
    public, ids = _catalogue(items)
    path = _given("interactions", interactions)
    table = read_table("interactions", path, ("user", "item", "timestamp"))
    names = strings(table["item"])
    place = pc.index_in(names, value_set=pa.array(ids, pa.string()))
    if place.null_count:
        row = pc.index(pc.is_null(place), True).as_py()
        raise bad_row(
            path, row, "item", names[row].as_py(), "be an item of the items file", "add it or drop the row"
        )
    users = strings(table["user"])
    empty = pc.index(pc.equal(pc.utf8_trim_whitespace(users), ""), True).as_py()
    if empty >= 0:
        raise bad_row(path, empty, "user", "", "name a user", "fill it in or drop the row")
    time = _times(path, table["timestamp"])
    user = np.unique(np.array(users.to_pylist()), return_inverse=True)[1].astype(np.int64)
    item = np.asarray(place, np.int64)
    cut = np.sort(time)[int(LEARNING_SHARE * len(time))]
    order = np.lexsort((np.arange(len(time)), time, user))
    world = make_sequence_world(public, user[order], item[order], (time < cut)[order])
    if world.users == 0:
        raise invalid(
            "interactions",
            str(path),
            f"have a user with two different items in the first {LEARNING_SHARE:.0%} of the time",
            "give a longer log",
        )
    return world


def _catalogue(items: Path | None) -> tuple[PublicData, list[str]]:
    path = _given("items", items)
    table = read_table("items", path, ("item", "text"))
    ids = strings(table["item"]).to_pylist()
    texts = [" ".join(text.split()) for text in strings(table["text"]).to_pylist()]
    seen: set[str] = set()
    for row, (name, text) in enumerate(zip(ids, texts, strict=True)):
        if not name.strip():
            raise bad_row(path, row, "item", name, "not be empty", "give the item an id")
        if name in seen:
            raise bad_row(path, row, "item", name, "be there once", "keep one of its rows")
        if not text:
            raise bad_row(path, row, "text", "", "not be empty", f"write a name for item {name!r}")
        seen.add(name)
    if len(ids) < MIN_ITEMS:
        raise invalid(
            "items", str(path), f"have at least {MIN_ITEMS} items (has {len(ids)})", "give a larger catalogue"
        )
    popularity, kind = _popularity(path, table)
    catalogue = make_catalogue(texts, popularity, nearest_by_name(texts))
    manifest = {"world": "interactions", "items": len(ids), "popularity": kind}
    general = np.full(len(texts), -1, np.int32)
    split = ("general",) * len(texts)
    return PublicData("interactions", catalogue, catalogue.texts, general, split, manifest), ids


def _popularity(path: Path, table: pa.Table) -> tuple[NDArray[np.float64], str]:
    if "popularity" not in table.column_names:
        return np.full(table.num_rows, 1.0 / table.num_rows), "equal: the items file has no popularity column"
    column = strings(table["popularity"])
    weights = np.empty(table.num_rows)
    for row, value in enumerate(column.to_pylist()):
        try:
            weights[row] = float(value)
        except ValueError:
            weights[row] = np.nan
        if not (np.isfinite(weights[row]) and weights[row] >= 0):
            raise bad_row(
                path, row, "popularity", value, "be a number >= 0", "use a count, or leave the column out"
            )
    if weights.sum() <= 0:
        raise invalid("items", str(path), "have a popularity > 0 somewhere", "or leave the column out")
    return weights / weights.sum(), "the items file's column, public"


def _times(path: Path, column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return timestamps as Unix seconds [n]."""
    if pa.types.is_timestamp(column.type) and not column.null_count:
        return np.asarray(column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64()))
    values = strings(column)
    try:
        return np.asarray(values.cast(pa.int64()))
    except pa.ArrowInvalid:
        pass
    seconds = np.empty(len(values), np.int64)
    for row, value in enumerate(values.to_pylist()):
        try:
            seconds[row] = _seconds(value)
        except (ValueError, OverflowError):
            rule = "be Unix seconds or ISO 8601, as 1365029107 or 2013-04-03T22:45:07"
            raise bad_row(path, row, "timestamp", value, rule, "mend or drop the row") from None
    return seconds


def _seconds(value: str) -> int:
    try:
        return int(float(value))
    except ValueError:
        moment = datetime.fromisoformat(value.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _given(name: str, path: Path | None) -> Path:
    if path is None:
        raise FedbertError(f"world 'interactions' needs --{name} FILE; give a CSV or Parquet file")
    return path
