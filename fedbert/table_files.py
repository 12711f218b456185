"""Tables as files, CSV or Parquet: a user's are read whole, or refused in one line with file and rule."""

import csv
import io
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fedbert.errors import FedbertError, invalid
from fedbert.files import write_text

if TYPE_CHECKING:
    import pandas as pd


def read_table(name: str, path: Path, columns: Sequence[str]) -> pa.Table:
    """Return the table in `path`, which must have each of `columns` once and a row; `name` is the setting's.

    Text columns of a CSV stay text, so that ids keep their leading zeros. Raises FedbertError.
    """
    shown = str(path)
    if not path.is_file():
        raise invalid(name, shown, "be a file", "check the path")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise invalid(name, shown, "end in .csv or .parquet", "save it as one of them, or rename it")
    try:
        table = pq.read_table(path) if path.suffix.lower() == ".parquet" else _read_csv(name, path)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise invalid(name, shown, f"be a readable table ({reason})", "mend the file") from None
    except OSError as error:
        raise invalid(name, shown, f"be readable ({error.strerror or error})", "check the file") from None
    for column in columns:
        if column not in table.column_names:
            found = ", ".join(table.column_names)
            raise invalid(name, shown, f"have a column {column!r} (has: {found})", "rename or add it")
        if table.column_names.count(column) > 1:
            raise invalid(name, shown, f"have one column {column!r}, not several", "rename the others")
        kind = table[column].type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise invalid(name, shown, f"have plain values in column {column!r} (has {kind})", "flatten it")
    if table.num_rows == 0:
        raise invalid(name, shown, "have at least one row", "fill it")
    return table


def _read_csv(name: str, path: Path) -> pa.Table:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise invalid(name, str(path), f"be UTF-8 text (line {line} is not)", "save it as UTF-8") from None
    if not text.strip():
        raise invalid(name, str(path), "not be empty", "fill it")
    parse, content = pyarrow.csv.ParseOptions(newlines_in_values=True), text.encode()
    # The names come from the parser that reads the rows: Python's csv takes other line ends and longer cells.
    header = pyarrow.csv.open_csv(pa.BufferReader(content), parse_options=parse).schema.names
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        strings_can_be_null=False,
        quoted_strings_can_be_null=False,
    )
    return pyarrow.csv.read_csv(pa.BufferReader(content), parse_options=parse, convert_options=options)


def strings(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as text, '' where a value is missing."""
    text = column.cast(pa.string()).combine_chunks()
    return pc.fill_null(text, "")


def bad_row(path: Path, row: int, column: str, value: object, rule: str, next_step: str) -> FedbertError:
    """Return the error for one value; rows are counted from 0 here and from 1, below the header, in words."""
    return invalid(f"{path.name} row {row + 1}, {column}", value, rule, next_step)


def parquet_bytes(frame: "pd.DataFrame") -> bytes:
    """Return `frame` as the bytes of a Parquet file, without its index."""
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file of `rows`, each as long as `columns`, whole or not at all; raises FedbertError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each by column; for files that fedbert or its scripts know."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
