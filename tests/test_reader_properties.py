"""Readers of what a user names, on any content: the values come back, or one line says what is wrong."""

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from fedbert.cli.data_check import lines_on
from fedbert.devices.availability_trace import State, Trace, read_trace, states_at
from fedbert.devices.profiles import DeviceProfile
from fedbert.devices.profiles import read_table as read_profile
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.errors import FedbertError
from fedbert.files import read_json, read_text, read_toml
from fedbert.journal import Journal, read_journal
from fedbert.recommendation.published.mind import read_mind
from fedbert.recommendation.published.movielens import read_movielens
from fedbert.recommendation.tables import Split, load_interactions
from fedbert.user_tables import read_table

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The folder of a test serves all its examples: each writes its file anew."""

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"), max_size=12)
"""Texts of a CSV's cell: whatever UTF-8 has, quotes, commas and line ends too."""

NAMES = st.text("abcdefghij_", min_size=1, max_size=6)

Reader = Callable[[Path], Any]


def _csv(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    return text.getvalue()


def _like_rows(row: list[str], separator: str) -> bool:
    """Return whether a row's text looks like several rows: such a one is refused, as a stray quote's work."""
    lines, breaks = re.split("\r\n|\r|\n", separator.join(row)), len(row) - 1
    return breaks * (len(lines) - 1) > 1 and all(line.count(separator) == breaks for line in lines)


@one_folder
@given(
    data=st.data(),
    columns=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    mark=st.booleans(),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_table_comes_back_as_it_was_written(
    tmp_path: Path, data: st.DataObject, columns: list[str], mark: bool, separator: str, end: str
) -> None:
    """Every cell of a CSV is the text that was written: leading zeros, spaces, quotes, line ends, 'NaN'."""
    cell = CELLS | st.sampled_from(["007", " 1 ", "NaN", "", "null", '"', "a,b", "x\ny"])
    width = len(columns)
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=6))
    assume(not any(_like_rows(row, separator) for row in rows))
    path = tmp_path / "table.csv"
    path.write_bytes((("\ufeff" if mark else "") + _csv([columns, *rows], separator, end)).encode())
    table = read_table("items", path, columns)
    assert table.data.column_names == columns
    assert (table.facts.rows, table.facts.blank_lines, table.facts.ignored_columns) == (len(rows), 0, ())
    for place, name in enumerate(columns):
        assert table.text(name).to_pylist() == [row[place] for row in rows]


@one_folder
@given(rows=st.lists(st.lists(st.text('ab ,;\t"\n\r', max_size=5), min_size=2, max_size=2), min_size=1))
@example(rows=[["", '\r"\r"']])
def test_no_row_is_lost(tmp_path: Path, rows: list[list[str]]) -> None:
    """Rows without quotes around them: each line is a row or a blank line, or the file is refused."""
    path = tmp_path / "table.csv"
    lines = ["item,text", *(",".join(row) for row in rows)]
    path.write_bytes("\n".join(lines).encode())
    try:
        table = read_table("items", path, ("item", "text"))
    except FedbertError as error:
        assert "\n" not in str(error)
        return
    cells = [*table.shown("item").to_pylist(), *table.text("text").to_pylist()]
    inside = sum(_breaks(cell) for cell in cells)
    below = _breaks(path.read_bytes().decode().rstrip("\r\n"))
    assert below <= table.facts.rows + table.facts.blank_lines + inside


def _breaks(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text))


def _interactions(path: Path) -> object:
    return load_interactions(path, path)


MOVIES = "1::A film (1995)::Drama\n"
NEWS = "N1\ta\tb\tA title\t\t\t[]\t[]\n"


def _beside(name: str, content: str, read: Reader) -> Reader:
    """Return a reader of the folder of a file, in which `name` lies as well."""

    def reader(path: Path) -> object:
        (path.parent / name).write_text(content, encoding="utf-8")
        return read(path.parent)

    return reader


READERS: dict[str, tuple[str, Reader]] = {
    "MovieLens, ratings": ("ratings.dat", _beside("movies.dat", MOVIES, read_movielens)),
    "MovieLens, 100k": ("u.item", _beside("u.data", "1\t1\t5\t978300760\n", read_movielens)),
    "MIND, behaviors": ("behaviors.tsv", _beside("news.tsv", NEWS, lambda folder: read_mind([folder]))),
    "check": ("f.csv", lambda path: lines_on([path], {})),
    "table": ("t.csv", lambda path: read_table("items", path, ("item", "text"))),
    "parquet": ("t.parquet", lambda path: read_table("items", path, ("item", "text"))),
    "world": ("w.csv", _interactions),
    "trace": ("a.csv", read_trace),
    "trace, Parquet": ("a.parquet", read_trace),
    "task": ("k.tsv", load_task),
    "text": ("t.txt", read_text),
    "TOML": ("t.toml", read_toml),
    "JSON": ("t.json", read_json),
    "journal": ("t.jsonl", read_journal),
    "profile": ("p.toml", lambda path: read_profile(path, DeviceProfile)),
}

FRAGMENTS = st.lists(
    st.sampled_from(
        (
            *(b"item,text", b"device_id,start,end,state", b"text\tlabel", b"\xef\xbb\xbf", b";", b"\t"),
            *(b"\n", b"\r", b",", b'"', b"\xff", b"\0"),
            *(b"[a]", b"=", b"{", b"}", b"PAR1", b"1e999", b"nan", b"-1", b"0x", b"idle", b"a = 1"),
            *(b'{"a":1', b',"crc32":"00000000"}'),
            *(b"::", b"|", b"1::1::5::978300760\n", b"1\tU1\t11/15/2019 8:55:22 AM\t", b"N1-1", b"N1 N1-0 "),
        )
    ),
    max_size=12,
).map(b"".join)


