"""The world `interactions`: what a user's own files must have, and one line for each way to be wrong."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedbert.errors import FedbertError
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.sessions import Block, Kind
from fedbert.recommendation.world import load_public, load_world

ITEMS = ["item,text", *(f"n{number:03d},Story {number} about subject {number % 7}" for number in range(30))]
CLICKS = [
    "user,item,timestamp,rating",
    *(f"u{number % 6},n{number * 7 % 30:03d},{1_700_000_000 + 60 * number},5" for number in range(60)),
]


def write(path: Path, lines: list[str]) -> Path:
    """Write lines and return the path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """Return a good catalogue."""
    return write(tmp_path / "items.csv", ITEMS)


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Return a good log."""
    return write(tmp_path / "clicks.csv", CLICKS)


def load(items: Path | None, clicks: Path | None) -> SequenceWorld:
    """Return the world of two files."""
    world = load_world("interactions", items, clicks)
    assert isinstance(world, SequenceWorld)
    return world


def test_two_csv_files_make_a_world(items: Path, clicks: Path, make_block: Callable[..., Block]) -> None:
    """Users, texts and steps come from the files; without a popularity column all items are alike."""
    world = load(items, clicks)
    assert world.users == 6
    assert world.texts[3] == "Story 3 about subject 3"
    assert np.allclose(world.public.catalogue.popularity, 1 / 30)
    assert "no popularity column" in world.public.manifest["popularity"]
    assert world.public.split == ("general",) * 30
    assert int(world.past.count.sum() + world.learning.count.sum() + world.evaluation.count.sum()) == 60 - 6
    sessions = world.sessions(make_block(count=100, evaluation_per_device_day=20.0), 9, Kind.EVALUATION)
    assert len(sessions) > 20
    assert sessions.candidates.shape[1] == 20


def test_parquet_numbers_and_iso_times_are_read_alike(items: Path, clicks: Path, tmp_path: Path) -> None:
    """Unix seconds, ISO 8601 with and without an offset and Parquet timestamps mean the same."""
    expected = load(items, clicks)
    seconds = [int(line.split(",")[2]) for line in CLICKS[1:]]
    for zone, suffix in ((UTC, ""), (None, "Z")):
        stamps = [datetime.fromtimestamp(one, UTC).strftime("%Y-%m-%dT%H:%M:%S") + suffix for one in seconds]
        lines = [
            f"{','.join(line.split(',')[:2])},{stamp}" for line, stamp in zip(CLICKS[1:], stamps, strict=True)
        ]
        found = load(items, write(tmp_path / "iso.csv", ["user,item,timestamp", *lines]))
        assert np.array_equal(found.evaluation.after, expected.evaluation.after)
        table = pa.table(
            {
                "user": [line.split(",")[0] for line in CLICKS[1:]],
                "item": [line.split(",")[1] for line in CLICKS[1:]],
                "timestamp": pa.array(
                    [one * 1_000_000 for one in seconds], pa.timestamp("us", tz="UTC" if zone else None)
                ),
            }
        )
        pq.write_table(table, tmp_path / "clicks.parquet")
        found = load(items, tmp_path / "clicks.parquet")
        assert np.array_equal(found.past.after, expected.past.after)
        assert np.array_equal(found.evaluation.after, expected.evaluation.after)


def test_ids_keep_leading_zeros_and_may_be_numbers(tmp_path: Path) -> None:
    """In a CSV '007' and '7' are two items; in Parquet ids may be integers."""
    numbered = [line.replace("n", "", 1) for line in ITEMS[1:]]
    lines = ["item,text", *numbered, "7,Another seven"]
    public = load_public("interactions", write(tmp_path / "items.csv", lines))
    assert public.catalogue.items == 31
    table = pa.table({"item": list(range(25)), "text": [f"Name {number}" for number in range(25)]})
    pq.write_table(table, tmp_path / "items.parquet")
    log = ["user,item,timestamp", *(f"1,{number % 25},{1_700_000_000 + number}" for number in range(40))]
    assert load(tmp_path / "items.parquet", write(tmp_path / "log.csv", log)).users == 1


def test_popularity_comes_from_the_catalogue_only(tmp_path: Path, clicks: Path) -> None:
    """A public popularity column shapes the default order; clicks never do."""
    lines = [f"{line},{weight}" for line, weight in zip(ITEMS, ["popularity", *range(30)], strict=True)]
    public = load_public("interactions", write(tmp_path / "items.csv", lines), clicks)
    assert public.catalogue.default_rank[29] == 0
    assert public.catalogue.popularity[10] == pytest.approx(10 / sum(range(30)))


def test_the_public_part_never_opens_the_log(items: Path, tmp_path: Path) -> None:
    """`load_public` takes the path of the log, which need not even exist."""
    assert load_public("interactions", items, tmp_path / "nowhere.csv").catalogue.items == 30


def changed(lines: list[str], row: int, line: str) -> list[str]:
    """Return `lines` with one replaced."""
    return [*lines[:row], line, *lines[row + 1 :]]


ITEM_MISTAKES = {
    "no text column": (
        ["item,name", *ITEMS[1:]],
        r"must have a column 'text' \(has: item, name; sep",
    ),
    "two text columns": (
        ["item,text,text", *(line + ",x" for line in ITEMS[1:])],
        "must have one column 'text'",
    ),
    "empty": ([""], "must not be empty"),
    "no rows": (ITEMS[:1], "must have at least one row"),
    "too few": (ITEMS[:21], r"must have at least 21 items \(has 20\)"),
    "duplicate": (changed(ITEMS, 5, ITEMS[4]), r"row 5, item\(='n003'\) must be there once"),
    "no id": (changed(ITEMS, 2, ",Story"), "row 2, item.* must not be empty"),
    "no text": (
        changed(ITEMS, 3, "n002,  "),
        "row 3, text.* must not be empty; write a name for item 'n002'",
    ),
    "ragged": (
        changed(ITEMS, 3, "n002,a,b,c"),
        r"must have 2 fields in each row, as its header has \(row 3 has 4\); quote fields that hold a comma",
    ),
    "popularity": (
        ["item,text,popularity", *(line + ",1" for line in ITEMS[1:-1]), ITEMS[-1] + ",-2"],
        r"row 30, popularity\(='-2'\) must be a number >= 0",
    ),
    "popularity word": (
        ["item,text,popularity", *(line + ",high" for line in ITEMS[1:])],
        r"row 1, popularity\(='high'\) must be a number >= 0",
    ),
    "popularity zero": (
        ["item,text,popularity", *(line + ",0" for line in ITEMS[1:])],
        "must have a popularity > 0 somewhere",
    ),
}


@pytest.mark.parametrize("mistake", ITEM_MISTAKES)
def test_each_mistake_in_the_catalogue_is_named(mistake: str, tmp_path: Path, clicks: Path) -> None:
    """One line, with file, row, value and rule."""
    lines, message = ITEM_MISTAKES[mistake]
    path = write(tmp_path / "items.csv", lines)
    for attempt in (lambda: load(path, clicks), lambda: load_public("interactions", path)):
        with pytest.raises(FedbertError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert "items" in str(caught.value)


CLICK_MISTAKES = {
    "no user column": (["who,item,timestamp,rating", *CLICKS[1:]], "must have a column 'user'"),
    "no timestamp column": (["user,item,when,rating", *CLICKS[1:]], "must have a column 'timestamp'"),
    "empty": ([""], "must not be empty"),
    "no rows": (CLICKS[:1], "must have at least one row"),
    "unknown item": (
        changed(CLICKS, 4, "u1,n999,5,1"),
        r"row 4, item\(='n999'\) must be an item of the items file",
    ),
    "bad time": (
        changed(CLICKS, 9, "u1,n001,yesterday,1"),
        r"row 9, timestamp\(='yesterday'\) must be Unix seconds",
    ),
    "no time": (changed(CLICKS, 9, "u1,n001,,1"), r"row 9, timestamp\(=''\) must be Unix seconds"),
    "infinite time": (
        changed(CLICKS, 9, "u1,n001,inf,1"),
        r"row 9, timestamp\(='inf'\) must be Unix seconds",
    ),
    "no user": (changed(CLICKS, 6, ",n001,5,1"), "row 6, user.* must name a user"),
    "a word for no user": (
        changed(CLICKS, 6, "nan,n001,5,1"),
        r"row 6, user\(='nan'\) must name a user \(1 ",
    ),
    "one item a user": (
        ["user,item,timestamp", *(f"u{number},n001,{1_700_000_000 + number}" for number in range(20))],
        "must have a user with two different items",
    ),
}


@pytest.mark.parametrize("mistake", CLICK_MISTAKES)
def test_each_mistake_in_the_log_is_named(mistake: str, tmp_path: Path, items: Path) -> None:
    """One line, with file, row, value and rule."""
    lines, message = CLICK_MISTAKES[mistake]
    with pytest.raises(FedbertError, match=message) as caught:
        load(items, write(tmp_path / "clicks.csv", lines))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(items: Path, clicks: Path, tmp_path: Path) -> None:
    """Missing files and flags, other endings, broken Parquet and other encodings each say what to do."""
    with pytest.raises(FedbertError, match=r"nowhere.csv'\) must be a file; check the path"):
        load(items, tmp_path / "nowhere.csv")
    with pytest.raises(FedbertError, match="must be a file"):
        load(tmp_path, clicks)
    with pytest.raises(FedbertError, match="needs --items FILE"):
        load(None, clicks)
    with pytest.raises(FedbertError, match="needs --interactions FILE"):
        load(items, None)
    text = write(tmp_path / "items.txt", ITEMS)
    with pytest.raises(FedbertError, match=r"must end in .csv, .tsv or .parquet"):
        load(text, clicks)
    broken = write(tmp_path / "items.parquet", ITEMS)
    with pytest.raises(FedbertError, match="must be a readable table"):
        load(broken, clicks)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("\n".join(changed(ITEMS, 2, "n001,Café")).encode("latin-1"))
    with pytest.raises(FedbertError, match=r"must be UTF-8 text \(line 3 is not\); save it as UTF-8"):
        load(latin, clicks)


def test_a_byte_order_mark_quotes_and_line_breaks_are_fine(tmp_path: Path) -> None:
    """Spreadsheet exports load: a byte order mark, quoted commas, a line break within quotes."""
    lines = changed(ITEMS, 1, 'n000,"One, two\nthree"')
    path = tmp_path / "items.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    assert load_public("interactions", path).catalogue.texts[0] == "One, two three"
