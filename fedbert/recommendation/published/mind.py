"""MIND's published files: news that users were shown, and those that they chose (Wu et al. 2020).

``news.tsv``: news id, category, subcategory, title, abstract, URL and two columns of entities.
``behaviors.tsv``: impression id, user id, time, history and impressions (``N55689-1 N35729-0``: chosen, not
chosen). Neither has a header. Each click becomes a row whose candidates are what was shown with it, without
the impression's other clicks. A user's history, that of the first impression, comes before: rows without
candidates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.recommendation.log_times import FIRST, LAST, day
from fedbert.recommendation.published.files import FOLDER, published_file, read_fields
from fedbert.recommendation.published.world_files import PublishedLog
from fedbert.user_tables import UserTable

SETS = (("behaviors.tsv", "news.tsv"),)
TIME_FORMAT = "%m/%d/%Y %I:%M:%S %p"

_NEWS = (
    "news id",
    "category",
    "subcategory",
    "title",
    "abstract",
    "url",
    "title entities",
    "abstract entities",
)
_BEHAVIORS = ("impression id", "user id", "time", "history", "impressions")
_ROWS_AT_A_TIME = 16_384


class _Words(NamedTuple):
    """The words in the cells of a column: their places in the catalogue, and the rows that they stand in."""

    place: NDArray[np.int64]
    row: NDArray[np.int64]


class _Clicks(NamedTuple):
    """Clicks: their rows, the chosen news (its place), and the shown ids separated by blanks."""

    row: NDArray[np.int64]
    place: NDArray[np.int64]
    candidates: pa.Array


def read_mind(folders: Sequence[Path]) -> PublishedLog:
    """Return the log in one or more folders of MIND, such as train and dev.

    Raises FedbertError in one line for what is wrong with them.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise invalid(FOLDER, str(folders[-1]), "be named once", "name each part of the set once")
    files = [published_file(folder, SETS) for folder in folders]
    items = _news([read_fields(news, "\t", _NEWS) for _, news in files])
    ids = items["item"].combine_chunks()
    parts = [read_fields(behaviors, "\t", _BEHAVIORS) for behaviors, _ in files]
    time = np.concatenate([_times(part) for part in parts])
    user = pa.concat_arrays([_users(part) for part in parts])
    clicks = _joined([_clicks(part, ids) for part in parts], [part.facts.rows for part in parts])
    if not len(clicks.row):
        raise invalid(FOLDER, str(folders[0]), "hold an impression with a click", "give train or dev")
    history = _histories(parts, ids, user, time, np.unique(clicks.row))
    begins = int(time.min())
    # The files give no times of the history: one second apart, before all impressions.
    before = begins - _places_from_the_end(history.row)
    row = np.concatenate([history.row, clicks.row])
    seconds = np.concatenate([before, time[clicks.row]])
    codes = np.asarray(user.dictionary_encode().indices)[row]
    order = np.lexsort((np.arange(len(row)), seconds, codes))
    empty = pa.array([""] * len(history.row), pa.large_string())
    log = pa.table(
        {
            "user": user.take(pa.array(row[order])),
            "item": ids.take(pa.array(np.concatenate([history.place, clicks.place])[order])),
            "timestamp": pa.array(seconds[order]),
            "candidates": pa.concat_arrays([empty, clicks.candidates]).take(pa.array(order)),
        }
    )
    return PublishedLog(items, log, _lines(items, user, time, clicks, history))


def _lines(
    items: pa.Table, user: pa.Array, time: NDArray[np.int64], clicks: _Clicks, history: _Words
) -> tuple[str, ...]:
    users = pc.count_distinct(user).as_py()
    clicking = pc.count_distinct(user.take(pa.array(clicks.row))).as_py()
    remembered = pc.count_distinct(user.take(pa.array(history.row))).as_py()
    of_row = np.unique(clicks.row, return_counts=True)[1]
    lines = [
        f"news.tsv: {items.num_rows:,} news",
        f"behaviors.tsv: {len(time):,} impressions of {users:,} users, {_span(time)}",
        f"{len(clicks.row):,} clicks are rows with candidates; {len(history.row):,} rows are history, dated "
        f"before the first impression; {clicking - remembered:,} of {clicking:,} users have none",
    ]
    if several := int(np.count_nonzero(of_row > 1)):
        lines.append(f"{several:,} impressions have several clicks: a row each, without the others")
    if (without := len(time) - len(of_row)) or users > clicking:
        lines.append(
            f"left out: {without:,} impressions without a click, {users - clicking:,} users without any"
        )
    return tuple(lines)


def _span(time: NDArray[np.int64]) -> str:
    return f"from {day(1_000 * int(time.min()))} to {day(1_000 * int(time.max()))}"


def _news(tables: Sequence[UserTable]) -> pa.Table:
    """Return the catalogue: a news item's text is its title."""
    titles: dict[str, str] = {}
    for table in tables:
        ids, texts = table.text("news id").to_pylist(), table.text("title").to_pylist()
        seen = set()
        for row, (name, title) in enumerate(zip(ids, texts, strict=True)):
            plain = " ".join(title.split())
            if not name or name in seen or len(name.split()) != 1:
                raise table.bad(row, "news id", name, "be an id, each once in a file", "keep one of its rows")
            if not plain:
                raise table.bad(row, "title", title, "not be empty", f"write a title for {name!r}")
            if titles.setdefault(name, plain) != plain:
                rule = f"be the same in each folder ({titles[name]!r} in another)"
                raise table.bad(row, "title", plain, rule, "give parts of one set")
            seen.add(name)
    text = pa.large_string()
    return pa.table({"item": pa.array(list(titles), text), "text": pa.array(list(titles.values()), text)})


