"""CSV of a user's: separator and header found, and every row read or refused by its number.

Fields are separated by comma, tab or semicolon, as the header shows; lines end in any of the three ways; a
byte-order mark is taken off. Quotes must close, and each row has as many fields as the header.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fedbert.errors import FedbertError, invalid

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon"}

MOST_ROWS = 200_000_000
"""Most rows of a table: a Parquet file of a few kilobytes can claim thousands of millions."""

_HEADER_LETTERS = 1_000_000
_ROWS_AT_A_TIME = 65_536
_SPREADSHEET_HINT = re.compile(r"\Asep=[,;\t](\r\n|\r|\n|\Z)", re.IGNORECASE)
"""A first line that some spreadsheets write: it names the separator, which the header shows as well."""
_LINE_END = re.compile(r"\r\n|\r|\n")


class Header(NamedTuple):
    """The names of the columns, without blanks around them, and what separates them."""

    names: list[str]
    separator: str


def decoded(setting: str, path: Path, content: bytes) -> str:
    """Return `content` as text; raises FedbertError naming the line that is no UTF-8, or holds a NUL."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"be UTF-8 text (line {_line(content[: error.start].decode('latin-1'))} is not)"
        raise invalid(setting, str(path), rule, "save it as UTF-8") from None
    if (place := text.find("\0")) >= 0:
        rule = f"hold no NUL (line {_line(text[:place])} has one)"
        raise invalid(setting, str(path), rule, "save it as UTF-8 text")
    text = _SPREADSHEET_HINT.sub("", text, count=1)
    if not text.strip():
        raise invalid(setting, str(path), "not be empty", "fill it")
    return text


def _line(before: str) -> int:
    return len(_LINE_END.findall(before)) + 1


def _reader(text: str, separator: str) -> "Reader":
    # Blanks after a separator are skipped: a quote behind them opens a field as well.
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)


def _blank(record: list[str]) -> bool:
    return not any(cell.strip() for cell in record)


def first_names(text: str, separator: str) -> list[str]:
    """Return the names in the header, nothing if it cannot be read with that separator."""
    try:
        for record in _reader(text[:_HEADER_LETTERS], separator):
            if not _blank(record):
                return [cell.strip() for cell in record]
    except csv.Error:
        pass
    return []


def read_header(setting: str, path: Path, text: str, columns: Sequence[str]) -> Header:
    """Return the header with the separator that gives all of `columns`, or the most fields if none does.

    Raises FedbertError if there is none that can be read, or two separators fit.
    """
    found = {separator: first_names(text, separator) for separator in SEPARATORS}
    fitting = [separator for separator, header in found.items() if set(columns) <= set(header)]
    if len({len(found[separator]) for separator in fitting}) > 1:
        names = " or ".join(f"{SEPARATORS[separator]}s" for separator in fitting)
        rule = f"separate its fields in one way (its header can be split at {names})"
        raise invalid(setting, str(path), rule, "quote names that hold a separator")
    if fitting:
        return Header(found[fitting[0]], fitting[0])
    widest = max(found, key=lambda separator: len(found[separator]))
    if not found[widest]:
        rule = "have a header in its first line, with quotes that close"
        raise invalid(setting, str(path), rule, f"name the columns {', '.join(columns)} there")
    if len(found[widest]) == 1 and len(columns) > 1:
        rule = (
            f"have a column {next(name for name in columns if name not in found[widest])!r} (its header is "
            f"{found[widest][0][:80]!r}, without a comma, tab or semicolon that separates columns)"
        )
        raise invalid(setting, str(path), rule, f"write {','.join(columns)} as its first line")
    return Header(found[widest], widest)


def read_rows(
    setting: str, path: Path, text: str, header: Header, blanks: list[int]
) -> Iterator[list[list[str]]]:
    """Yield the rows below the header, some at a time, each as long as the header.

    The places of blank lines, which are no rows, go into `blanks`. Raises FedbertError for the first row with
    more or fewer fields, or with a quote that does not close in it.
    """
    width, reader = len(header.names), _reader(text, header.separator)
    batch: list[list[str]] = []
    seen, line, below = 0, 0, False
    try:
        for record in reader:
            lines, line = reader.line_num - line, reader.line_num
            if not below:
                below = not _blank(record)
                continue
            if len(record) != width:
                if len(record) > 1 or not _blank(record):
                    raise _ragged(setting, path, header, seen, len(record))
                # A quoted cell of nothing but line breaks is as many blank lines.
                blanks.extend(range(seen, seen + lines))
                seen += lines - 1
            else:
                if lines > 1 and _took_rows_in(record, header):
                    rule = f"close each quote in its own row (row {seen + 1} takes in {lines - 1} more)"
                    raise invalid(setting, str(path), rule, "close or double the quote that opens there")
                batch.append(record)
            seen += 1
            if len(batch) == _ROWS_AT_A_TIME:
                if seen > MOST_ROWS:
                    raise invalid(setting, str(path), f"have at most {MOST_ROWS:,} rows", "leave some out")
                yield batch
                batch = []
    except csv.Error as error:
        raise _unquoted(setting, path, seen, str(error)) from None
    if batch:
        yield batch


def _ragged(setting: str, path: Path, header: Header, row: int, count: int) -> FedbertError:
    width, name = len(header.names), SEPARATORS[header.separator]
    rule = f"have {width} fields in each row, as its header has (row {row + 1} has {count})"
    return invalid(setting, str(path), rule, f"quote fields that hold a {name}, or complete the row")


def _took_rows_in(record: list[str], header: Header) -> bool:
    """Return whether a record of several lines is several rows, which a stray quote has joined."""
    lines, separators = _LINE_END.split(header.separator.join(record)), len(header.names) - 1
    # Of two columns, one line break and one comma may well be text; many such lines are not.
    return separators * (len(lines) - 1) > 1 and all(
        line.count(header.separator) == separators for line in lines
    )


def _unquoted(setting: str, path: Path, row: int, reason: str) -> FedbertError:
    if "unexpected end" in reason:
        rule, next_step = f"close the quote that opens in row {row + 1}", "close or double it"
    elif "field larger" in reason:
        most = f"{csv.field_size_limit():,}"
        rule = f"have cells of at most {most} letters (row {row + 1} has a longer one)"
        next_step = "shorten it, or close its quote"
    else:
        rule = f"have a separator or a line end after a closing quote (row {row + 1} has not)"
        next_step = "close or double the quotes in it"
    return invalid(setting, str(path), rule, next_step)
