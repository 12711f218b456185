"""The run folder: which files are in it, written all together or not at all; a finished run is never lost."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbert.errors import FedbertError, invalid
from fedbert.files import encoded, put, reason, replace_whole
from fedbert.interrupts import shielded
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.partial import is_stopped, render_partial
from fedbert.results import METRICS, RUN_FILE, RunResult, load_run, run_bytes
from fedbert.resume import can_be_resumed
from fedbert.run_folder import CHECKPOINT, commit, holding, reserve
from fedbert.scenario import EXECUTION_KEYS, build, scenario_toml
from fedbert.table_files import parquet_bytes

if TYPE_CHECKING:
    import pandas as pd

FILES = (RUN_FILE, "rounds.parquet", "devices.parquet", "scenario.toml", "report.html")
"""Everything that is written into a run folder."""

FINISHED = ".finished"
"""Where a finished run's result lies while its report is made; `rerender` completes it after a crash."""

OPTIONAL = (
    *METRICS,
    *("epsilon", "epsilon_unamplified", "loss", "scored_ndcg@10", "server_ndcg@10"),
    *(f"{group}ndcg@10{end}" for group in ("", "control_", "treated_") for end in ("", "_low", "_high")),
    "energy_mj_per_participant",
)
"""Columns of numbers that may be missing in a round."""

MARKS = (RUN_FILE, "scenario.toml", CHECKPOINT)
"""A folder with any of these is taken for a run's."""


def prepare_folder(path: Path, overwrite: bool) -> None:
    """Make the run folder `path` and lock it before a run, so that nothing keeps the result from it later.

    `fedbert.run_folder.release` unlocks it, and removes what was made if nothing has been written.

    Raises:
        FedbertError: if `path` is a file, cannot be made or written, is in use by another process, has
            something in it and `overwrite` is false, or has something in it that is not a run.
    """

    def check(present: list[str]) -> None:
        if not (path / FINISHED / RUN_FILE).is_file():
            present = [name for name in present if name != FINISHED]
        if can_be_resumed(path) and not overwrite:
            raise invalid(
                "output",
                str(path),
                "be empty or not exist, and holds a run that was stopped",
                f"go on with it by --resume {path}, add --overwrite or choose another --output",
            )
        if present and not overwrite:
            if FINISHED in present:
                raise invalid(
                    "output",
                    str(path),
                    "be empty or not exist, and holds a finished run without its report",
                    f"complete it with `fedbert report {path}` or choose another --output",
                )
            raise invalid(
                "output",
                str(path),
                "be empty or not exist",
                "add --overwrite or choose another --output",
            )
        if present and not any(mark in present for mark in (*MARKS, FINISHED, CHECKPOINT)):
            raise FedbertError(
                f"output(={str(path)!r}) must be a run folder to be overwritten, and has neither "
                f"{MARKS[0]} nor {MARKS[1]}; choose another --output"
            )
        for name in FILES:
            if (path / name).is_dir():
                raise invalid("output", str(path), f"hold no folder {name!r}", "choose another --output")

    reserve(path, check)


def rounds_table(result: RunResult) -> "pd.DataFrame":
    """Return the rounds, one row each; counts by name become columns such as "outcomes: too slow"."""
    import pandas as pd

    rows: list[dict[str, Any]] = [dict(row) for row in result["rounds"]]
    for key in ("outcomes", "installed", "staleness"):
        counts: list[dict[str, int]] = [row.pop(key, {}) for row in rows]
        names = list(dict.fromkeys(name for each in counts for name in each))
        for row, each in zip(rows, counts, strict=True):
            row |= {f"{key}: {name}": each.get(name, 0) for name in names}
    table = pd.DataFrame(rows)
    for name in OPTIONAL:
        if name in table:
            table[name] = table[name].astype("float64")
    for name in ("released", "users"):
        if name in table:
            table[name] = table[name].astype("Int64")
    return table


def effective_toml(result: RunResult) -> str:
    """Return the run's scenario as TOML that ``--config`` reads again."""
    values = result["scenario"]
    scenario, execution = build(values)
    return scenario_toml(scenario, execution if EXECUTION_KEYS & values.keys() else None)


def _derived(result: RunResult) -> dict[str, Callable[[], bytes]]:
    """Return the files that follow from `result` alone, each as the function that makes it."""
    return {
        "rounds.parquet": lambda: parquet_bytes(rounds_table(result)),
        "scenario.toml": lambda: encoded(effective_toml(result)),
        "report.html": lambda: encoded(render_report(result)),
    }


def write_run_folder(result: RunResult, devices_sample: "pd.DataFrame", folder: Path) -> None:
    """Write all of `FILES` into `folder`, all or none; other files in it stay, signals wait until it is done.

    The result itself is on the disk before the first table or figure is made of it.

    Raises:
        FedbertError: if the files cannot be made or written (full disk, no right); the line says where the
            result is kept: in `folder`, if that held no run, else beside it or where the system keeps
            temporary files.
    """
    content = _content(result)
    with shielded():
        try:
            with holding(folder):
                try:
                    _write(content, result, devices_sample, folder)
                except BaseException:
                    _promote(folder)
                    raise
        except Exception as error:
            place = _kept(content, folder)
            raise FedbertError(
                f"the run is finished, but {str(folder)!r} could not be written: {_line(error)}; its "
                f"result is kept: free some space, then `fedbert report {place}` makes the rest"
            ) from error
        except BaseException:
            sys.stderr.write(
                f"the run is finished: `fedbert report {_kept(content, folder)}` makes its report\n"
            )
            raise


