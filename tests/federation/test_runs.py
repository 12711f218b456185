"""Whole small runs: the same figures on every split and backend, and a server that needs no truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_runs import SMALL, TINY, figures, stepped

from fedbert.federation import shard_report as r
from fedbert.federation.run_state import RunState
from fedbert.results import RunResult
from fedbert.scenario import DEFAULTS, Execution
from fedbert.simulation.simulate import run

SCENARIO = SMALL.model_copy(
    update={
        "model": DEFAULTS.model,
        "devices": 130,
        "sessions_per_day": DEFAULTS.sessions_per_day,
        "min_reports": DEFAULTS.min_reports,
    }
)
"""The same with the model and the sessions that a run has by default."""


@pytest.fixture(scope="module")
def reference() -> RunResult:
    """The run on one shard."""
    return run(SCENARIO, Execution(shards=1)).result


@pytest.mark.parametrize("shards", [1, 7, 64])
def test_shards_and_repetition_change_no_bit(reference: RunResult, shards: int) -> None:
    """1, 7 and 64 shards, and a second run of one seed, give the same figures to the bit."""
    assert figures(run(SCENARIO, Execution(shards=shards)).result) == figures(reference)


def test_the_baseline_signal_learns_over_releases() -> None:
    """With `delta` rounds update, and its steps follow into the space of a new release."""
    states, updates = stepped(TINY.model_copy(update={"signal": "delta"}), 2)
    assert [update.status for update in updates[1:]] == ["updated", "updated", "updated"]
    assert updates[1].released == 1
    assert [int(state.server.memory["space"]) for state in states[-3:]] == [0, 0, 1]
    assert states[-1].server.memory["steps"].any()


def test_ray_gives_the_same_figures(reference: RunResult) -> None:
    """Ray, started on this machine, gives the figures of the in-process run, to the bit."""
    assert figures(run(SCENARIO, Execution(shards=3, backend="ray")).result) == figures(reference)


def test_a_run_holds_what_it_promises(reference: RunResult) -> None:
    """Row 0 is the state before, epsilon grows and stays within the budget, and the masks were checked."""
    rows = reference["rounds"]
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert rows[0]["epsilon"] == 0
    assert 0 < rows[1]["epsilon"] < rows[2]["epsilon"] <= 20
    assert all(row["epsilon"] < row["epsilon_unamplified"] for row in rows[1:])
    assert reference["secure_sum"]["equal"] is True
    assert reference["secure_sum"] == {"devices_per_shard": 32, "dropped": "one in eight", "equal": True}
    assert 8 < reference["execution"]["masks_checked"] <= 32
    assert rows[0]["bytes_up"] == 0
    per_report = reference["traffic"]["bytes_per_report"]
    assert all(row["bytes_up"] >= row["completed"] * per_report for row in rows)  # repeats come on top
    assert sum(row["bytes_up"] for row in rows) < 1.3 * per_report * sum(row["completed"] for row in rows)
    assert {row["system"] for row in reference["comparison"]} >= {
        "popularity",
        "TF-IDF",
        "user model only",
        "teacher",
    }


def test_tiers_add_up_to_the_fleet(reference: RunResult) -> None:
    """Quality by tier weighted by sessions is that of all, for each system; a day's energy is its parts."""
    tiers = reference["tiers"]
    sessions = sum(tier["sessions"] for tier in tiers.values())
    assert len(tiers) == 3
    for row in reference["comparison"]:
        mean = sum(row["tiers"][name]["ndcg@10"] * tier["sessions"] for name, tier in tiers.items())
        assert mean / sessions == pytest.approx(row["quality"]["ndcg@10"])
    for tier in tiers.values():
        assert sum(tier["energy_mj_per_day_by"].values()) / (3600 * 3.85) == pytest.approx(
            tier["mah_per_day"]
        )
        assert tier["energy_mj_per_round"] == pytest.approx(sum(tier["energy_mj_per_round_by"].values()))
        assert tier["energy_mj_per_round_by"]["uploads"] > 0
    assert reference["rounds"][0]["energy_mj_per_participant"] is None
    assert all(row["participants"] >= row["completed"] > 0 for row in reference["rounds"][1:])
    assert reference["device_errors"]["note"] is None


def test_release_0_beats_popularity_and_tfidf(reference: RunResult) -> None:
    """The shipped student, text alone, ranks better than popularity and TF-IDF."""
    quality = {(row["system"], row["inputs"]): row["quality"]["ndcg@10"] for row in reference["comparison"]}
    student = quality["int8 student, release 0", "text only"]
    others = [value for (system, _), value in quality.items() if system in ("popularity", "TF-IDF")]
    assert student > max(others) + 0.02


@pytest.mark.parametrize(("model", "limit"), [("small", 1_000_000), ("tiny", 500_000)])
def test_runs_start_from_the_smaller_models_too(reference: RunResult, model: str, limit: int) -> None:
    """`--model small` and `tiny` give phones a release within their budgets, and rank above TF-IDF."""
    scenario = SCENARIO.model_copy(update={"model": model, "devices": 60, "rounds": 1, "epsilon": None})
    result = run(scenario, Execution(shards=1)).result
    assert result["traffic"]["bytes_per_release"] <= limit < reference["traffic"]["bytes_per_release"]
    quality = {(row["system"], row["inputs"]): row["quality"]["ndcg@10"] for row in result["comparison"]}
    others = [value for (system, _), value in quality.items() if system == "TF-IDF"]
    assert quality["int8 student, release 0", "text only"] > max(others)


def _hashes(state: RunState) -> list[str]:
    return [release.artefact.sha256 for release in state.server.releases]


def test_the_server_does_not_use_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrambling all of the simulator's truth changes no release."""
    plain = stepped(SCENARIO, 2)[0][-1]
    random = np.random.default_rng(0)
    check = r.ShardReport.check

    def scrambled(report: r.ShardReport, *bounds: int) -> None:
        check(report, *bounds)
        for name, array in report.truth.items():
            report.truth[name] = random.integers(0, 9, array.shape).astype(array.dtype)

    monkeypatch.setattr(r.ShardReport, "check", scrambled)
    other = stepped(SCENARIO, 2)[0][-1]
    assert not np.array_equal(other.totals["ranks"], plain.totals["ranks"])
    assert len(_hashes(plain)) == 3
    assert _hashes(other) == _hashes(plain)
    assert other.server.current.sha256 == plain.server.current.sha256


def test_the_written_scenario_runs_again(tmp_path: Path, reference: RunResult) -> None:
    """`--config` with the run folder's scenario.toml gives the same figures."""
    from fedbert.cli.main import call
    from fedbert.results import load_run
    from fedbert.scenario import scenario_toml

    path = tmp_path / "scenario.toml"
    path.write_text(scenario_toml(SCENARIO, Execution(shards=2)))
    assert call("run", ["--config", str(path), "--output", str(tmp_path / "again")]) == 0
    assert figures(load_run(tmp_path / "again")) == figures(json.loads(json.dumps(reference)))
