"""Every write of a grid, a forecast, a compression, a head, a report and keys fails once: nothing is lost.

Those of a run are in `test_faults.py`. What is dear (simulations, trainings, pages) is stubbed; every file is
written by the product's own code.
"""

import contextlib
import functools
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from faults.writes import Written, fail_each
from planning import planning_fakes as fakes
from reporting.example_compression import example_compression
from reporting.example_run import example_run

from fedbert.cli.main import call
from fedbert.cli.tradeoff import run_tradeoff
from fedbert.ei_bert.artefact.artefact import Artefact, load_artefact, save_artefact, with_heads
from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.pretrained import EiBert
from fedbert.errors import FedbertError
from fedbert.paths import models_folder
from fedbert.planning.capacity.base_run import read_base_run
from fedbert.planning.tradeoff.arms import plan
from fedbert.planning.tradeoff.grid import load_cell
from fedbert.planning.tradeoff.settings import GridSettings
from fedbert.reporting.capacity.record import load_forecast
from fedbert.results import load_run, run_bytes
from fedbert.scenario import DEFAULTS, build


def _call(name: str, *words: str) -> None:
    """Run a command; what it ends with is raised again: FedbertError with its line, or KeyboardInterrupt."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = call(name, words)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise FedbertError(said.getvalue())


def _here(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """Do in this process what workers do: `fedbert.planning.workers.run_calls`."""
    for index, arguments in enumerate(calls):
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        yield index, future


# -- a grid -----------------------------------------------------------------------------------------------


def _grid(place: Path, seed: int, overwrite: bool = False) -> None:
    asked = {"epsilons": ["2", "none"], "seeds": 1, "output": place / "g", "jobs": 1, "overwrite": overwrite}
    with (
        mock.patch("fedbert.planning.tradeoff.grid.run_calls", _here),
        mock.patch("fedbert.reporting.tradeoff.folder.render", lambda *given: f"<html>{given[2].rounds}"),
        mock.patch("fedbert.planning.tradeoff.frontier.frontier_frame", lambda cells: cells[["epsilon"]]),
        mock.patch("fedbert.reporting.tradeoff.folder.parquet_bytes", lambda frame: b"rows"),
        mock.patch("fedbert.reporting.tradeoff.terminal.terminal_tables", lambda *given: []),
        mock.patch("fedbert.cli.tradeoff.console_for_tables", mock.MagicMock()),
        mock.patch("fedbert.cli.tradeoff.command_line", lambda: "fedbert tradeoff"),
    ):
        flags = {"devices": "100", "rounds": str(seed), "mechanism": DEFAULTS.mechanism}
        run_tradeoff(GridSettings.model_validate(asked), flags, None, fakes.fake_run)


def _grid_state(place: Path) -> str:
    """Return whose the tables are; they and the scenario must be of one grid, and no cell of two."""
    folder = place / "g"
    if not (folder / "tradeoff.json").is_file():
        return "none"
    rounds = json.loads((folder / "cells" / f"prototypes-{DEFAULTS.mechanism}-2-0" / "run.json").read_text())[
        "scenario"
    ]["rounds"]
    assert f"rounds = {rounds}\n" in (folder / "grid.toml").read_text()
    assert (folder / "report.html").read_text() == f"<html>{rounds}"
    cells = plan(build({"devices": 100, "rounds": rounds})[0], [2.0, None], 1)
    assert all(load_cell(folder, cell) is not None for cell in cells)
    return {4: "old", 5: "new"}[rounds]


@pytest.mark.parametrize("overwrite", [False, True])
def test_every_write_of_a_grid_fails_once(tmp_path: Path, overwrite: bool) -> None:
    """A new grid, and one in place of an older one: the old tables, the new ones, or cells to go on from."""

    def before(place: Path) -> None:
        if overwrite:
            _grid(place, 4)

    grid = Written(
        before,
        lambda place: _grid(place, 5, overwrite),
        _grid_state,
        lambda place: _grid(place, 5, overwrite),
    )
    assert fail_each(grid, tmp_path) > 40


# -- a forecast -------------------------------------------------------------------------------------------


def _forecast(place: Path, devices: int) -> None:
    flags = ["--devices", str(devices), "--output", str(place / "c"), "--from", str(place / "base")]
    with (
        mock.patch("fedbert.reporting.capacity.folder.render", lambda *given: f"<html>{devices}"),
        mock.patch(
            "fedbert.planning.capacity.forecast.forecast", lambda base, plan, *given: _FORECASTS[plan.devices]
        ),
        mock.patch("fedbert.cli.capacity.console_for_tables", mock.MagicMock()),
    ):
        _call("capacity", *flags, "--overwrite")


_FORECASTS: dict[int, Any] = {}


def _forecast_state(place: Path) -> str:
    folder = place / "c"
    if not (folder / "capacity.json").is_file():
        return "none"
    devices = load_forecast(folder)[0].plan.devices
    assert (folder / "report.html").read_text() == f"<html>{devices}"
    return {1_000_000: "old", 2_000_000: "new"}[devices]


def test_every_write_of_a_forecast_fails_once(tmp_path: Path) -> None:
    """A forecast in place of an older one: the old, or the new, never files of both."""
    from fedbert.planning.capacity.forecast import forecast
    from fedbert.planning.capacity.settings import CapacitySettings

    base = tmp_path / "base"
    base.mkdir()
    (base / "run.json").write_bytes(run_bytes(fakes.fake_run(*build({"devices": 2_000}))))
    whole = read_base_run(base)
    for devices in (1_000_000, 2_000_000):
        asked = CapacitySettings(devices=devices).plan(whole)
        _FORECASTS.setdefault(devices, forecast(whole, asked))

    def before(place: Path) -> None:
        shutil.copytree(base, place / "base")
        _forecast(place, 1_000_000)

    def run(place: Path) -> None:
        _forecast(place, 2_000_000)

    assert fail_each(Written(before, run, _forecast_state, run), tmp_path) > 15


# -- a compression ----------------------------------------------------------------------------------------


_GOAL = mock.MagicMock(plan=TaskPlan())


@functools.cache
def _artefact(label: str) -> Artefact:
    """Return the shipped tiny model under a manifest that says `label`."""
    first = load_artefact(models_folder() / "tiny")
    manifest = {**{key: value for key, value in first.manifest.items() if key != "files"}, "label": label}
    return with_heads(Artefact(first.files, manifest), {})


SIZES = {"total_bytes": 1, "download_bytes": 1, "memory_bytes": 1, "sha256": "0", "parts": {}, "latency": []}


def _compression(place: Path, label: str) -> None:
    """Run `fedbert compress --data` with stages and artefact stubbed: what is written is the product's."""
    module = "fedbert.ei_bert.compression.tasks_compression"
    artefact = _artefact(label)

    def start(pipeline: Any, seed: int) -> Any:
        def make(folder: Path) -> dict[str, Any]:
            from fedbert.ei_bert.compression.stages import save_tensors

            save_tensors({"label": label}, folder / "student.pt")
            (folder / "vocab.txt").write_text(label, "utf-8")
            return {"label": label}

        done = pipeline.stage("tokens", {"label": label}, make)
        assert done.record == {"label": label}
        return mock.MagicMock()

    stubs: dict[str, Any] = {
        "_start": start,
        "_made": lambda *given: mock.MagicMock(),
        "_described": lambda *given: example_compression() | {"title": label, "seconds": 1.0, "plan": {}},
        "_fitted": lambda *given: (mock.MagicMock(), artefact),
        "_comparisons": lambda *given: {},
        **{name: lambda *given: [] for name in ("forms", "aims")},
        **{name: lambda *given: {} for name in ("confusion", "vocabulary_record", "manifest")},
        "sizes": lambda *given: SIZES,
    }
    flags = ["--data", str(place / "d.csv"), "--output", str(place / "m"), "--work", str(place / "w")]
    flags += ["--no-rivals"]
    with (
        mock.patch.multiple(module, **stubs),
        mock.patch(f"{module}.Pipeline.check_budget", lambda *given: None),
        mock.patch("fedbert.ei_bert.teaching.teacher.load_teacher", mock.MagicMock()),
        mock.patch(
            "fedbert.ei_bert.compression.public_text.general_sentences", lambda *given: (("a",), {"a": "0"})
        ),
        mock.patch("fedbert.ei_bert.compression.tasks_goal.TasksGoal", lambda *given: _GOAL),
        mock.patch("fedbert.cli.compress.machine_record", lambda *given: {}),
        mock.patch("fedbert.ei_bert.artefact.card.download_bytes", lambda artefact: 1),
        mock.patch("fedbert.provenance.commit", lambda: None),
        mock.patch("fedbert.reporting.compression.folder.compression_html", lambda found: found["title"]),
        mock.patch("fedbert.reporting.compression.folder.markdown", lambda found: found["title"]),
        mock.patch("fedbert.provenance.versions", dict),
    ):
        _call("compress", *flags, "--overwrite")


