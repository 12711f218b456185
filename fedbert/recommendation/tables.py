"""The world `interactions`: a catalogue and a click log out of a user's own CSV or Parquet files.

items: columns ``item`` (any id), ``text`` (its written name) and, if the server knows it, ``popularity`` (any
weight >= 0, public). interactions: ``user``, ``item``, ``timestamp`` (Unix time or ISO 8601), ``rating`` for
`min_rating`, and ``candidates`` where users chose from lists (`shown`). Other columns are not used, and named
in `LogFacts`. Ids are compared without blanks around them; ``7.0`` is ``7`` where only one of the two is an
item. Every mistake is one `FedbertError`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.recommendation.catalogue import NEIGHBOURS, PublicData, make_catalogue
from fedbert.recommendation.item_ids import ItemIds
from fedbert.recommendation.log_facts import RATING, CatalogueFacts, LogFacts
from fedbert.recommendation.log_times import day, read_times
from fedbert.recommendation.names import nearest_by_name
from fedbert.recommendation.sequences import LEARNING_SHARE, SequenceWorld, make_sequence_world
from fedbert.recommendation.shown import COLUMN, Shown, read_shown
from fedbert.results import CANDIDATES
from fedbert.user_tables import TableFacts, UserTable, as_whole, read_table

MIN_ITEMS = max(CANDIDATES, NEIGHBOURS + 1)
"""A session ranks CANDIDATES items, half of them drawn from the target item's neighbours."""

_MISSING = ("nan", "NaN", "NaT", "None", "NULL", "null", "<NA>")
"""What other programs write for a missing id: taken as a name, it would be the busiest user."""

Split = Literal["date", "own-time"]
"""Where learning ends: at one date for all users, or at a place of each user's own."""


def read_public(items: Path | None) -> PublicData:
    """Return the public part, out of the catalogue file alone. Raises `FedbertError` if it is wrong."""
    return _catalogue(items).public


def read_catalogue(items: Path | None) -> CatalogueFacts:
    """Return what a run reads of the catalogue file. Raises `FedbertError` if it is wrong."""
    found = _catalogue(items)
    return CatalogueFacts(found.facts, found.public.catalogue.has_popularity)


def load_interactions(
    items: Path | None, interactions: Path | None, split: Split = "date", min_rating: float | None = None
) -> SequenceWorld:
    """Return the world of the two files. Raises `FedbertError` for each way they can be wrong.

    Args:
        items: the catalogue.
        interactions: the log.
        split: 'date' ends learning at one time for all, 'own-time' after a share of each user's own rows.
        min_rating: rows whose ``rating`` is lower are left out; None: every row is a click.
    """
    catalogue = _catalogue(items)
    columns = ("user", "item", "timestamp")
    wanted = (RATING,) if min_rating is not None else ()
    table = read_table("interactions", _given("interactions", interactions), (*columns, *wanted), (COLUMN,))
    mended: dict[str, int] = {}
    item = _items(table, catalogue.ids, mended)
    shown = read_shown(table, catalogue.ids, item, mended) if COLUMN in table else None
    user = _users(table, mended)
    times = read_times(table, "timestamp")
    chosen = _liked(table, min_rating)
    dropped = {"rated lower than --min-rating": len(user) - len(chosen)}
    order = chosen[np.lexsort((chosen, times.unix_ms[chosen], user[chosen]))]
    user, item, time = user[order], item[order], times.unix_ms[order]
    # Numbered anew: users all of whose rows are rated lower have none.
    user = np.unique(user, return_inverse=True)[1].astype(np.int64)
    lists = None if shown is None else _lists(table, shown.ordered(order))
    ranked = np.ones(len(user), np.bool_) if lists is None else lists.is_list
    cut = int(np.sort(time[ranked])[int(LEARNING_SHARE * ranked.sum())]) if split == "date" else None
    learning = time < cut if cut is not None else _first_of_each(user, ranked)
    world = make_sequence_world(catalogue.public, user, item, learning, lists)
    repeats = int(np.count_nonzero((user[1:] == user[:-1]) & (item[1:] == item[:-1])))
    used = sum(int(steps.count.sum()) for steps in (world.past, world.learning, world.evaluation))
    used += world.users or 0
    dropped["repeats of the row before"] = repeats
    dropped["without a list, after the cut"] = world.unlisted
    dropped["of users who are left out"] = len(user) - repeats - world.unlisted - used
    facts = LogFacts(
        items=catalogue.facts,
        interactions=table.facts,
        has_popularity=catalogue.public.catalogue.has_popularity,
        rows_used=used,
        rows_dropped={reason: count for reason, count in dropped.items() if count},
        ids_mended=mended,
        users=world.users or 0,
        users_dropped=int(user[-1]) + 1 - (world.users or 0),
        users_evaluated=int(np.count_nonzero(world.evaluation.count)),
        first=day(int(time.min())),
        last=day(int(time.max())),
        time_unit=times.unit if times.unit[0].isupper() or times.unit == "dates" else f"Unix {times.unit}",
        split=split,
        cut=None if cut is None else day(cut),
        learning_share=LEARNING_SHARE,
        min_rating=min_rating,
        shown=None if lists is None else lists.facts(),
    )
    _refuse_without_evaluation(table, facts)
    return replace(world, read=facts)