def _content(result: RunResult) -> bytes:
    try:
        return run_bytes(result)
    except (TypeError, ValueError):
        # A number that is not finite is a fault, but not one that a finished run is thrown away for.
        return encoded(json.dumps(result, indent=1, default=str) + "\n")


def _line(error: Exception) -> str:
    return (
        reason(error)
        if isinstance(error, OSError | FedbertError)
        else f"{type(error).__name__}: {reason(error)}"
    )


def _write(content: bytes, result: RunResult, devices_sample: "pd.DataFrame", folder: Path) -> None:
    waiting = folder / FINISHED
    if waiting.is_dir():
        shutil.rmtree(waiting)  # of a run that this one replaces
    waiting.mkdir()
    replace_whole(waiting / RUN_FILE, content)
    devices = parquet_bytes(devices_sample)
    replace_whole(waiting / "devices.parquet", devices)
    _commit_all(folder, {RUN_FILE: content, "devices.parquet": devices}, result)


def _commit_all(folder: Path, contents: dict[str, bytes], result: RunResult) -> None:
    made = {name: make() for name, make in _derived(result).items()}
    commit(folder, made | contents, remove=[f"{FINISHED}/{name}" for name in (RUN_FILE, "devices.parquet")])


def _promote(folder: Path) -> None:
    """Make the waiting result that of `folder` if it holds no other."""
    waiting = folder / FINISHED
    with suppress(OSError):
        if (waiting / RUN_FILE).is_file() and not (folder / RUN_FILE).exists():
            for path in sorted(waiting.iterdir()):
                path.replace(folder / path.name)
        if waiting.is_dir() and not any(waiting.iterdir()):
            waiting.rmdir()


def _kept(content: bytes, folder: Path) -> Path:
    """Return the folder whose ``run.json`` is `content`, writing it where that is possible."""
    with suppress(OSError):
        if (folder / RUN_FILE).read_bytes() == content:
            return folder
    waiting = folder / FINISHED
    with suppress(OSError):
        if (waiting / RUN_FILE).read_bytes() == content:
            place = _beside(folder)
            waiting.rename(place)  # needs no space; `place` is empty
            return place
    ways: list[Callable[[], Path]] = [lambda: _beside(folder), _in_the_system_s]
    for make in ways:
        with suppress(OSError, ValueError):
            place = make()
            put(place / RUN_FILE, content)
            return place
    raise FedbertError(
        f"the run is finished, but its result could not be written to {str(folder)!r}, beside it or to "
        f"{tempfile.gettempdir()!r}; free some space and run it again"
    )


def _in_the_system_s() -> Path:
    return Path(tempfile.mkdtemp(prefix="fedbert-recovered-"))


def _beside(folder: Path) -> Path:
    for number in range(1, 1_000):
        place = folder.with_name(f"{folder.name}-recovered" + (f"-{number}" if number > 1 else ""))
        with suppress(FileExistsError):
            place.mkdir(parents=True)
            return place
    raise FileExistsError(f"{folder.name}-recovered")


def rerender(folder: Path) -> Path:
    """Write ``report.html`` again from `folder`'s ``run.json``, and what else is missing; return its path.

    A result that waits for its report since a crash becomes the folder's. A run that was stopped gets a
    report of its finished rounds.

    Raises:
        FedbertError: if `folder` is not a run's, is in use or cannot be written.
    """
    waiting = folder / FINISHED
    partial = is_stopped(folder) and not (waiting / RUN_FILE).is_file()
    if not partial:
        load_run(waiting if (waiting / RUN_FILE).is_file() else folder)
    with holding(folder):
        try:
            if partial:
                commit(folder, {"report.html": encoded(render_partial(folder))})
            else:
                _rerender(folder, waiting if (waiting / RUN_FILE).is_file() else folder)
        except OSError as error:
            raise FedbertError(
                f"{str(folder)!r} could not be written: {reason(error)}; free some space"
            ) from None
    return folder / "report.html"


def _rerender(folder: Path, source: Path) -> None:
    result = load_run(source)
    try:
        made = {
            name: make()
            for name, make in _derived(result).items()
            if source != folder or name == "report.html" or not (folder / name).exists()
        }
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FedbertError(
            f"{source / RUN_FILE} must be a whole run's, and is not ({_line(error)}); run the scenario again"
        ) from error
    if source == folder:
        shutil.rmtree(folder / FINISHED, ignore_errors=True)  # half a result, of a process that was killed
        commit(folder, made)
        return
    for name in (RUN_FILE, "devices.parquet"):
        if (source / name).is_file():
            made[name] = (source / name).read_bytes()
    stale = [] if "devices.parquet" in made else ["devices.parquet"]  # those of the run before
    commit(folder, made, remove=[*stale, *(f"{FINISHED}/{path.name}" for path in source.iterdir())])
