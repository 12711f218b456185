"""Tables that fedbert writes, and reads where it wrote them itself; a user's are for `user_tables`."""

import csv
import io
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fedbert.files import write_text

if TYPE_CHECKING:
    import pandas as pd


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