def _refuse_without_evaluation(table: UserTable, facts: LogFacts) -> None:
    """Raise FedbertError if nobody has two items to learn from, or nobody is left to evaluate on."""
    first = f"the first {facts.learning_share:.0%}"
    of = f"of the time, before {facts.cut}" if facts.cut else "of their own rows"
    if facts.users == 0:
        raise table.refused(f"have a user with two different items in {first} {of}", "give a longer log")
    if facts.users_evaluated == 0:
        rule = f"have a user to evaluate on: one of the {facts.users:,} who learn with a further item after"
        if facts.cut is None:
            raise table.refused(f"{rule} {first} {of}", "give a longer log")
        rows = "all rows" if facts.shown is None else "the rows with a list"
        came = f"{rule} the cut ({facts.cut}, {facts.learning_share:.0%} of {rows})"
        raise table.refused(
            came, "give a longer log, or --split own-time where each user came in one sitting"
        )


def _lists(table: UserTable, shown: Shown) -> Shown:
    """Return the lists of the rows that count as clicks; raises FedbertError if none of them has one."""
    if not shown.is_list.any():
        raise table.refused(f"have a list in column {COLUMN!r} in a row that counts", "lower --min-rating")
    return shown


class _Catalogue(NamedTuple):
    public: PublicData
    ids: ItemIds
    facts: TableFacts


def _catalogue(items: Path | None) -> _Catalogue:
    table = read_table("items", _given("items", items), ("item", "text"), ("popularity",))
    ids = table.ids("item").values
    texts = [" ".join(text.split()) for text in table.text("text").to_pylist()]
    seen: set[str] = set()
    for row, (name, text) in enumerate(zip(ids.to_pylist(), texts, strict=True)):
        if not name:
            raise table.bad(row, "item", name, "not be empty", "give the item an id")
        if name in seen:
            raise table.bad(row, "item", name, "be there once", "keep one of its rows")
        if not text:
            raise table.bad(row, "text", "", "not be empty", f"write a name for item {name!r}")
        seen.add(name)
    if len(ids) < MIN_ITEMS:
        raise table.refused(f"have at least {MIN_ITEMS} items (has {len(ids)})", "give a larger catalogue")
    popularity, kind = _popularity(table)
    catalogue = make_catalogue(texts, popularity, nearest_by_name(texts))
    manifest = {"world": "interactions", "items": len(ids), "popularity": kind}
    general = np.full(len(texts), -1, np.int32)
    split = ("general",) * len(texts)
    public = PublicData("interactions", catalogue, catalogue.texts, general, split, manifest)
    return _Catalogue(public, ItemIds(ids), table.facts)


