"""Reading the folders of a comparison: all of one kind, all finished, or one line that says which is not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from fedbert.errors import FedbertError, invalid
from fedbert.planning.comparing.comparison import Side, lettered, run_variants
from fedbert.planning.comparing.forecast_view import forecast_view
from fedbert.planning.comparing.run_view import run_view
from fedbert.planning.comparing.views import Kind, View
from fedbert.planning.tradeoff.grid import CELLS
from fedbert.records import load_record
from fedbert.reporting.capacity.record import load_forecast
from fedbert.reporting.render import kind_of
from fedbert.reporting.tradeoff.folder import CELLS_FILE, KIND
from fedbert.results import load_run
from fedbert.user_tables import read_table

WORDS: dict[Kind, str] = {"run": "a run", "tradeoff": "a trade-off grid", "capacity": "a capacity forecast"}
OTHERS = {
    "backtest": "a back-test",
    "budget": "a privacy plan",
    "compare": "a comparison",
    "compression": "a compression",
}
MOST_FOLDERS = 200

CELL_KEYS = ["signal", "mechanism", "budget", "seed"]
"""Columns of a grid's table of cells that name one."""


def read(folders: Sequence[Path]) -> tuple[Kind, tuple[Side, ...]]:
    """Return the kind of `folders`, and what is compared of them by side.

    Raises:
        FedbertError: for fewer than two, one that is named twice, folders of different kinds, or one that is
            unfinished, damaged or of another schema.
    """
    if not 2 <= len(folders) <= MOST_FOLDERS:
        raise invalid("folders", len(folders), f"be 2 to {MOST_FOLDERS}", "name those to compare")
    kind = _kind(folders)
    _refuse_twice(folders)
    if kind == "run":
        views = [run_view(load_run(folder), str(folder)) for folder in folders]
        return kind, lettered(run_variants(views))
    if kind == "tradeoff":
        return kind, lettered([_cells(folder) for folder in folders])
    return kind, lettered([[forecast_view(load_forecast(folder)[0], str(folder))] for folder in folders])


def _refuse_twice(folders: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise invalid("folder", str(folder), "be named once", "name another to compare it with")
        seen.add(folder.resolve())


def _kind(folders: Sequence[Path]) -> Kind:
    kinds = [kind_of(folder) for folder in folders]
    for folder, kind in zip(folders, kinds, strict=True):
        if kind not in WORDS:
            raise invalid(
                "folder",
                str(folder),
                f"be that of {', '.join(list(WORDS.values())[:2])} or {WORDS['capacity']}, not of "
                f"{OTHERS[kind]}",
                "name another",
            )
        if kind != kinds[0]:
            first, other = (WORDS[cast(Kind, each)] for each in (kinds[0], kind))
            raise invalid(
                "folder",
                str(folder),
                f"be that of {first} as {str(folders[0])!r} is, and is that of {other}",
                "compare folders of one kind",
            )
    return cast(Literal["run", "tradeoff", "capacity"], kinds[0])


def _cells(folder: Path) -> list[View]:
    """Return the cells of a finished grid; those of a larger one that stood there before are left out."""
    load_record(KIND, folder)
    path = folder / CELLS_FILE
    if not path.is_file():
        raise FedbertError(f"{path} must exist; {KIND.again}")
    others = read_table("folder", path, CELL_KEYS).facts.ignored_columns
    table = read_table("folder", path, CELL_KEYS, others).data.to_pandas()
    wanted = {
        (f"{row.signal}, {row.mechanism}, epsilon {row.budget}", int(row.seed)) for row in table.itertuples()
    }
    found: dict[tuple[str, int], View] = {}
    for cell in sorted((folder / CELLS).glob("*/run.json")):
        view = run_view(load_run(cell.parent), str(folder), in_grid=True)
        if (view.arm, view.seed) in wanted:
            found[view.arm, view.seed] = view
    if lacking := sorted(wanted - found.keys()):
        arm, seed = lacking[0]
        raise FedbertError(f"{folder / CELLS} must hold the run of {arm}, seed {seed}; {KIND.again}")
    return [found[key] for key in sorted(found)]
