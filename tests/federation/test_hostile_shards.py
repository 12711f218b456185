"""One shard answers wrongly: it is named in one line, the other shards' totals are right, the run goes on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from faults.lossy import LossyGrid, ReplyFault
from faults.stub import stubbed
from hostile import OTHER_KINDS, REPLAY_KINDS, ROUND_KINDS, START_KINDS, Spoil, hostile_app
from small_runs import SMALL

from fedbert.errors import RunStopped
from fedbert.federation import shard_report as r
from fedbert.federation.aggregator import Aggregator
from fedbert.federation.compare import compare
from fedbert.federation.environment import forget
from fedbert.federation.exchange import ATTEMPTS, Event
from fedbert.federation.places.client_app import app
from fedbert.federation.protocol import REPLAY, ROUND, START, from_records
from fedbert.federation.round_step import step
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.privacy.mechanisms import decode

NODE, INDEX = 2, 1
"""The hostile one of three."""


@dataclass
class Watched:
    """A session, and what its shards and its aggregator really had."""

    session: Session
    sums: dict[int, dict[int, Any]] = field(default_factory=dict)
    opened: dict[int, Any] = field(default_factory=dict)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A session that leaves lost shards out."""
    run_round, total = Shard.run_round, Aggregator._total
    with stubbed():
        seen = Watched(Session.open(SMALL))
        seen.session.lost_shards = "leave-out"

        def noted_round(self: Shard, state: Any, order: Any, releases: Any) -> Any:
            report, check = run_round(self, state, order, releases)
            signal = report.server["signal"].view(np.int32).astype(np.int64)
            seen.sums.setdefault(order.round, {})[self.devices.first // 20] = signal
            return report, check

        def noted_total(self: Aggregator, round_: int, kept: Any) -> Any:
            seen.opened[round_] = total(self, round_, kept)
            return seen.opened[round_]

        monkeypatch.setattr(Shard, "run_round", noted_round)
        monkeypatch.setattr(Aggregator, "_total", noted_total)
        yield seen
        forget()


def _grid(spoil: Spoil | None, kind: str, round_: int, faults: tuple[ReplyFault, ...] = ()) -> LossyGrid:
    """Return a grid whose second shard spoils each answer to one question."""

    def choose(message: Any, context: Any, header: Any) -> Spoil | None:
        chosen = context.node_id == NODE and message.metadata.message_type == kind
        return spoil if chosen and header["round"] == round_ else None

    return LossyGrid(3, faults, np.random.default_rng(0), hostile_app(app, choose))


def _run(watched: Watched, grid: LossyGrid) -> Any:
    try:
        state = watched.session.start(grid)
        for _ in range(SMALL.rounds + 1):
            state, _ = step(watched.session, state)
    finally:
        grid.close()
    return state


def _check(watched: Watched, grid: LossyGrid, state: Any, without: dict[int, set[int]]) -> None:
    """Check rows, totals and opened sums of a run in which some nodes are left out of some rounds."""
    session, total = watched.session, np.zeros(len(r.COHORT_KEYS), np.int64)
    for row in state.rows:
        round_ = row["round"]
        answers = {
            node: from_records(reply.content)[1]
            for node, reply in grid.clean[ROUND, round_].items()
            if node not in without.get(round_, set())
        }
        assert len(answers) == 3 - len(without.get(round_, set()))
        counts = sum(arrays["truth.counts"] for arrays in answers.values())
        assert row.get("missing", 0) == 20 * len(without.get(round_, set()))
        assert row["reported"] == counts[r.COHORT_KEYS.index("reported")]
        assert row["completed"] == counts[r.COHORT_KEYS.index("completed")]
        assert row["sessions"] == sum(int(arrays["truth.ranks"].sum()) for arrays in answers.values())
        assert sum(row["installed"].values()) == 20 * len(answers)
        assert row["epsilon"] == session.environment.mechanism.spent(round_)[0].epsilon
        if round_:
            total += counts
            assert row["round_status"] == "updated"
            exact = sum(watched.sums[round_][node - 1] for node in answers)
            scale = session.environment.layout.scale
            assert np.array_equal(watched.opened[round_], decode(np.asarray(exact), scale))
    assert np.array_equal(state.totals["counts"], total)
    assert state.missing_device_rounds == 20 * sum(len(nodes) for nodes in without.values())


def _texts(state: Any, round_: int) -> list[str]:
    """Return what was said of the hostile shard in a round; nobody else may be named."""
    assert {(event.round, event.shard) for event in state.events} == {(round_, INDEX)}
    texts = [event.text for event in state.events]
    assert all(text.startswith("shard 1 (devices 20 to 39) ") and "\n" not in text for text in texts)
    return texts


@pytest.mark.parametrize("kind", ROUND_KINDS)
def test_a_wrong_answer_is_refused_by_name(watched: Watched, kind: str) -> None:
    """A wrong answer is refused each time, and the shard left out of that round alone."""
    spoil, why = ROUND_KINDS[kind]
    grid = _grid(spoil, ROUND, 1)
    state = _run(watched, grid)
    texts = _texts(state, 1)
    assert len(texts) == ATTEMPTS + 1
    assert all(f"is refused: {why}" in text for text in texts[:ATTEMPTS]), texts
    assert "is left out: is refused" in texts[-1]
    _check(watched, grid, state, {1: {NODE}})


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_an_error_and_an_impossible_sum_are_named(watched: Watched, kind: str) -> None:
    """An error, and a masked sum that shows only when it is opened, leave the shard out of that round."""
    spoil, why = OTHER_KINDS[kind]
    grid = _grid(spoil, ROUND, 1)
    state = _run(watched, grid)
    assert why in _texts(state, 1)[-1]
    if grid.clean[ROUND, 1].keys() == {1, 3}:  # an error is no answer
        assert "Traceback" not in "".join(_texts(state, 1))
    _check(watched, grid, state, {1: {NODE}})


@pytest.mark.parametrize(
    ("fault", "without", "words"),
    [
        (ReplyFault(2, NODE, "lost", ATTEMPTS), {1: {NODE}}, "gave no answer"),
        (ReplyFault(2, NODE, "unsent", 1, lasting=True), {2: {NODE}}, "gave no answer"),
        (ReplyFault(2, NODE, "late", ATTEMPTS), {1: {NODE}}, "nobody waits for; it is dropped"),
        (ReplyFault(2, NODE, "doubled"), {}, "answered twice; it is dropped"),
        (ReplyFault(2, NODE, "replayed", ATTEMPTS), {1: {NODE}}, "round(=0) must be 1"),
        (ReplyFault(2, NODE, "replayed"), {}, "round(=0) must be 1, as asked; asked again"),
    ],
)
def test_a_shard_that_leaves_is_late_or_repeats_itself_is_named(
    watched: Watched, fault: ReplyFault, without: dict[int, set[int]], words: str
) -> None:
    """No answer, a late one, two, or that of another round: named, and the round is right without it."""
    grid = _grid(None, ROUND, 1, (fault,))
    state = _run(watched, grid)
    texts = [event.text for event in state.events if event.shard == INDEX]
    assert {event.shard for event in state.events} == {INDEX}
    assert any(words in text for text in texts), texts
    _check(watched, grid, state, without)


@pytest.mark.parametrize("kind", START_KINDS)
def test_a_wrong_start_is_named(watched: Watched, kind: str) -> None:
    """A wrong answer to the start is refused; the shard's later answers are taken."""
    spoil, why = START_KINDS[kind]
    grid = _grid(spoil, START, -1)
    state = _run(watched, grid)
    texts = _texts(state, -1)
    assert all(f"is refused: {why}" in text for text in texts[:ATTEMPTS]), texts
    assert sum(state.rows[0]["installed"].values()) == 60
    _check(watched, grid, state, {})


@pytest.mark.parametrize("round_", [SMALL.rounds + 1, SMALL.rounds + 2])
@pytest.mark.parametrize("kind", REPLAY_KINDS)
def test_a_wrong_comparison_is_named(watched: Watched, kind: str, round_: int) -> None:
    """A wrong answer to the comparison is refused, and the systems are compared on the other shards."""
    spoil, why = REPLAY_KINDS[kind]
    session, grid = watched.session, _grid(spoil, REPLAY, round_)
    try:
        state = session.start(grid)
        for _ in range(SMALL.rounds + 1):
            state, _ = step(session, state)
        compare(session, state, lambda text: None)
    finally:
        grid.close()
    assert {(event.round, event.shard) for event in session.events} == {(round_, INDEX)}
    assert all("is refused: " in event.text and why in event.text for event in session.events[:ATTEMPTS])
    answers = {
        node: from_records(reply.content)[1]
        for node, reply in grid.clean[REPLAY, SMALL.rounds + 2].items()
        if round_ != SMALL.rounds + 2 or node != NODE
    }
    assert session.replayed is not None
    assert np.array_equal(session.replayed["ranks"], sum(arrays["ranks"] for arrays in answers.values()))


def test_in_a_simulation_the_run_stops_and_names_the_shard(watched: Watched) -> None:
    """Where all shards are the user's own, a shard that stays wrong ends the run with one line."""
    watched.session.lost_shards = "stop"
    notes: list[Event] = []
    watched.session.on_event = notes.append
    grid = _grid(ROUND_KINDS["no signal"][0], ROUND, 1)
    with pytest.raises(RunStopped) as stopped:
        _run(watched, grid)
    line = "round 1: shard 1 (devices 20 to 39) is refused: server.signal must be there"
    assert str(stopped.value) == line
    assert len(notes) == ATTEMPTS


def test_a_round_without_most_shards_is_held(watched: Watched) -> None:
    """With one of three shards left nothing is opened; the budget stays debited."""
    faults = tuple(ReplyFault(2, node, "lost", ATTEMPTS) for node in (NODE, 3))
    grid = _grid(None, ROUND, 1, faults)
    state = _run(watched, grid)
    rows = state.rows
    assert rows[1]["round_status"] == "held: fewer than 2 of 3 shards answered"
    assert rows[1]["missing"] == 40
    assert rows[1]["epsilon"] == watched.session.environment.mechanism.spent(1)[0].epsilon
    assert 1 not in watched.opened
    assert rows[2]["round_status"] == "updated"