def _popularity(table: UserTable) -> tuple[NDArray[np.float64], str]:
    rows = table.facts.rows
    if "popularity" not in table:
        return np.full(rows, 1.0 / rows), "equal: the items file has no popularity column"
    weights = table.numbers("popularity")
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        row = int(np.argmin(good))
        raise table.bad_number(row, "popularity", "be a number >= 0", "use a count, or leave the column out")
    total = float(weights.sum())
    if not 0 < total < np.inf:
        raise table.refused("have a popularity > 0 somewhere, and a finite sum", "or leave the column out")
    return weights / total, "the items file's column, public"


def _items(table: UserTable, ids: ItemIds, mended: dict[str, int]) -> NDArray[np.int64]:
    """Return the place of each row's item in the catalogue `[row]`; `mended` takes what was passed over."""
    found = table.ids("item")
    if found.with_blanks:
        mended["item ids with blanks around them"] = found.with_blanks
    places = ids.places(found.values, mended, "item ids")
    if len(places.missing):
        row = int(places.missing[0])
        value = found.values[row].as_py()
        missing, rows = len(places.missing), len(found.values)
        rule = f"be an item of the items file ({missing:,} of {rows:,} rows are of none)"
        raise table.bad(row, "item", value, rule, ids.hint(value))
    return places.place


def _users(table: UserTable, mended: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of each row's user `[row]`, in the order of their ids."""
    found = table.ids("user")
    empty = pc.index(found.values, "").as_py()
    if empty >= 0:
        raise table.bad(empty, "user", "", "name a user", "fill it in or drop the row")
    missing = pc.is_in(found.values, value_set=pa.array(_MISSING, found.values.type))
    if pc.any(missing).as_py():
        row, value = pc.index(missing, True).as_py(), pc.filter(found.values, missing)[0].as_py()
        rule = f"name a user ({pc.sum(missing).as_py():,} rows have such a word for a missing value)"
        raise table.bad(row, "user", value, rule, "fill it in or drop the row")
    whole = as_whole(found.values)
    decimals = int(pc.sum(pc.not_equal(whole, found.values)).as_py() or 0)
    if found.with_blanks:
        mended["user ids with blanks around them"] = found.with_blanks
    if decimals:
        mended["user ids written as decimals"] = decimals
    codes = whole.dictionary_encode()
    place = np.unique(np.array(codes.dictionary.to_pylist()), return_inverse=True)[1]
    numbers: NDArray[np.int64] = place.astype(np.int64)[np.asarray(codes.indices)]
    return numbers


def _liked(table: UserTable, min_rating: float | None) -> NDArray[np.int64]:
    """Return the places of the rows that count as clicks."""
    if min_rating is None:
        return np.arange(table.facts.rows)
    rating = table.numbers(RATING)
    good = np.isfinite(rating)
    if not good.all():
        row = int(np.argmin(good))
        raise table.bad_number(row, RATING, "be a number", "fill it in, or leave out --min-rating")
    chosen = np.flatnonzero(rating >= min_rating)
    if not len(chosen):
        rule = f"have a row with a rating of at least {min_rating:g} (the highest is {rating.max():g})"
        raise table.refused(rule, "lower --min-rating")
    return chosen


def _first_of_each(user: NDArray[np.int64], ranked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether a row is in the first part of its user's, by those that are `ranked`; `user` is sorted.

    Rows that are not ranked lie on the side of the ranked row before; those before the first are in the first
    part.
    """
    count = np.bincount(user, ranked).astype(np.int64)
    before: NDArray[np.int64] = np.cumsum(ranked) - ranked  # ranked rows of all users before this one
    place = before - (np.cumsum(count) - count)[user]
    most = np.floor(LEARNING_SHARE * count)[user]
    return np.asarray(np.where(ranked, place < most, place <= most))


def _given(name: str, path: Path | None) -> Path:
    if path is None:
        raise FedbertError(f"world 'interactions' needs --{name} FILE; give a CSV or Parquet file")
    return path