@one_folder
@pytest.mark.parametrize("kind", READERS)
@given(content=st.binary(max_size=60) | FRAGMENTS)
@example(content=b"")
@example(content=b"item,text,item\n1,2,3\n")
@example(content=b"device_id,start,end,state\nx,0,1e308,idle\n")
@example(content=b"[" * 100_000)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, kind: str, content: bytes) -> None:
    """Whatever bytes a file holds, a reader returns something or raises FedbertError with a single line."""
    name, read = READERS[kind]
    path = tmp_path / name
    path.write_bytes(content)
    try:
        read(path)
    except FedbertError as error:
        assert "\n" not in str(error)


TRACE_ROWS = st.tuples(st.sampled_from("abc"), st.integers(0, 47), st.sampled_from(list(State)))
"""Device, hour and state."""


@one_folder
@given(st.lists(TRACE_ROWS, min_size=1, unique=True))
def test_a_trace_says_what_its_rows_say(tmp_path: Path, rows: list[tuple[str, int, State]]) -> None:
    """Of rows of one hour each, in any order, a device is in a state in just the hours that have a row.

    Outside its own days, from the first with a row to the last, these repeat.
    """
    path = tmp_path / "trace.csv"
    lines = [f"{device},{hour},{hour + 1},{state}" for device, hour, state in rows]
    path.write_text("\n".join(["device_id,start,end,state", *lines]) + "\n", encoding="utf-8")
    trace: Trace = read_trace(path)
    names = sorted({device for device, _, _ in rows})
    assert (trace.devices, trace.days) == (len(names), max(hour for _, hour, _ in rows) // 24 + 1)
    said = set(rows)
    for number, name in enumerate(names):
        days = [hour // 24 for device, hour, _ in rows if device == name]
        own_days = max(days) - min(days) + 1
        for hour in range(24 * trace.days):
            found = _states(trace, number, hour)
            own = 24 * min(days) + (hour - 24 * min(days)) % (24 * own_days)
            here = {state for state in State if (name, own, state) in said}
            assert found.charging == (State.CHARGING in here)
            assert found.idle == (State.IDLE in here and State.IN_USE not in here)
            linked = State.OFFLINE not in here
            assert found.online == (linked and bool(here & {State.METERED, State.UNMETERED}))
            assert found.unmetered == (linked and State.UNMETERED in here and State.METERED not in here)


def _states(trace: Trace, device: int, hour: int) -> Any:
    found = states_at(trace, np.array([device]), np.array([hour + 0.5]))
    return found._make(bool(flag[0]) for flag in found)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(
    st.dictionaries(st.text(max_size=5).filter(lambda key: key != "crc32"), PLAIN, max_size=3), max_size=5
)


@one_folder
@given(rows=ROWS, data=st.data())
def test_a_journal_keeps_every_row_before_a_cut(
    tmp_path: Path, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Rows come back as they were appended; of a file cut anywhere, all whole lines before the cut."""
    path = tmp_path / "rows.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for row in rows:
            journal.append(row)
    assert read_journal(path).rows == rows
    content = path.read_bytes()
    kept = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(kept)
    assert read_journal(path).rows == rows[: kept.count(b"\n")]


@one_folder
@given(values=st.dictionaries(NAMES, st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)))
def test_settings_come_back_from_toml_and_json(tmp_path: Path, values: dict[str, Any]) -> None:
    """What is written as TOML or as JSON is what is read."""
    (tmp_path / "a.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(values), encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == tomllib.loads(tomli_w.dumps(values)) == values
    assert read_json(tmp_path / "a.json") == values


CELL = CELLS | st.sampled_from(
    ["1e999", "nan", "-1", "9" * 30, "0x1", "2013-04-03", "10000-01-01", "i3", "", " 7 ", "1.0"]
)
GOOD_TIMES = st.integers(631_152_000, 4_102_444_799).map(str) | st.integers(-(2**62), 2**62).map(str)


@one_folder
@given(
    popularity=CELL | st.sampled_from(["", "0", "1.5"]),
    clicks=st.lists(st.tuples(CELL, st.integers(0, 24), CELL | GOOD_TIMES), min_size=1, max_size=8),
    split=st.sampled_from(["date", "own-time"]),
)
def test_any_cells_make_a_world_or_one_line(
    tmp_path: Path, popularity: str, clicks: list[tuple[str, int, str]], split: Split
) -> None:
    """Good items, and clicks with any user and time: a world, or one line that says what is wrong."""
    items, log = tmp_path / "items.csv", tmp_path / "clicks.csv"
    rows = [[f"i{number}", f"dish number {number}", popularity] for number in range(25)]
    items.write_text(_csv([["item", "text", "popularity"], *rows]), encoding="utf-8")
    cells = [[user, f"i{item}", time] for user, item, time in clicks]
    log.write_text(_csv([["user", "item", "timestamp"], *cells]), encoding="utf-8")
    try:
        world = load_interactions(items, log, split)
    except FedbertError as error:
        assert "\n" not in str(error)
        return
    assert world.users
    assert world.read is not None
    assert world.read.interactions.rows == len(clicks)
    assert world.read.rows_used + sum(world.read.rows_dropped.values()) == len(clicks)


@one_folder
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL, CELL | st.sampled_from(list(State))), min_size=1, max_size=4)
)
def test_any_cells_make_a_trace_or_one_line(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    """Rows of any cells under the right header: a trace, or one line that says what is wrong."""
    path = tmp_path / "trace.csv"
    lines = [[str(cell) for cell in row] for row in rows]
    path.write_text(_csv([["device_id", "start", "end", "state"], *lines]), encoding="utf-8")
    try:
        assert read_trace(path).devices
    except FedbertError as error:
        assert "\n" not in str(error)
