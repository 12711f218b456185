"""Rounds that are never opened, and what a held release leaves on the phones."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_runs import TINY, loaded_once, stepped

from fedbert.federation.protocol import ROUND
from fedbert.federation.run_state import RunState
from fedbert.federation.server import RoundUpdate
from fedbert.scenario import Execution, Scenario
from fedbert.signals.gate import Decision
from fedbert.simulation.simulate import run

ONE_ROUND = TINY.model_copy(update={"rounds": 1})


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with loaded_once():
        yield


def _nothing_was_opened(states: list[RunState], updates: list[RoundUpdate], why: str) -> None:
    """Round 1 is held for `why`: no memory, no ranks, no update and no release follow from it."""
    before, after = states[0].server, states[-1].server
    assert updates[1].status == why
    assert updates[1].gate == "held: no update"
    assert updates[1].released is None
    assert updates[1].loss is None
    assert after.ranks == {}
    for part in ("memory", "models"):
        old, new = getattr(before, part), getattr(after, part)
        assert old.keys() == new.keys() != set()
        assert all(np.array_equal(old[name], new[name]) for name in old)
    assert len(after.releases) == 1
    assert after.current.sha256 == after.releases[0].artefact.sha256


def test_a_round_with_too_few_reports_is_held_and_stays_debited() -> None:
    """Below min_reports nothing is learnt or released; epsilon counts the round all the same."""
    states, updates = stepped(ONE_ROUND.model_copy(update={"min_reports": 10_000}), 1)
    _nothing_was_opened(states, updates, "held: fewer than 10000 reports (min_reports)")
    assert updates[1].epsilon == pytest.approx(20, rel=2e-3)


@pytest.mark.parametrize("epsilon", [None, 20.0])
def test_one_report_is_never_opened(epsilon: float | None) -> None:
    """The sum of a single report is that report: with `min_reports` 0 it is held too, private or not."""
    changes = {"devices": 1, "sampling_probability": 1.0, "sessions_per_day": 40, "min_reports": 0}
    scenario = ONE_ROUND.model_copy(update=changes | {"epsilon": epsilon, "control_share": 0.0})
    states, updates = stepped(scenario, 1)
    assert states[-1].rows[1]["reported"] == 1
    _nothing_was_opened(states, updates, "held: fewer than 2 reports (min_reports)")


def test_a_cohort_that_the_fixed_point_cannot_hold_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of more reports than `largest_cohort` could wrap, so they are not opened."""
    scenario = ONE_ROUND.model_copy(update={"noise_seed": 5})
    monkeypatch.setattr("fedbert.federation.environment.largest_cohort", lambda *_: 3)
    states, updates = stepped(scenario, 2)
    assert states[-1].rows[1]["reported"] > 3
    _nothing_was_opened(states, updates, "held: more than 3 reports, which the sum's range does not hold")


class Without:
    """A grid that loses the answers of some nodes to rounds."""

    def __init__(self, grid: Any, lost: set[int]) -> None:
        self._grid, self._lost = grid, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)

    def send_and_receive(self, messages: Any, timeout: float | None = None) -> Iterator[Any]:
        """Pass on what the other nodes answer; the window before the clock is complete."""
        sent = list(messages)
        lossy = sent[0].metadata.message_type == ROUND and sent[0].metadata.group_id != "0"
        for reply in self._grid.send_and_receive(sent, timeout=timeout):
            if not (lossy and reply.metadata.src_node_id in self._lost):
                yield reply


@pytest.mark.parametrize(("lost", "opened"), [({3}, True), ({2, 3}, False)])
def test_below_two_thirds_of_the_shards_nothing_is_opened(lost: set[int], opened: bool) -> None:
    """Of three shards one may be missing; without two the round is held, and their devices are counted."""
    states, updates = stepped(ONE_ROUND, 3, lambda grid: Without(grid, lost), lost_shards="leave-out")
    state = states[-1]
    assert state.missing_device_rounds == 20 * len(lost)
    assert {event.shard for event in state.events} == {node - 1 for node in lost}
    assert "left out" in state.events[-1].text
    if opened:
        assert updates[1].status == "updated"
        assert state.server.ranks[0].clicks.any()
    else:
        _nothing_was_opened(states, updates, "held: fewer than 2 of 3 shards answered")


def test_final_is_the_last_release_and_not_the_student_that_was_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the gate holds round 2's student, "final" is what round 1 released; the other stands beside it."""
    scenario = TINY.model_copy(update={"rounds": 2, "epsilon": None})
    held = Decision("held: public nDCG@10 falls from 0.500 to 0.400", False)
    decisions = [Decision("released", False), held]
    monkeypatch.setattr("fedbert.federation.server.gate", lambda *_: decisions.pop(0))
    result = run(scenario, Execution(shards=2)).result
    assert [row["released"] for row in result["rounds"]] == [None, 1, None]
    assert result["rounds"][2]["gate"] == held.verdict
    monkeypatch.setattr("fedbert.federation.server.gate", lambda *_: Decision("released", False))
    states, _ = stepped(scenario, 2)
    hashes = [release.artefact.sha256 for release in states[-1].server.releases]
    assert len(set(hashes)) == 3
    assert result["model"]["final_sha256"] == hashes[1]
    assert result["model"]["unreleased_sha256"] == hashes[2]
    names = [row["system"] for row in result["comparison"]]
    for name in ("final", "unreleased"):
        assert names.count(f"int8 student, {name}") == names.count("int8 student, release 0") > 0


def _quality(scenario: Scenario) -> dict[str, list[str]]:
    """Return the metrics of each system of a run, as text."""
    found: dict[str, list[str]] = {}
    for row in run(scenario, Execution(shards=2)).result["comparison"]:
        found.setdefault(row["system"], []).append(json.dumps([row["quality"], row["tiers"]]))
    return found


def test_a_run_that_released_nothing_ends_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every student held: "final" ranks as release 0 to the last digit, the unreleased one otherwise.

    Without an unreleased student there is no row of it.
    """
    scenario = ONE_ROUND.model_copy(update={"epsilon": None, "update_steps": 20})
    assert "int8 student, unreleased" not in _quality(scenario)
    monkeypatch.setattr("fedbert.federation.server.gate", lambda *_: Decision("held: by this test", False))
    found = _quality(scenario)
    assert found["int8 student, final"] == found["int8 student, release 0"]
    assert found["int8 student, unreleased"] != found["int8 student, release 0"]
