"""A grid that is killed in the middle of a cell goes on with that cell, by the real simulation."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fedbert import provenance
from fedbert.errors import FedbertError
from fedbert.federation.checkpoint import load_checkpoint
from fedbert.planning.tradeoff.grid import simulate
from fedbert.results import load_run
from fedbert.run_folder import holding
from fedbert.scenario import Execution, build

PATIENCE_S = 300.0

SCENARIO = """
devices = 60
rounds = 5
model = "tiny"
availability = "always"
update_steps = 1
min_reports = 1
mechanism = "poisson"
"""

ROOT = Path(__file__).parents[2]


def _started(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the command for one budget and seed in the folder ``grid`` of `folder`."""
    (folder / "scenario.toml").write_text(SCENARIO)
    words = ["--config", "scenario.toml", "--epsilons", "20", "--seeds", "1", "--jobs", "1"]
    command = [sys.executable, str(ROOT / "simulations" / "tradeoff.py"), *words, "--output", "grid"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)


def _wait_until_free(folder: Path, deadline: float) -> None:
    """Return once no process holds `folder`."""
    while True:
        try:
            with holding(folder):
                return
        except FedbertError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _figures(result: Any) -> Any:
    found = {key: json.loads(json.dumps(result[key])) for key in ("rounds", "tiers", "comparison", "gap")}
    for row in found["rounds"]:
        del row["wall_s"]
    return found


def test_a_killed_grid_goes_on_in_the_middle_of_its_cell(tmp_path: Path) -> None:
    """After kill -9 the same command resumes the cell, whose figures are those of a run without a kill."""
    grid = tmp_path / "grid"
    cell = grid / "cells" / "prototypes-poisson-20-0"
    process = _started(tmp_path)
    deadline = time.monotonic() + PATIENCE_S
    while not list((cell / "checkpoint").glob("*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # The worker ends with its parent, and frees the folder of its cell.
    _wait_until_free(cell, deadline)
    stopped = load_checkpoint(cell / "checkpoint")
    assert stopped is not None
    assert not (cell / "run.json").exists()
    again = _started(tmp_path)
    _, said = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, said
    result = load_run(cell)
    assert result["status"] == "finished"
    assert result["execution"]["resumed_rounds"] == stopped.state.round + 1 > 0
    assert not (cell / "checkpoint").exists()
    scenario = build({key: value for key, value in result["scenario"].items() if value is not None})[0]
    assert _figures(result) == _figures(simulate(scenario, Execution(shards=1)))


def test_what_another_version_left_in_a_cell_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The cell begins again and says so in one line; its figures are those of a run without a folder."""
    values = {"devices": 60, "rounds": 1, "model": "tiny", "availability": "always", "min_reports": 1}
    values |= {"epsilon": None}
    scenario, execution = build(values | {"update_steps": 1})
    cell = tmp_path / "none-0"
    with monkeypatch.context() as before:
        before.setattr(provenance, "__version__", "0.0.1")
        simulate(scenario, execution.model_copy(update={"output": cell}))
    assert load_checkpoint(cell / "checkpoint") is not None
    capfd.readouterr()
    result = simulate(scenario, execution.model_copy(update={"output": cell}))
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("none-0 begins again: ")
    assert "the version of fedbert differs: it was '0.0.1'" in said
    assert result["execution"]["resumed_rounds"] == 0
    assert _figures(result) == _figures(simulate(scenario, execution))
