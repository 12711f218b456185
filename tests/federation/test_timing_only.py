"""A timing-only run gives the sizes of a whole one, and no figure of what it leaves out."""

from pathlib import Path

import numpy as np
import pytest
from small_runs import SMALL

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.evidence import Absent, from_row
from fedbert.federation import shard_report as r
from fedbert.federation.environment import Environment, forget, share
from fedbert.federation.protocol import Arrays, RoundOrder
from fedbert.federation.rows import RANKED
from fedbert.federation.shard import Shard
from fedbert.reporting.run.page import render_report
from fedbert.reporting.run.terminal import print_summary
from fedbert.results import RunResult, load_run, save_run
from fedbert.scenario import Execution, Scenario
from fedbert.simulation.simulate import run

SIZES = (
    *("devices", "participants", "installs", "learning_outcomes", "latency", "memory", "session_us"),
    *("session_uj", "install_us", "install_uj", "signal_uj", "download_uj", "participant_uj"),
    *("text_sessions", "user_sessions"),
)
"""Arrays of a round that do not depend on the model."""


@pytest.fixture(scope="module")
def timed() -> RunResult:
    """A run without the model on two shards, with a release after every round."""
    return run(SMALL.model_copy(update={"timing_only": True}), Execution(shards=2)).result


def rounds(scenario: Scenario, release_0: Artefact) -> list[Arrays]:
    """Return the truth of a scenario's rounds 0 and 1, all phones on release 0."""
    environment = Environment.create(scenario, release_0)
    share(environment)  # a release's vectors are those of one world's texts
    try:
        shard = Shard(environment, 0, scenario.devices)
        state, releases = shard.start(), {0: environment.encoded_0}
        orders = (RoundOrder(0, 0, 0), RoundOrder(1, 0, 0))
        return [shard.run_round(state, order, releases)[0].truth for order in orders]
    finally:
        forget()


@pytest.mark.parametrize("world", ["services", "movietweetings"])
def test_sizes_are_those_of_the_whole_run(small: Scenario, release_0: Artefact, world: str) -> None:
    """Sessions, their times and outcomes, energy, cohort and traffic are the same to the bit."""
    scenario = small.model_copy(update={"world": world})
    without = scenario.model_copy(update={"timing_only": True})
    whole, timed = (rounds(each, release_0) for each in (scenario, without))
    for one, other in zip(whole, timed, strict=True):
        assert one["latency"].any()
        for name in SIZES:
            assert np.array_equal(one[name], other[name]), name
        assert np.array_equal(one["ranks"].sum(axis=-1), other["ranks"].sum(axis=-1))
        counts = dict(zip(r.COHORT_KEYS, zip(one["counts"], other["counts"], strict=True), strict=True))
        assert counts.pop("clicks")[1] == 0
        counts.pop("reported")  # of clicks before the clock alone
        assert all(mine == theirs for mine, theirs in counts.values())


def test_what_is_left_out_is_absent_with_its_reason(timed: RunResult) -> None:
    """No quality, click, loss or finding; each finding says why."""
    assert timed["status"] == "finished"
    for row in timed["rounds"]:
        assert row["sessions"] > 0
        assert {dict(row)[key] for key in (*RANKED, "server_ndcg@10", "loss")} == {None}
    assert timed["totals"]["clicks"] is None
    assert timed["comparison"] == []
    assert timed["gap"] is None
    assert timed["secure_sum"]["equal"] is None
    assert all(tier["quality"] is None and tier["scored_quality"] is None for tier in timed["tiers"].values())
    for row in timed["findings"]["figures"].values():
        found = from_row(row)  # type: ignore[arg-type]
        assert isinstance(found, Absent)
        assert "timing-only" in found.reason


def test_releases_come_on_schedule(timed: RunResult) -> None:
    """A release follows every round, and phones fetch it."""
    assert [row["released"] for row in timed["rounds"]] == [None, 1, 2]
    assert timed["rounds"][2]["downloads"] > 0
    assert timed["model"]["sha256"] == timed["model"]["final_sha256"]


def test_its_report_says_what_it_is(
    timed: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Page and terminal say what is left out and show no quality; run.json is read again."""
    save_run(timed, tmp_path)
    assert load_run(tmp_path)["totals"]["clicks"] is None
    page = render_report(timed)
    assert "Timing only." in page
    assert "Ranking quality by round" not in page
    assert "Quality by tier" not in page
    print_summary(timed, tmp_path)
    shown = capsys.readouterr().out
    assert "This run simulates everything but the model" in shown
    assert "was ranked" in shown
