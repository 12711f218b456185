"""The data dictionary describes what the commands write: no key is missing, none is too many."""

import csv
import dataclasses
import json
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from planning.backtest_examples import example_backtest
from planning.budget_examples import example_plan
from planning.comparing_examples import example_forecasts, example_grids, example_runs
from planning.planning_fakes import fake_run
from reporting.example_compression import example_compression
from written import ANY_NAME, declared, flat

from fedbert.cli.backtest import OWN as BACKTEST_FILES
from fedbert.cli.budget import OWN as BUDGET_FILES
from fedbert.cli.capacity import FORECAST
from fedbert.cli.compare import OWN as COMPARE_FILES
from fedbert.dictionary import FILES, LABELS, column_of, file_named, matches
from fedbert.dictionary.columns import Column, parse
from fedbert.paths import models_folder
from fedbert.planning.budget.plan import Reading, Refused
from fedbert.planning.capacity.base_run import base_of
from fedbert.planning.capacity.calibration import SHIPPED, CalibrationRecord, read_calibration
from fedbert.planning.capacity.capacity import Met, Plan, Price
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.planning.tradeoff.grid import OWN as GRID_FILES
from fedbert.reporting.backtest.record import BacktestRecord
from fedbert.reporting.backtest.record import record_of as record_of_backtest
from fedbert.reporting.budget.record import BudgetRecord
from fedbert.reporting.budget.record import record_of as record_of_plan
from fedbert.reporting.capacity.record import CapacityRecord, frame, record_of
from fedbert.reporting.compare.record import CompareRecord
from fedbert.reporting.compare.record import record_of as record_of_comparison
from fedbert.reporting.run import folder as run_files
from fedbert.reporting.tradeoff.folder import TradeoffRecord
from fedbert.results import RunResult
from fedbert.scenario import build

ROOT = Path(__file__).parents[2]
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "text": (str,),
    "bool": (bool,),
    "list": (list,),
    "value": (int, float, str, bool, list, dict),
}


def _wrong(columns: Iterable[Column], leaves: Iterable[tuple[tuple[str, ...], Any]]) -> list[str]:
    """Return the paths that no column describes, or describes with another type."""
    found = []
    for path, value in leaves:
        column = column_of(columns, path)
        if column is None and value is None and _whole_may_miss(columns, path):
            continue
        if column is None:
            found.append(f"{'.'.join(path)}: not in the dictionary")
        elif value is None:
            found += [] if column.optional else [f"{'.'.join(path)}: null"]
        elif not _fits(column, value):
            found.append(f"{'.'.join(path)}: {value!r:.40} is no {column.kind}")
    return sorted(set(found))


def _whole_may_miss(columns: Iterable[Column], path: tuple[str, ...]) -> bool:
    """Return whether `path` holds keys, each of which may be missing."""
    within = [column for column in columns if column_of([column], (*path, column.name.rpartition(".")[2]))]
    return bool(within) and all(column.optional for column in within)


def _fits(column: Column, value: Any) -> bool:
    return (isinstance(value, TYPES[column.kind]) and (column.kind == "bool") >= isinstance(value, bool)) or (
        column.kind == "value"
    )


