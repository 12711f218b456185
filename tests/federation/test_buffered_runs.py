"""Whole runs whose reports fill buffers: any number of shards, stopped and resumed, and what results say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import TINY, figures, loaded_once

from fedbert.reporting.run.folder import rounds_table
from fedbert.results import RoundRow
from fedbert.run_folder import holding
from fedbert.scenario import Execution
from fedbert.simulation.simulate import Quiet, run

SCENARIO = TINY.model_copy(
    update={
        "epsilon": None,
        "buffer_reports": 7,
        "concurrency": 4,
        "min_reports": 2,
        "rounds": 2,
        "release_every": 4,
        "pooled_bound": False,
    }
)


class _Stopped(Exception):
    pass


class _StopAfterOne(Quiet):
    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        if row["round"] == 1:
            raise _Stopped


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with loaded_once():
        yield


@pytest.mark.parametrize("selection", ["uniform", "by-staleness"])
def test_a_run_that_was_resumed_on_other_shards_is_the_same(tmp_path: Path, selection: str) -> None:
    """Stopped on three shards while a buffer was half full, resumed on seven: the figures of one shard."""
    scenario = SCENARIO.model_copy(update={"selection": selection})
    whole = run(scenario, Execution(shards=1)).result
    with holding(tmp_path):
        with pytest.raises(_Stopped):
            run(scenario, Execution(shards=3), _StopAfterOne(), folder=tmp_path)
        resumed = run(scenario, Execution(shards=7), folder=tmp_path, resume=True).result
    _, first, *later = whole["rounds"]
    assert 0 < first["buffered"] < 7  # what the checkpoint must carry
    for row in (first, *later):
        taken = sum(row["staleness"].values())
        assert taken == row["completed"]
        assert 0 < row["weight_mean"] <= 1
        assert 0 < row["at_work"] <= 4
    reports = sum(row["completed"] for row in (first, *later))
    closed = sum(row["buffers"] for row in (first, *later))
    gone = sum(row["discarded"] for row in (first, *later)) + later[-1]["buffered"]
    assert reports == 7 * closed + gone
    if selection == "uniform":  # the other asks too few for a release in two rounds
        assert any(row["released"] for row in whole["rounds"])
    assert figures(resumed) == figures(whole)
    table = rounds_table(whole)
    assert table["staleness: 0"].tolist() == [0, *(row["staleness"]["0"] for row in (first, *later))]
