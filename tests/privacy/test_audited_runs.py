"""Whole runs with an audit: the same figures as without, and a loud end where it finds a fault."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.stub import stubbed
from federation.small_runs import SMALL, repeated

from fedbert.cli.main import call
from fedbert.privacy.mechanisms import gaussian_noise
from fedbert.results import RunResult
from fedbert.scenario import Execution, Scenario
from fedbert.simulation import audit, run

FLAGS = ["--devices", "60", "--rounds", "2", "--availability", "always", "--epsilon", "20", "--delta", "1e-3"]


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(audit.CANARIES, "quick", 2_000)
    with stubbed():
        yield


def result_of(**changes: Any) -> RunResult:
    """Return a small run's result."""
    scenario = Scenario(**(SMALL.model_dump() | changes))
    return run(scenario, Execution(shards=2)).result


def test_an_audit_changes_no_figure() -> None:
    """All figures of a run are the same to the bit with an audit and without one."""
    plain, audited = result_of(audit="off"), result_of()
    assert "audit" not in plain
    assert audited["audit"]["passed"]
    assert audited["audit"]["bounds"]
    for result in (plain, audited):
        del result["scenario"]["audit"]
    assert repeated(audited) == repeated(plain)


def test_a_fault_ends_a_run_with_its_own_code_and_keeps_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Noise of half the deviation: exit code 3, one line on standard error, and a whole run folder."""
    from fedbert.privacy import gaussian

    plain = gaussian_noise
    monkeypatch.setattr(
        gaussian,
        "gaussian_noise",
        lambda seed, round_, size, sigma: plain(seed, round_, size, sigma / 2),
    )
    folder = tmp_path / "run"
    code = call("run", [*FLAGS, "--model", "tiny", "--sampling-probability", "0.5", "--output", str(folder)])
    assert code == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "the audit found a fault: " in line
    assert "variance of the noise" in line
    result = json.loads((folder / "run.json").read_text("utf-8"))
    assert result["status"] == "finished"
    assert result["audit"]["passed"] is False
    assert "The audit found a fault" in (folder / "report.html").read_text("utf-8")