def _compression_state(place: Path) -> str:
    """Return whose the artefact is; its files must be of one compression, and so must the report's."""
    if not (place / "m" / "manifest.json").is_file():
        return "none"
    report = place / "m-report"
    if (report / "report.html").is_file():
        page = (report / "report.html").read_text()
        assert (report / "report.md").read_text() == page
    label = str(load_artefact(place / "m").manifest["label"])
    if not (report / "compression.json").is_file():
        return "none"
    return label if json.loads((report / "compression.json").read_text())["title"] == label else "none"


def test_every_write_of_a_compression_fails_once(tmp_path: Path) -> None:
    """In place of an older one: an artefact that loads, old or new; the same command ends in the new one."""

    def before(place: Path) -> None:
        rows = [(f"text {k} of {label}", label) for label in ("cats", "dogs") for k in range(10)]
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(place / "d.csv", index=False)
        _compression(place, "old")

    def run(place: Path) -> None:
        _compression(place, "new")

    assert fail_each(Written(before, run, _compression_state, run), tmp_path) > 40


def test_every_write_of_a_head_fails_once(tmp_path: Path) -> None:
    """A head added to a model in its own folder: the model loads, with the head or without."""
    bert = EiBert(_artefact("old"), budget_bytes=4_000_000)
    bert.fit_head(["a cat", "a dog", "cats", "dogs"] * 3, ["cat", "dog", "cat", "dog"] * 3, "pets")

    def state(place: Path) -> str:
        return "new" if load_artefact(place / "m", 4_000_000).heads else "old"

    def run(place: Path) -> None:
        bert.save(place / "m")

    model = Written(lambda place: save_artefact(_artefact("old"), place / "m"), run, state, run)
    assert fail_each(model, tmp_path) > 15


