"""The files of a finished trade-off grid, and its report made again from them."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.errors import FedbertError
from fedbert.files import encoded
from fedbert.planning.tradeoff.frontier import FIGURES, KEYS, SPENT
from fedbert.planning.tradeoff.grid import FRONTIER, GRID_FILE, TRADEOFF_FILE
from fedbert.planning.tradeoff.paired import PAIRED
from fedbert.records import RecordKind, load_record
from fedbert.reporting.page_folder import REPORT_FILE, record_bytes, write_page
from fedbert.reporting.tradeoff.page import render
from fedbert.results import DeviceErrors
from fedbert.scenario import Scenario, build, read_toml
from fedbert.table_files import parquet_bytes
from fedbert.user_tables import read_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
CELLS_FILE = "cells.parquet"
LIMIT_BYTES = 1_000_000


class TradeoffRecord(TypedDict):
    """The whole of ``tradeoff.json``: what the tables do not say."""

    schema: int
    command: str
    device_errors: DeviceErrors | None


KIND: RecordKind[TradeoffRecord] = RecordKind(
    file=TRADEOFF_FILE,
    whose="a trade-off's",
    folder="a finished trade-off grid",
    again="run `fedbert tradeoff` again: finished cells are kept",
    shape=TradeoffRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


def contents(
    folder: Path,
    cells: "pd.DataFrame",
    frontier: "pd.DataFrame",
    command: str,
    device_errors: DeviceErrors | None = None,
) -> dict[str, bytes]:
    """Return the files of a finished grid by name; the scenario is read from the folder's ``grid.toml``."""
    record: TradeoffRecord = {"schema": SCHEMA, "command": command, "device_errors": device_errors}
    page = render(frontier, cells, _scenario(folder), command, device_errors)
    return {
        TRADEOFF_FILE: record_bytes(record),
        CELLS_FILE: parquet_bytes(cells),
        f"{FRONTIER}.parquet": parquet_bytes(frontier),
        f"{FRONTIER}.csv": encoded(frontier.to_csv(index=False)),
        REPORT_FILE: encoded(page),
    }


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from the grid's files; return its path.

    Raises:
        FedbertError: if one of them is missing or damaged, or the folder is in use or cannot be written.
    """
    record = load_record(KIND, folder)
    cells = _frame(folder / CELLS_FILE, ["seed"])
    columns = [f"{name}{end}" for name in (*FIGURES, *PAIRED) for end in ("", "_low", "_high")]
    frontier = _frame(folder / f"{FRONTIER}.parquet", [*KEYS, *SPENT, "bytes_per_report", *columns])
    page = render(frontier, cells, _scenario(folder), record["command"], record["device_errors"])
    return write_page(folder, page)


def _scenario(folder: Path) -> Scenario:
    return build(read_toml(folder / GRID_FILE))[0]


def _frame(path: Path, columns: list[str]) -> "pd.DataFrame":
    if not path.is_file():
        raise FedbertError(f"{path} must exist; {KIND.again}")
    others = read_table("folder", path, columns).facts.ignored_columns
    frame: pd.DataFrame = read_table("folder", path, columns, others).data.to_pandas()
    return frame
