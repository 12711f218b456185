"""fedbert in Python: run a scenario, read its tables, save and load run folders."""

import html
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbert.errors import FedbertError, invalid
from fedbert.files import reason
from fedbert.results import Gap, PrivacyRow, RunResult, audit_failure, load_run
from fedbert.resume import can_be_resumed, finish
from fedbert.run_folder import release, reserve
from fedbert.scenario import Execution, Scenario

if TYPE_CHECKING:
    import pandas as pd

DEVICES_FILE = "devices.parquet"

REPORT_HEIGHT_PX = 720
"""Height of a report inside a notebook; it scrolls."""


@dataclass(frozen=True)
class Report:
    """A run's report: one page that needs nothing else. A notebook shows it."""

    html: str = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the page to `path` and return it; raises FedbertError if it cannot be written."""
        from fedbert.files import write_text

        write_text(Path(path), self.html)
        return Path(path)

    def _repr_html_(self) -> str:
        page = html.escape(self.html, quote=True)
        style = f"width:100%;height:{REPORT_HEIGHT_PX}px;border:0"
        return f'<iframe srcdoc="{page}" style="{style}" title="report of a run"></iframe>'


@dataclass(frozen=True)
class Run:
    """What came out of a run.

    Attributes:
        result: the whole of ``run.json``; the columns and keys are in the data dictionary.
        devices: a sample of the fleet, one row per device; empty if a loaded folder lacks it.
    """

    result: RunResult = field(repr=False)
    devices: "pd.DataFrame" = field(repr=False)

    @property
    def finished(self) -> bool:
        """Whether the run reached its last round; one that was stopped holds the rounds before."""
        return self.result["status"] == "finished"

    @cached_property
    def rounds(self) -> "pd.DataFrame":
        """One row per round; round 0 is the window before the first."""
        from fedbert.reporting.run.folder import rounds_table

        return rounds_table(self.result)

    @cached_property
    def tiers(self) -> "pd.DataFrame":
        """One row per device tier, over the whole run; `tier` is the index."""
        return _table(self.result["tiers"].values(), index=self.result["tiers"], name="tier")

    @cached_property
    def comparison(self) -> "pd.DataFrame":
        """One row per ranking system, on the same evaluation sessions; `low` and `high` are of ndcg@10."""
        return _table(self.result["comparison"])

    @property
    def gap(self) -> Gap | None:
        """What the signals won between release 0 and the pooled-data bound; None if that was not trained."""
        return self.result["gap"]

    @property
    def privacy(self) -> PrivacyRow:
        """The bounds of the run, each with its adversary and unit."""
        return self.result["privacy"]

    def report(self) -> Report:
        """Return the report; as the last line of a notebook's cell it is shown."""
        from fedbert.reporting.run.page import render_report

        return Report(render_report(self.result))

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the run folder that the command would write, and return it.

        Raises FedbertError if `folder` has something in it and `overwrite` is false, or cannot be written.
        """
        from fedbert.reporting.run.folder import prepare_folder, write_run_folder

        path = Path(folder)
        try:
            prepare_folder(path, overwrite)
            write_run_folder(self.result, self.devices, path)
        finally:
            release(path)
        return path

    def __repr__(self) -> str:
        from fedbert.reporting.run.sentences import headline

        return f"<Run {self.result['name']}: {headline(self.result)}>"


def run(
    scenario: Scenario | None = None,
    execution: Execution | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Simulate `scenario` and return what came out.

    Args:
        scenario: what is simulated; `Scenario()` is 10,000 devices and 12 rounds, `Scenario.quick()` takes
            seconds.
        execution: how it is computed; no figure depends on it.
        folder: run folder to write. A run that was stopped in it goes on: call `run` again as before.
        progress: whether each round is shown, in a notebook too.

    Interrupting the kernel, or Ctrl-C, ends a run with the rounds that are finished. Raises FedbertError
    for whatever is wrong with the scenario's files or the folder, and RunStopped if something failed on the
    way. Warns if the audit of a private run found a fault.
    """
    scenario, execution = scenario or Scenario(), execution or Execution()
    place = Path(folder) if folder is not None else execution.output
    if place is None:
        if execution.trackers:
            raise invalid("trackers", execution.trackers, "come with a folder", "give run one")
        return _sound(_simulated(scenario, execution, progress))
    from fedbert.reporting.run.folder import prepare_folder, write_run_folder
    from fedbert.tracking.registry import open_trackers

    try:
        resume = place.is_dir() and can_be_resumed(place)
        if resume:
            reserve(place)
        else:
            prepare_folder(place, execution.overwrite)
        trackers = open_trackers(execution.trackers, warnings.warn)
        try:
            out = _simulated(scenario, execution, progress, folder=place, resume=resume, trackers=trackers)
            write_run_folder(out.result, out.devices, place)
            if out.finished:
                finish(place)
            trackers.finished(out.result)
        finally:
            trackers.stopped("the run was stopped")
    finally:
        release(place)
    return _sound(out)


def _sound(run: Run) -> Run:
    """Return `run`, with a warning that nobody overlooks if its audit found a fault."""
    fault = audit_failure(run.result)
    if fault is not None:
        warnings.warn(str(fault), stacklevel=3)
    return run


def _simulated(scenario: Scenario, execution: Execution, progress: bool, **where: Any) -> Run:
    """Run the simulation, shown or silently; `where` are its folder, whether it goes on, and trackers."""
    from fedbert.cli.run_progress import RunProgress
    from fedbert.simulation.simulate import run as simulate

    where["command"] = _call(scenario)
    if not progress:
        output = simulate(scenario, execution, **where)
        return Run(output.result, output.devices)
    with RunProgress() as shown:
        shown.start(scenario, execution)
        output = simulate(scenario, execution, shown, **where)
    return Run(output.result, output.devices)


def _call(scenario: Scenario) -> str:
    """Return the call that makes this run, for its provenance."""
    changed = scenario.model_dump(mode="json", exclude_defaults=True)
    return f"fedbert.run(fedbert.Scenario({', '.join(f'{key}={value!r}' for key, value in changed.items())}))"


def load(folder: str | Path) -> Run:
    """Return the run in `folder`; raises FedbertError if there is none, or it is damaged."""
    import pandas as pd
    import pyarrow as pa

    path = Path(folder)
    result = load_run(path)
    if not (path / DEVICES_FILE).is_file():
        return Run(result, pd.DataFrame())
    try:
        return Run(result, pd.read_parquet(path / DEVICES_FILE))
    except (OSError, pa.ArrowException) as error:
        raise FedbertError(
            f"{str(path / DEVICES_FILE)!r} must be a readable table ({reason(error)}); run it again"
        ) from None


def _table(rows: Any, index: Any = None, name: str | None = None) -> "pd.DataFrame":
    """Return one row per mapping; what stands in a mapping inside becomes columns of its own."""
    import pandas as pd

    frame = pd.DataFrame([_flat(row) for row in rows], index=None if index is None else list(index))
    frame.index.name = name
    return frame


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose inner mappings are columns, "outer: inner"; metrics stand without "quality"."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if not isinstance(value, Mapping):
            flat[key] = value
            continue
        for inner, figure in _flat(value).items():
            flat[inner if key == "quality" else f"{key}: {inner}"] = figure
    return flat