# -- single files, and keys -------------------------------------------------------------------------------


def test_every_write_of_a_report_made_again_fails_once(tmp_path: Path) -> None:
    """The page is the old or the new one, and the run's result is untouched."""
    content = run_bytes(example_run())

    def before(place: Path) -> None:
        (place / "r").mkdir()
        (place / "r" / "run.json").write_bytes(content)
        (place / "r" / "report.html").write_text("old")

    def run(place: Path) -> None:
        with mock.patch("fedbert.reporting.run.folder.render_report", lambda result: "new"):
            _call("report", str(place / "r"))

    def state(place: Path) -> str:
        assert (place / "r" / "run.json").read_bytes() == content
        assert load_run(place / "r")["status"] == "finished"
        return (place / "r" / "report.html").read_text()

    assert fail_each(Written(before, run, state, run), tmp_path) > 15


def test_every_write_of_keys_fails_once(tmp_path: Path) -> None:
    """A folder with all keys, or none: never a part of them, and nothing left beside it."""

    def run(place: Path) -> None:
        _call("keys", str(place / "k"), "--supernodes", "1")

    def state(place: Path) -> str:
        if not (place / "k").exists():
            assert not [path for path in place.iterdir() if path.name.startswith(".k.")]
            return "none"
        assert len([path for path in (place / "k").rglob("*") if path.is_file()]) == 11
        return "new"

    def again(place: Path) -> None:
        if not (place / "k").exists():
            run(place)

    assert fail_each(Written(lambda place: None, run, state, again), tmp_path) > 20
