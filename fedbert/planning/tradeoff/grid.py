"""The trade-off grid: one scenario for each arm and seed, on all cores, finished cells kept.

A folder holds ``grid.toml`` (the scenario without signal, mechanism, epsilon and seed), ``run.json`` in each
``cells/<arm>-<seed>/``, and ``shared/``, what all arms of a seed have in common.
A second call with the same scenario computes only what is missing; a cell that was stopped goes on from its
last checkpoint.
"""

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedbert import output_folder as output
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile, read_text, write_text
from fedbert.planning.tradeoff.arms import Cell
from fedbert.planning.workers import run_calls
from fedbert.results import RunResult, audit_failure, load_run, save_run
from fedbert.resume import finish
from fedbert.run_folder import reserve
from fedbert.scenario import DEFAULTS, SCENARIO_KEYS, Execution, Scenario, anchored, build, scenario_toml

GRID_FILE = "grid.toml"
TRADEOFF_FILE = "tradeoff.json"
CELLS = "cells"
SHARED = "shared"
FRONTIER = "frontier"
OWN = frozenset(
    {
        *(GRID_FILE, CELLS, SHARED, TRADEOFF_FILE, "cells.parquet", "report.html"),
        *(f"{FRONTIER}.csv", f"{FRONTIER}.parquet"),
    }
)
"""All that this command writes into its folder."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
}
"""One thread a worker. The server's training keeps its two, on which its bits depend; beside other workers
they sleep as soon as they wait."""

Simulate = Callable[[Scenario, Execution, str], RunResult]
"""(scenario, execution, command) -> result. Must be a function of a module: workers import it by name.

`Execution.output`, if any, is the run's own folder: what it goes on from after it was stopped lies there.
"""


@dataclass(frozen=True)
class Progress:
    """How far the grid is."""

    done: int
    total: int
    last: str  # the cell that just ended, in words
    seconds: float  # since the start of this call
    seconds_left: float | None  # None before a first cell of this call has ended


Report = Callable[[Progress], None]


def _grid_text(scenario: Scenario) -> str:
    plain = {key: DEFAULTS.model_dump()[key] for key in ("signal", "mechanism", "epsilon")}
    return scenario_toml(scenario.model_copy(update=plain | {"seed": 0}))


def open_folder(folder: Path, scenario: Scenario, overwrite: bool) -> None:
    """Hold `folder` and make it ready for the grid of `scenario`: new, taken up again, or emptied.

    `fedbert.run_folder.release` gives it free. Raises FedbertError if the folder is in use, holds something
    else, or the grid of another scenario.
    """
    text = _grid_text(scenario)
    refuse_foreign = output.foreign_check(folder, OWN)

    def check(present: list[str]) -> None:
        if overwrite:
            refuse_foreign(present)
        elif present:
            _refuse_other(folder, text)

    reserve(folder, check)
    if overwrite:
        # The tables go as the scenario comes, all at once; cells of another scenario are never taken up.
        output.write_together(folder, {GRID_FILE: text.encode()}, sorted(OWN - {GRID_FILE, CELLS}))
        output.remove_folder(folder / CELLS)
    else:
        output.remove_temporary(folder / CELLS)
        write_text(folder / GRID_FILE, text)


def _refuse_other(folder: Path, text: str) -> None:
    try:
        before = read_text(folder / GRID_FILE)
    except UnreadableFile:
        raise FedbertError(
            f"output(={str(folder)!r}) must be empty or hold a trade-off grid; choose another --output"
        ) from None
    if before != text:
        old, new = set(before.splitlines()), set(text.splitlines())
        change = "; ".join(sorted(old - new)[:1] + [f"now {line}" for line in sorted(new - old)[:1]])
        raise FedbertError(
            f"output(={str(folder)!r}) holds the grid of another scenario ({change}); "
            "choose another --output or add --overwrite"
        )


def load_cell(folder: Path, cell: Cell) -> RunResult | None:
    """Return a finished cell's result, or None if it is missing, unfinished or of another scenario."""
    try:
        result = load_run(folder / CELLS / cell.name)
        values = {key: value for key, value in result["scenario"].items() if key in SCENARIO_KEYS}
        same = anchored(build(values)[0]) == anchored(cell.scenario)
    except (FedbertError, KeyError, AttributeError):
        return None
    return result if same and result.get("status") == "finished" else None


