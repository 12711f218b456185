"""``fedbert report FOLDER``: the report of whatever command wrote the folder, made again from its files."""

import importlib
from collections.abc import Callable
from pathlib import Path

from fedbert.errors import invalid
from fedbert.run_folder import CHECKPOINT, recover

MARKS = {
    "backtest": ("backtest.json",),
    "budget": ("budget.json",),
    "capacity": ("capacity.json",),
    "compare": ("compare.json",),
    "compression": ("compression.json",),
    "tradeoff": ("grid.toml",),
    "run": ("run.json", "rounds.jsonl", ".finished", CHECKPOINT),
}
"""What a folder of each kind holds, by its first file that is found; a forecast's folder may hold a run's."""


def kind_of(folder: Path) -> str:
    """Return which of `MARKS` wrote `folder`.

    Raises:
        FedbertError: if it is no folder, or none of them.
    """
    if not _is_folder(folder):
        raise invalid("folder", str(folder), "be a folder that exists", "check the path")
    recover(folder)
    for kind, names in MARKS.items():
        if any((folder / name).exists() for name in names):
            return kind
    raise invalid(
        "folder",
        str(folder),
        "hold run.json, rounds.jsonl, grid.toml, budget.json, capacity.json, backtest.json, compare.json or "
        "compression.json",
        "name the folder of a run, a trade-off, a plan, a forecast, a back-test, a comparison or a "
        "compression (NAME-report)",
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have
        return False


def rerender(folder: Path) -> Path:
    """Write the report of `folder` again from the files in it; return the page's path.

    Nothing is simulated or measured again: the page equals the one that the command wrote.

    Raises:
        FedbertError: if the folder is of no known kind, lacks a file, or is in use or cannot be written.
    """
    module = importlib.import_module(f"fedbert.reporting.{kind_of(folder)}.folder")
    again: Callable[[Path], Path] = module.rerender
    return again(folder)
