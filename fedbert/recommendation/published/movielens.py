"""MovieLens' published files: ratings of films, in each of the three layouts that its sets have had.

``u.data`` and ``u.item`` (100k), ``ratings.dat`` and ``movies.dat`` (1M, 10M), ``ratings.csv`` and
``movies.csv`` (20M and later), as the READMEs of the sets describe them (Harper and Konstan 2015, "The
MovieLens Datasets: History and Context").
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fedbert.recommendation.log_times import day, read_times
from fedbert.recommendation.published.files import FILE, published_file, read_fields
from fedbert.recommendation.published.world_files import PublishedLog
from fedbert.user_tables import UserTable, read_table

SETS = (("u.data", "u.item"), ("ratings.dat", "movies.dat"), ("ratings.csv", "movies.csv"))
"""Ratings and films of each layout."""

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War"),
    "Western",
)
"""What the last 19 fields of u.item stand for, each 0 or 1."""

_NO_GENRE = ("unknown", "(no genres listed)", "")
_RATINGS = ("userId", "movieId", "rating", "timestamp")
_FILMS = ("movieId", "title", "genres")
_OLD_FILMS = ("movieId", "title", "release date", "video release date", "IMDb URL", *GENRES)


def read_movielens(folder: Path) -> PublishedLog:
    """Return the log in a folder of MovieLens. Raises FedbertError in one line for what is wrong with it."""
    ratings_file, films_file = published_file(folder, SETS)
    if ratings_file.name == "u.data":
        ratings, films = read_fields(ratings_file, "\t", _RATINGS), read_fields(films_file, "|", _OLD_FILMS)
        genres = _genres_of_flags(films)
    else:
        if ratings_file.suffix == ".dat":
            ratings, films = read_fields(ratings_file, "::", _RATINGS), read_fields(films_file, "::", _FILMS)
        else:
            ratings = read_table(FILE, ratings_file, _RATINGS)
            films = read_table(FILE, films_file, _FILMS)
        genres = [cell.split("|") for cell in films.text("genres").to_pylist()]
    items = _films(films, genres)
    log = _log(ratings, films.name, items["item"].combine_chunks())
    time = np.asarray(log["timestamp"])
    users = pc.count_distinct(log["user"]).as_py()
    first, last = (day(1_000 * int(moment)) for moment in (time.min(), time.max()))
    lines = (
        f"{films.name}: {items.num_rows:,} films",
        f"{ratings.name}: {log.num_rows:,} ratings by {users:,} users, from {first} to {last}",
    )
    return PublishedLog(items, log, lines)


def _genres_of_flags(films: UserTable) -> list[list[str]]:
    """Return the genres of each film of u.item."""
    found: list[list[str]] = [[] for _ in range(films.facts.rows)]
    for genre in GENRES:
        flags = films.text(genre)
        wrong = pc.invert(pc.is_in(flags, value_set=pa.array(["0", "1"], flags.type)))
        if pc.any(wrong).as_py():
            row = pc.index(wrong, True).as_py()
            raise films.bad(row, genre, flags[row].as_py(), "be 0 or 1", "mend the row")
        for row in np.flatnonzero(np.asarray(pc.equal(flags, "1"))):
            found[row].append(genre)
    return found


def _films(films: UserTable, genres: list[list[str]]) -> pa.Table:
    """Return the catalogue: a film's text is its title with its genres, as "Heat (1995). Action, Crime"."""
    ids = films.ids("movieId").values
    texts, seen = [], set()
    for row, (name, title, own) in enumerate(
        zip(ids.to_pylist(), films.text("title").to_pylist(), genres, strict=True)
    ):
        if not name or name in seen:
            raise films.bad(row, "movieId", name, "be an id, each once", "keep one of its rows")
        if not title.strip():
            raise films.bad(row, "title", title, "not be empty", "write the film's name")
        seen.add(name)
        kept = [genre for genre in own if genre not in _NO_GENRE]
        texts.append(" ".join(title.split()) + (f". {', '.join(kept)}" if kept else ""))
    return pa.table({"item": ids.cast(pa.large_string()), "text": pa.array(texts, pa.large_string())})


def _log(ratings: UserTable, films_name: str, ids: pa.Array) -> pa.Table:
    user, item = ratings.ids("userId").values, ratings.ids("movieId").values
    if (row := pc.index(user, "").as_py()) >= 0:
        raise ratings.bad(row, "userId", "", "name a user", "mend the row")
    unknown = pc.invert(pc.is_in(item, value_set=ids))
    if pc.any(unknown).as_py():
        row, count = pc.index(unknown, True).as_py(), pc.sum(unknown).as_py()
        rule = f"be a film of {films_name} ({count:,} of {len(item):,} rows are of none)"
        raise ratings.bad(row, "movieId", item[row].as_py(), rule, "unpack the set again")
    rating = ratings.numbers("rating")
    good = np.isfinite(rating)
    if not good.all():
        raise ratings.bad_number(int(np.argmin(good)), "rating", "be a number", "mend the row")
    time = read_times(ratings, "timestamp").unix_ms // 1_000
    order = np.lexsort((time, np.asarray(user.dictionary_encode().indices)))  # stable: rows of one time stay
    take = pa.array(order)
    return pa.table(
        {
            "user": user.take(take),
            "item": item.take(take),
            "timestamp": pa.array(time[order]),
            "rating": pa.array(rating[order]),
        }
    )
