"""A user's own tables, CSV or Parquet: every row is read, or the file is refused in one line.

The one reader of worlds, traces and sets of texts (of CSV with `separated_text`). Nothing is dropped, guessed
or turned into text on the way: what was read or passed over is in `TableFacts`, or has its row named.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, read_bytes
from fedbert.separated_text import MOST_ROWS, SEPARATORS, decoded, first_names, read_header, read_rows

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SUFFIXES = (".csv", ".tsv", ".parquet")

TABLE_LIMIT_BYTES = 2_000_000_000
"""Largest file that is read as a table."""

_DECIMAL_ID = r"^([+-]?[0-9]+)\.0+$"


@dataclass(frozen=True)
class TableFacts:
    """What was read of one file; `rows` are all its rows, `ignored_columns` those that nothing uses."""

    file: str
    rows: int
    separator: str | None  # by name; None: Parquet
    blank_lines: int
    ignored_columns: tuple[str, ...]

    def line(self) -> str:
        """Return the file in words: rows, separator and what was passed over."""
        found = f"{in_words(self.file)}: {self.rows:,} row{'s' * (self.rows != 1)}"
        if self.separator not in (None, "comma"):
            found += f" separated by {self.separator}s"
        if self.blank_lines:
            found += f", {self.blank_lines:,} blank lines passed over"
        if self.ignored_columns:
            found += f"; not used: {columns_named(self.ignored_columns)}"
        return found


def as_json(facts: "DataclassInstance") -> Any:
    """Return what was read, a dataclass, in the plain types of JSON."""
    return json.loads(json.dumps(asdict(facts)))


def in_words(name: str) -> str:
    """Return a name out of a user's file for a line of text: printable, and at most 40 letters."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name[:200])
    short = " ".join(plain.split())
    return short if len(short) <= 40 else f"{short[:37]}..."


def columns_named(columns: Sequence[str]) -> str:
    """Return columns in words, the first eight by name."""
    names = ", ".join(in_words(name) or "(without a name)" for name in columns[:8])
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    return f"column{'s' * (len(columns) != 1)} {names}{more}"


@dataclass(frozen=True)
class Ids:
    """Ids of a column `[row]` as text without blanks around them; '' where one is missing."""

    values: pa.Array
    with_blanks: int  # rows whose id had blanks around it