def run_grid(
    folder: Path,
    cells: Sequence[Cell],
    simulate: Simulate,
    jobs: int,
    report: Report = lambda _: None,
    command: str = "",
) -> list[RunResult]:
    """Run what is missing of `cells` in `jobs` worker processes; return all results in the cells' order.

    Raises FedbertError naming the failed cells, once the others are finished and kept. On Ctrl-C the workers
    are stopped, finished cells stay, and KeyboardInterrupt goes on.
    """
    results = {cell.name: load_cell(folder, cell) for cell in cells}
    missing = [cell for cell in cells if results[cell.name] is None]
    failed: list[str] = []
    start = time.monotonic()
    finished_before = len(cells) - len(missing)
    if missing:
        report(Progress(finished_before, len(cells), "", 0.0, None))
    with closing(_completed(folder, missing, simulate, jobs, command)) as completed:
        for count, (cell, outcome) in enumerate(completed, 1):
            if isinstance(outcome, str):
                failed.append(f"{cell.words}: {outcome}")
            else:
                save_run(outcome, folder / CELLS / cell.name)
                finish(folder / CELLS / cell.name)
                results[cell.name] = outcome
            seconds = time.monotonic() - start
            left = seconds / count * (len(missing) - count)
            report(Progress(finished_before + count, len(cells), cell.words, seconds, left))
    if failed:
        more = f" (and {len(failed) - 1} more cells)" if len(failed) > 1 else ""
        raise FedbertError(f"cell failed: {failed[0]}{more}; finished cells are kept, run the command again")
    return [result for cell in cells if (result := results[cell.name]) is not None]


def _completed(
    folder: Path, cells: Sequence[Cell], simulate: Simulate, jobs: int, command: str
) -> Generator[tuple[Cell, RunResult | str]]:
    """Yield (cell, result or one line about its failure) as they end."""
    cache = folder / SHARED
    calls = [
        (
            simulate,
            cell.scenario,
            Execution(shards=1, output=folder / CELLS / cell.name, cache=cache),
            command,
        )
        for cell in cells
    ]
    with _worker_environment(), closing(run_calls(_run_cell, calls, jobs)) as ended:
        for index, future in ended:
            yield cells[index], _outcome(future)


def _outcome(future: "Future[RunResult | str]") -> RunResult | str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "its worker process was killed (out of memory?); try fewer --jobs"
    except Exception as error:
        return _one_line(error)


def _one_line(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, FedbertError)
        else f"{type(error).__name__}: {error}".replace("\n", " ")
    )


def _run_cell(simulate: Simulate, scenario: Scenario, execution: Execution, command: str) -> RunResult | str:
    try:
        return simulate(scenario, execution, command)
    except Exception as error:
        return _one_line(error)


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Give processes started inside the workers' environment."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def simulate(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation silently and return its result; the device sample is dropped.

    With an `output` the run keeps checkpoints there, and goes on from what a stopped run of the same scenario
    left; what another version of fedbert left is dropped, with one line on standard error.
    """
    from fedbert.resume import OtherRun, can_be_resumed
    from fedbert.run_folder import holding
    from fedbert.simulation.simulate import run

    folder = execution.output
    if folder is None:
        return _sound(run(scenario, execution, None, command).result)
    with holding(folder):
        resume = can_be_resumed(folder)
        try:
            return _sound(run(scenario, execution, None, command, folder=folder, resume=resume).result)
        except OtherRun as error:
            sys.stderr.write(f"{folder.name} begins again: {error}\n")
        return _sound(run(scenario, execution, None, command, folder=folder).result)


def _sound(result: RunResult) -> RunResult:
    """Return `result`; raises AuditFailed if its audit found a fault: no cell rests on a false epsilon."""
    fault = audit_failure(result)
    if fault is not None:
        raise fault
    return result