def _never(columns: Iterable[Column], paths: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the columns that describe none of `paths`."""
    known = set(paths)
    return [column.name for column in columns if not any(matches(column, path) for path in known)]


def _compressions() -> list[dict[str, Any]]:
    folder = ROOT / "docs" / "compression"
    # A former record has the ablation, and rivals that were added to it.
    shipped = sorted([*folder.glob("*.json"), *(folder / "former").glob("*.json")])
    example = example_compression()
    # No record in the project has a search or heads of other kinds.
    newer = {key: example[key] for key in ("search", "kinds", "whole_seeds", "cpu_seconds", "confusion")}
    late = ("cpu_seconds", "validation")
    newer["stages"] = [{key: row[key] for key in late if key in row} for row in example["stages"]]
    newer |= {"teacher": {"each": example["teacher"]["each"]}}
    newer |= {"vocabulary": {"coverage": example["vocabulary"]["coverage"]}}
    return [*(json.loads(path.read_text("utf-8")) for path in shipped), newer]


def _searches() -> list[dict[str, Any]]:
    folder = ROOT / "docs" / "compression" / "shapes"
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def _manifests() -> list[dict[str, Any]]:
    # No shipped model has such a head, or was widened by a command of its own.
    tagged = {"files": {"heads/slots.safetensors": {"kind": "tags"}}}
    widened = {"wide": {"deep_sha256": "0" * 64, "command": "compress widen"}}
    return [tagged, widened, *_shipped_manifests()]


def _shipped_manifests() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(models_folder().glob("*/manifest.json"))]


def _thresholds() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(models_folder().glob("*/unknown.json"))]


def _servers() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(models_folder().glob("*/server.json"))]


def _tradeoff() -> list[dict[str, Any]]:
    errors = fake_run(*build({"devices": 1_000}))["device_errors"]
    return [{"schema": 1, "command": "a command", "device_errors": errors}]


def _budget() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        found = example_plan(Path(folder) / "grid")
    found = dataclasses.replace(found, refused=(Refused("poisson", "seen", "out of reach"),))
    return [json.loads(json.dumps(record_of_plan(found, "a command")))]


def _capacity() -> list[dict[str, Any]]:
    scenario, execution = build({"devices": 1_000})
    base = base_of(fake_run(scenario, execution))
    plan = Plan(1_000_000, 1.5e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2)
    met = Met("rounds-fill=0.99", 0.99, "--over-selection 2")
    made = forecast(base, plan, read_calibration())
    loss = Reading(-0.01, -0.012, -0.008, 3)
    found = dataclasses.replace(
        made,
        privacy=dataclasses.replace(made.privacy, loss=loss),
        goals=(met,),
        prices=(Price("cdn_per_gb", 0.3, "2026-01-02", "a list", ((10.0, 0.2),)),),
    )
    flags = {"stages": "0.1:24,1", "roll_back_after_stage": 1, "release_bytes_of": ["entry=900000"]}
    asked = CapacitySettings(time_zones="0:0.5,9:0.5", weekday_factors="1,1,1,1,1,1,1", **flags)
    staged = forecast(base, asked.plan(base))
    return [json.loads(json.dumps(record_of(each, "a command"))) for each in (found, staged)]


def _calibration() -> list[dict[str, Any]]:
    return [json.loads(SHIPPED.read_text("utf-8"))]


def _backtest() -> list[dict[str, Any]]:
    return [json.loads(json.dumps(record_of_backtest(example_backtest(), "a command")))]


def _comparison() -> list[dict[str, Any]]:
    return [
        json.loads(json.dumps(record_of_comparison(found, "a command")))
        for found in (example_runs(), example_grids(), example_forecasts())
    ]


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("compression.json", _compressions),
        ("search.json", _searches),
        ("manifest.json", _manifests),
        ("server.json", _servers),
        ("unknown.json", _thresholds),
        ("budget.json", _budget),
        ("capacity.json", _capacity),
        ("compare.json", _comparison),
        ("backtest.json", _backtest),
        ("servers.json", _calibration),
        ("tradeoff.json", _tradeoff),
    ],
)
def test_a_json_file_is_described(name: str, contents: Callable[[], list[dict[str, Any]]]) -> None:
    """Every key of the examples is described with its type, and every description is of a key of theirs."""
    columns = file_named(name).columns
    leaves = [leaf for content in contents() for leaf in flat(content)]
    assert _wrong(columns, leaves) == []
    assert _never(columns, (path for path, _ in leaves)) == []


def _mistyped(columns: Iterable[Column], kind: Any) -> list[str]:
    """Return the paths that `kind` declares and no column describes with that type."""
    found = []
    for leaf in declared(kind):
        column = column_of(columns, leaf.path)
        if column is None:
            found.append(f"{'.'.join(leaf.path)}: not in the dictionary")
        elif leaf.kind not in TYPES[column.kind] or column.optional != leaf.optional:
            found.append(f"{column.name}: {column.kind}{'?' * column.optional}, not {leaf.kind}")
    return found


def test_a_run_is_described(run_folder: Path) -> None:
    """Every key of run.json is described with its type: in a real run, and as `RunResult` declares it."""
    columns = file_named("run.json").columns
    leaves = list(flat(json.loads((run_folder / "run.json").read_text("utf-8"))))
    assert _wrong(columns, leaves) == []
    assert _mistyped(columns, RunResult) == []
    assert (
        _never(columns, [*(path for path, _ in leaves), *(leaf.path for leaf in declared(RunResult))]) == []
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("budget.json", BudgetRecord),
        ("capacity.json", CapacityRecord),
        ("compare.json", CompareRecord),
        ("backtest.json", BacktestRecord),
        ("servers.json", CalibrationRecord),
        ("tradeoff.json", TradeoffRecord),
    ],
)
def test_a_declared_file_is_described(name: str, kind: type) -> None:
    """Every key that the type of a file declares is described."""
    columns = file_named(name).columns
    assert _mistyped(columns, kind) == []


def test_rounds_are_described(run_folder: Path) -> None:
    """Every key of a line of rounds.jsonl is described; the keys are those of `rounds` in run.json."""
    lines = (run_folder / "rounds.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    leaves = [leaf for row in rows for leaf in flat(row)]
    assert len(rows) == 3
    assert _wrong(file_named("rounds.jsonl").columns, leaves) == []


def _frames(run_folder: Path) -> dict[str, pd.DataFrame]:
    runs = [
        fake_run(*build({"devices": 1_000, "epsilon": epsilon, "seed": seed}))
        for epsilon in (None, 2.0)
        for seed in (0, 1)
    ]
    cells = cells_frame(runs)
    scenario, execution = build({"devices": 1_000})
    plan = Plan(1_000_000, 1.5e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2)
    return {
        "rounds.parquet": pd.read_parquet(run_folder / "rounds.parquet"),
        "devices.parquet": pd.read_parquet(run_folder / "devices.parquet"),
        "cells.parquet": cells,
        "frontier.parquet": frontier_frame(cells),
        "forecast.csv": frame(forecast(base_of(fake_run(scenario, execution)), plan)),
    }


def test_tables_are_described(run_folder: Path) -> None:
    """Every column of the tables is described with its type; every description is of a column of theirs, but
    for devices which give no answer, poisoned phones, and rounds that close by the clock or fill buffers.
    """
    absent = {"missing", "poisoned", "poisoned_norm_share", "round_s", "late", "interrupted", "lost"}
    absent |= {"buffers", "buffered", "discarded", "staleness_mean", "weight_mean", "at_work", "staleness: *"}
    for name, table in _frames(run_folder).items():
        columns = file_named(name).columns
        values = [
            ((column,), value)
            for column in table
            for value in [*table[column].dropna().tolist(), *([None] if table[column].isna().any() else [])]
        ]
        assert (name, _wrong(columns, values)) == (name, [])
        assert set(_never(columns, ((column,) for column in table))) <= absent
    assert file_named("frontier.csv").columns == file_named("frontier.parquet").columns


def test_scenario_files_are_described(run_folder: Path) -> None:
    """Every key of scenario.toml is described as the setting is in code."""
    written = tomllib.loads((run_folder / "scenario.toml").read_text("utf-8"))
    columns = file_named("scenario.toml").columns
    assert {"devices", "epsilon"} <= written.keys()
    assert [key for key in written if column_of(columns, (key,)) is None] == []
    assert file_named("grid.toml").columns == columns


def test_the_rows_of_a_measured_host_are_described() -> None:
    """The header of the committed measurements is that of the dictionary."""
    path = ROOT / "device_profiles" / "sources" / "host_calibration.csv"
    with path.open(encoding="utf-8") as file:
        header = next(csv.reader(file))
    assert header == [column.name for column in file_named("host.csv").columns]


def test_every_file_is_described() -> None:
    """Whatever a run, a grid and a forecast write, and whatever is in a model's folder, is named."""
    known = {name.strip() for file in FILES for name in file.name.split(",")}
    model = {path.name for name in ("default", "intents-tiny") for path in (models_folder() / name).iterdir()}
    assert {
        *run_files.FILES,
        *GRID_FILES - {"cells", "shared"},
        *FORECAST,
        *BUDGET_FILES,
        *COMPARE_FILES,
        *BACKTEST_FILES,
        *model - {"heads", "wide"},
    } <= known


def test_names_are_said_once() -> None:
    """No file describes a name twice, and every label is used."""
    for file in FILES:
        names = [column.name for column in file.columns]
        assert len(names) == len(set(names)), file.name
    assert {column.label for file in FILES for column in file.columns} == set(LABELS)


def test_a_missing_key_is_seen() -> None:
    """A key that no line describes, a wrong type, a null and a description of nothing are each told."""
    columns = parse("a.* | int | s | measured | a figure\nb | text? | | record | a word")
    leaves = list(flat({"a": {"x": 1, "y": "z"}, "c": [{"d": 1}], "b": None}))
    assert _wrong(columns, leaves) == ["a.y: 'z' is no int", "c[].d: not in the dictionary"]
    assert _never(columns, [("a", "x")]) == ["b"]
    assert _wrong(columns, [(("a", "x"), None), (("a",), None), (("a", "x"), True)]) == [
        "a.x: True is no int",
        "a.x: null",
        "a: not in the dictionary",
    ]


def test_declared_paths() -> None:
    """Lists of rows, open keys and optional values are found; what is left open has no path."""
    found = [leaf.path for leaf in declared(RunResult)]
    assert ("rounds[]", "ndcg@10") in found
    assert ("tiers", ANY_NAME, "scored_quality", "auc") in found
    assert ("rounds[]", "missing") in found


def test_a_wrong_line_is_refused() -> None:
    """Five fields, a known type and a known label; nothing else is a column."""
    for line in ("a | int | s | measured", "a | number | s | measured | b", "a | int | s | guessed | b"):
        with pytest.raises(ValueError, match=r"type|not name"):
            parse(line)