@dataclass(frozen=True)
class UserTable:
    """The columns of a file that a reader asked for; `setting` is the name that messages give the file."""

    setting: str
    path: Path
    data: pa.Table
    facts: TableFacts
    blank_places: tuple[int, ...] = ()

    def __contains__(self, column: str) -> bool:
        return column in self.data.column_names

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return in_words(self.path.name)

    def row_number(self, row: int) -> int:
        """Return the number of a row as a person counts it: from 1 below the header, blank lines too."""
        number = row
        for place in self.blank_places:
            if place > number:
                break
            number += 1
        return number + 1

    def bad(self, row: int, column: str, value: object, rule: str, next_step: str) -> FedbertError:
        """Return the error for one value; `row` is counted from 0."""
        return invalid(f"{self.name} row {self.row_number(row)}, {column}", value, rule, next_step)

    def bad_number(self, row: int, column: str, rule: str, next_step: str) -> FedbertError:
        """Return the error for what is no number, or none that may be; a decimal comma is named."""
        value = self.shown(column)[row].as_py()
        comma = value.count(",") == 1 and value.replace(",", "").strip().isdigit()
        return self.bad(row, column, value, rule, "write fractions with a point" if comma else next_step)

    def refused(self, rule: str, next_step: str) -> FedbertError:
        """Return the error for the whole file."""
        return invalid(self.setting, str(self.path), rule, next_step)

    def raw(self, column: str) -> pa.Array:
        """Return a column as it is stored, bytes decoded and dictionaries looked up; raises FedbertError."""
        found = self.data[column].combine_chunks()
        kind = found.type
        if pa.types.is_dictionary(kind):
            found, kind = found.cast(kind.value_type), kind.value_type
        if _is_bytes(kind):
            try:
                return found.cast(pa.large_binary()).cast(pa.large_string())
            except pa.ArrowException:
                raise self._not_text(found, column) from None
        if pa.types.is_nested(kind):
            raise self.refused(f"have plain values in column {column!r} (has {kind})", "flatten it")
        return found

    def _not_text(self, found: pa.Array, column: str) -> FedbertError:
        for row, value in enumerate(found.to_pylist()):
            try:
                bytes(value or b"").decode()
            except UnicodeDecodeError:
                return self.bad(row, column, value, "be UTF-8 text", "save the column as text")
        return self.refused(f"have UTF-8 text in column {column!r}", "save the column as text")

    def shown(self, column: str) -> pa.Array:
        """Return a column as text `[row]` for messages and for numbers; '' where a value is missing."""
        found = self.raw(column)
        try:
            return pc.fill_null(found.cast(pa.large_string()), "")
        except pa.ArrowException:
            raise self.refused(
                f"have plain values in column {column!r} (has {found.type})", "save it as text"
            ) from None

    def text(self, column: str) -> pa.Array:
        """Return a column of texts `[row]`, '' where one is missing; anything but text is refused."""
        found = self.raw(column)
        if not (_is_text(found.type) or pa.types.is_null(found.type)):
            raise self.refused(f"have text in column {column!r} (has {found.type})", "save it as text")
        return pc.fill_null(found.cast(pa.large_string()), "")

    def ids(self, column: str) -> Ids:
        """Return a column of ids: text, whole numbers, or decimals that are whole; others are refused."""
        found = self.raw(column)
        kind = found.type
        if pa.types.is_floating(kind):
            number = found.to_numpy(zero_copy_only=False).astype(np.float64)
            missing = np.isnan(number)
            # Above 2**53 two ids may have become one number.
            bad = ~missing & ((number != np.rint(number)) | (np.abs(number) > 2**53))
            if bad.any():
                row = int(np.argmax(bad))
                rule = "be text or a whole number"
                raise self.bad(row, column, float(number[row]), rule, "save the ids as text")
            found = pa.array(np.where(missing, 0, number).astype(np.int64), mask=missing)
        elif not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise self.refused(f"have ids in column {column!r} (has {kind})", "save them as text")
        text = pc.fill_null(found.cast(pa.large_string()), "")
        trimmed = pc.utf8_trim_whitespace(text)
        return Ids(trimmed, int(pc.sum(pc.not_equal(trimmed, text)).as_py() or 0))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers `[row]`, NaN where a value is none (empty, a word, true, a date)."""
        found = self.raw(column)
        kind = found.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return np.asarray(found.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        if not _is_text(kind):
            return np.full(len(found), np.nan)
        try:  # ten times as fast, where every value is a plain number
            return np.asarray(found.cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowException:
            texts = pd.Series(pc.fill_null(found, "").to_pylist(), dtype=object)
        return np.asarray(pd.to_numeric(texts, errors="coerce"), np.float64)


def as_whole(ids: pa.Array) -> pa.Array:
    """Return ids with decimals that are whole, as ``7.0``, written as ``7``."""
    return pc.replace_substring_regex(ids, _DECIMAL_ID, r"\1")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def is_table(path: Path) -> bool:
    """Return whether a file's name ends as a table's does, in letters of any size."""
    return path.suffix.lower() in SUFFIXES


def read_table(setting: str, path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> UserTable:
    """Return the table in `path`, with each of `columns` once, none of `optional` twice, and one row or more.

    Text of a CSV stays text, so that ids keep their leading zeros. Raises FedbertError.
    """
    with _readable(setting, path):
        if path.suffix.lower() == ".parquet":
            table = _read_parquet(setting, path, columns, optional)
        else:
            table = _read_text(setting, path, columns, optional)
    if table.data.num_rows == 0:
        raise invalid(setting, str(path), "have at least one row", "fill it")
    return table


def read_headers(setting: str, path: Path) -> list[list[str]]:
    """Return the names of a table's columns; of a CSV as each separator would split them.

    Raises FedbertError if the file cannot be read as a table.
    """
    with _readable(setting, path):
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                return [file.schema_arrow.names]
        text = decoded(setting, path, read_bytes(path, TABLE_LIMIT_BYTES))
        return [names for separator in SEPARATORS if (names := first_names(text, separator))]


@contextmanager
def _readable(setting: str, path: Path) -> Iterator[None]:
    """Check that `path` can be a table, and turn what fails while it is read into one line."""
    shown = str(path)
    if not path.is_file():
        raise invalid(setting, shown, "be a file", "check the path")
    if not is_table(path):
        raise invalid(setting, shown, "end in .csv, .tsv or .parquet", "save it as one of them")
    try:
        if path.stat().st_size > TABLE_LIMIT_BYTES:
            rule = f"be at most {TABLE_LIMIT_BYTES:,} bytes"
            raise invalid(setting, shown, rule, "leave out rows or columns")
        yield
    except UnreadableFile as error:
        raise error.of(setting, shown) from None
    except (pa.ArrowException, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise invalid(setting, shown, f"be a readable table ({reason})", "mend the file") from None
    except OSError as error:
        raise invalid(setting, shown, f"be readable ({error.strerror or error})", "check the file") from None


def _used(
    setting: str,
    path: Path,
    header: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
    separated: str = "",
) -> list[str]:
    """Return the columns that are read; raises FedbertError if one is missing or there twice."""
    used = [*columns, *(column for column in optional if column in header)]
    for column in used:
        if column not in header:
            found = ", ".join(in_words(name) for name in header[:12]) + (", ..." if len(header) > 12 else "")
            rule = f"have a column {column!r} (has: {found}{separated})"
            raise invalid(setting, str(path), rule, "rename or add it")
        if header.count(column) > 1:
            raise invalid(setting, str(path), f"have one column {column!r}, not several", "rename the others")
    return used


def _read_parquet(setting: str, path: Path, columns: Sequence[str], optional: Sequence[str]) -> UserTable:
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        used = _used(setting, path, header, columns, optional)
        if file.metadata.num_rows > MOST_ROWS:
            raise invalid(setting, str(path), f"have at most {MOST_ROWS:,} rows", "leave some out")
        data = file.read(columns=used)
        if data.num_rows != file.metadata.num_rows:
            rule = f"hold the {file.metadata.num_rows:,} rows that it claims"
            raise invalid(setting, str(path), rule, "write it again")
    ignored = tuple(name for name in header if name not in used)
    return UserTable(setting, path, data, TableFacts(path.name, data.num_rows, None, 0, ignored))


def _read_text(setting: str, path: Path, columns: Sequence[str], optional: Sequence[str]) -> UserTable:
    text = decoded(setting, path, read_bytes(path, TABLE_LIMIT_BYTES))
    header = read_header(setting, path, text, columns)
    separator = SEPARATORS[header.separator]
    used = _used(setting, path, header.names, columns, optional, f"; separated by {separator}s")
    places = [header.names.index(name) for name in used]
    chunks: list[list[pa.Array]] = [[] for _ in used]
    blanks: list[int] = []
    for batch in read_rows(setting, path, text, header, blanks):
        for chunk, place in zip(chunks, places, strict=True):
            chunk.append(pa.array([record[place] for record in batch], pa.large_string()))
    found = [pa.chunked_array(chunk, pa.large_string()) for chunk in chunks]
    data = pa.Table.from_arrays(found, names=used)
    ignored = tuple(name for name in header.names if name not in used)
    facts = TableFacts(path.name, data.num_rows, separator, len(blanks), ignored)
    return UserTable(setting, path, data, facts, tuple(blanks))
