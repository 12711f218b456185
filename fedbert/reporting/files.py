"""The run folder: which files are in it, written all together or not at all."""

import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbert.errors import FedbertError
from fedbert.reporting.html import render_report
from fedbert.results import RunResult, load_run, save_run, write_bytes_atomically, write_text_atomically
from fedbert.scenario import EXECUTION_KEYS, build, scenario_toml

if TYPE_CHECKING:
    import pandas as pd

FILES = ("run.json", "rounds.parquet", "devices.parquet", "scenario.toml", "report.html")
"""Everything that is written into a run folder."""

OPTIONAL = (
    "epsilon",
    "epsilon_unamplified",
    "loss",
    "scored_ndcg@10",
    "control_ndcg@10",
    "treated_ndcg@10",
    "energy_mj_per_participant",
)
"""Columns of numbers that may be missing in a round."""

MARKS = ("run.json", "scenario.toml")
"""A folder with any of these is taken for a run's."""


def prepare_folder(path: Path, overwrite: bool) -> None:
    """Check before a run that its folder can be written later; creates nothing.

    Raises:
        FedbertError: if `path` is a file, cannot be written, has something in it and `overwrite` is false,
            or has something in it that is not a run.
    """
    if path.exists() and not path.is_dir():
        raise FedbertError(f"output(={str(path)!r}) must be a folder, not a file; choose another --output")
    try:
        present = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    except OSError as error:
        raise FedbertError(f"output(={str(path)!r}) must be readable: {error.strerror}") from None
    if present and not overwrite:
        raise FedbertError(
            f"output(={str(path)!r}) must be empty or not exist; add --overwrite or choose another --output"
        )
    if present and not any(mark in present for mark in MARKS):
        raise FedbertError(
            f"output(={str(path)!r}) must be a run folder to be overwritten, and has neither "
            f"{MARKS[0]} nor {MARKS[1]}; choose another --output"
        )
    nearest = path.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise FedbertError(
            f"output(={str(path)!r}) must be in a folder that can be written, {str(nearest)!r} cannot; "
            "choose another --output"
        )


def rounds_table(result: RunResult) -> "pd.DataFrame":
    """Return the rounds, one row each; counts by name become columns such as "outcomes: too slow"."""
    import pandas as pd

    rows: list[dict[str, Any]] = [dict(row) for row in result["rounds"]]
    for key in ("outcomes", "installed"):
        counts: list[dict[str, int]] = [row.pop(key) for row in rows]
        names = list(dict.fromkeys(name for each in counts for name in each))
        for row, each in zip(rows, counts, strict=True):
            row |= {f"{key}: {name}": each.get(name, 0) for name in names}
    table = pd.DataFrame(rows)
    for name in OPTIONAL:
        if name in table:
            table[name] = table[name].astype("float64")
    if "released" in table:
        table["released"] = table["released"].astype("Int64")
    return table


def _parquet(table: "pd.DataFrame") -> bytes:
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def effective_toml(result: RunResult) -> str:
    """Return the run's scenario as TOML that ``--config`` reads again."""
    values = {key: value for key, value in result["scenario"].items() if value is not None}
    scenario, execution = build(values)
    return scenario_toml(scenario, execution if EXECUTION_KEYS & values.keys() else None)


def write_run_folder(result: RunResult, devices_sample: "pd.DataFrame", folder: Path) -> None:
    """Write all of `FILES` into `folder`, which is made if it does not exist; other files in it stay.

    The files are complete in a temporary folder before the first is moved; ``run.json`` comes last.

    Raises:
        FedbertError: if they cannot be written (full disk, no right); then nothing of them is left.
    """
    contents = {
        "rounds.parquet": _parquet(rounds_table(result)),
        "devices.parquet": _parquet(devices_sample),
        "scenario.toml": effective_toml(result).encode("utf-8"),
        "report.html": render_report(result).encode("utf-8"),
    }
    existed = folder.is_dir()
    partial = folder / ".partial" if existed else folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, data in contents.items():
            write_bytes_atomically(partial / name, data)
        save_run(result, partial)
        if existed:
            for name in (*contents, "run.json"):
                (partial / name).replace(folder / name)
        else:
            partial.replace(folder)
    except OSError as error:
        raise FedbertError(
            f"{folder} could not be written: {error.strerror}; free some space or choose another --output"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def rerender(folder: Path) -> Path:
    """Write ``report.html`` anew from the ``run.json`` in `folder` and return its path.

    Raises:
        FedbertError: if `folder` is not a run's or cannot be written.
    """
    path = folder / "report.html"
    write_text_atomically(path, render_report(load_run(folder)))
    return path