def _times(table: UserTable) -> NDArray[np.int64]:
    """Return the times of impressions in Unix seconds; they are taken as UTC."""
    cells = pd.Series(table.text("time").to_pylist(), dtype=object)
    found = pd.to_datetime(cells, format=TIME_FORMAT, errors="coerce", utc=True)
    good = np.asarray((found >= FIRST) & (found < LAST))
    if not good.all():
        row = int(np.argmin(good))
        rule = "be a time such as 11/15/2019 8:55:22 AM"
        raise table.bad(row, "time", cells[row], rule, "mend or drop the line")
    return np.asarray(found.dt.tz_localize(None), "datetime64[s]").astype(np.int64)


def _users(table: UserTable) -> pa.Array:
    user = pc.utf8_trim_whitespace(table.text("user id"))
    if (row := pc.index(user, "").as_py()) >= 0:
        raise table.bad(row, "user id", "", "name a user", "mend or drop the line")
    return user


def _split(cells: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return all words of `cells` and the place of the cell of each."""
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(cells))
    flat = pc.list_flatten(words)
    cell = np.repeat(np.arange(len(cells)), np.asarray(pc.list_value_length(words)))
    some = pc.not_equal(flat, "")
    return flat.filter(some), cell[np.asarray(some)]


def _clicks(table: UserTable, ids: pa.Array) -> _Clicks:
    cells = table.text("impressions")
    found = [
        _clicks_of(table, start, cells.slice(start, _ROWS_AT_A_TIME), ids)
        for start in range(0, len(cells), _ROWS_AT_A_TIME)
    ]
    return _joined(found, [0] * len(found))


def _clicks_of(table: UserTable, first: int, cells: pa.Array, ids: pa.Array) -> _Clicks:
    """Return the clicks in `cells`, which begin at row `first` of the table."""
    words, row = _split(cells)
    mark = pc.utf8_slice_codeunits(words, -2)
    marked = pc.is_in(mark, value_set=pa.array(["-0", "-1"], mark.type))
    if (place := pc.index(marked, False).as_py()) >= 0:
        rule = "end in -1 (chosen) or -0 (not chosen), as N55689-1; MIND's test part has no clicks"
        raise table.bad(first + row[place], "impressions", words[place].as_py(), rule, "give train or dev")
    news = _known(table, "impressions", pc.utf8_slice_codeunits(words, 0, -2), first + row, ids)
    chosen = np.asarray(pc.equal(mark, "-1"))
    clicked = np.flatnonzero(chosen)
    others, other_row = news[~chosen], row[~chosen]
    start = np.searchsorted(other_row, row[clicked])
    count = np.searchsorted(other_row, row[clicked], side="right") - start
    # A list each: the chosen one, then all that were shown and not chosen.
    ends = np.cumsum(count + 1)
    shift = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count - 1, count + 1)
    own = shift == 0
    listed = np.repeat(news[clicked], count + 1)
    listed[~own] = others[(np.repeat(start, count + 1) + shift - 1)[~own]]
    # Arrow joins lists with short offsets alone; a batch of rows is far below them.
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, ids.cast(pa.string()).take(pa.array(listed)))
    return _Clicks(first + row[clicked], news[clicked], pc.binary_join(lists, " "))


def _known(
    table: UserTable, column: str, names: pa.Array, row: NDArray[np.int64], ids: pa.Array
) -> NDArray[np.int64]:
    """Return the places of news in the catalogue; raises FedbertError for an id that is in no news.tsv."""
    found = pc.index_in(names, value_set=ids)
    if found.null_count:
        first = pc.index(pc.is_null(found), True).as_py()
        rule = f"be a news id of news.tsv ({found.null_count:,} of {len(found):,} here are not)"
        raise table.bad(int(row[first]), column, names[first].as_py(), rule, "unpack the set again")
    return np.asarray(found, np.int64)


def _joined(parts: Sequence[_Clicks], rows: Sequence[int]) -> _Clicks:
    """Return clicks of parts as one, whose rows are counted on by the `rows` of the parts before."""
    shift = np.concatenate([[0], np.cumsum(rows[:-1])]).astype(np.int64)
    return _Clicks(
        np.concatenate([part.row + before for part, before in zip(parts, shift, strict=True)]),
        np.concatenate([part.place for part in parts]),
        pa.concat_arrays([part.candidates.cast(pa.large_string()) for part in parts]),
    )


def _histories(
    parts: Sequence[UserTable],
    ids: pa.Array,
    user: pa.Array,
    time: NDArray[np.int64],
    clicked: NDArray[np.int64],
) -> _Words:
    """Return the news in the history of each user with a click, in their order: that of the first impression.

    `clicked` are rows with a click.
    """
    codes = np.asarray(user.dictionary_encode().indices)
    order = np.lexsort((np.arange(len(time)), time, codes))
    first = order[np.unique(codes[order], return_index=True)[1]]
    first = first[np.isin(codes[first], codes[clicked])]
    place, row, begin = [], [], 0
    for part in parts:
        own = np.sort(first[(first >= begin) & (first < begin + part.facts.rows)]) - begin
        words, cell = _split(part.text("history").take(pa.array(own)))
        at = own[cell]
        place.append(_known(part, "history", words, at, ids))
        row.append(begin + at)
        begin += part.facts.rows
    return _Words(np.concatenate(place), np.concatenate(row))


def _places_from_the_end(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 1 for the last of each stretch of equal rows, 2 for the one before, and so on."""
    _, start, count = np.unique(row, return_index=True, return_counts=True)
    return np.asarray(np.repeat(start + count, count) - np.arange(len(row)))
