"""Whole runs whose phones have several sizes of the model, with a stub in place of training."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import pytest
from faults.stub import StubModels, variant
from numpy.typing import NDArray
from small_runs import SMALL, figures, loaded_once

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import joined, members
from fedbert.errors import FedbertError
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.session import Session
from fedbert.federation.sized_models import SizedModels, sized
from fedbert.planning.capacity.base_run import base_of
from fedbert.results import RoundRow, RunResult
from fedbert.run_folder import holding
from fedbert.scenario import Execution
from fedbert.simulation.simulate import Quiet, RunOutput, run
from fedbert.simulation.sizes_row import energy_mj_per_day, quality_draws, won_by_auto

AUTO = SMALL.model_copy(
    update={"model": "auto", "devices": 36, "sessions_per_day": 6.0, "pooled_bound": False, "epsilon": None}
    | {"memory_budget_bytes": 10**9}
)
SHARES = (0.5, 0.3, 0.2)


def by_turns(peaks: Any, limit: NDArray[np.int64]) -> NDArray[np.int8]:
    """Give phones all sizes by turns."""
    return np.asarray(limit % len(peaks), np.int8)


def _artefact() -> Artefact:
    return joined([variant(0), variant(1), variant(2)])


@pytest.fixture(autouse=True, scope="module")
def _stubbed() -> Iterator[None]:
    with (
        mock.patch("fedbert.ei_bert.teaching.server_models.ServerModels.load", StubModels.load),
        mock.patch("fedbert.federation.session.starting_artefact", lambda model: _artefact()),
        mock.patch("fedbert.federation.environment.largest_that_fits", by_turns),
        mock.patch("fedbert.federation.environment.expected_shares", lambda *_: SHARES),
        # The variants have one vocabulary, so that texts need be counted once.
        mock.patch.object(Environment, "smaller_counts", property(lambda self: (self.token_counts,) * 2)),
        loaded_once(),
    ):
        yield


class StopAfter(Quiet):
    """Stops a run once its round `last` is done."""

    def __init__(self, last: int) -> None:
        self.last = last

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Stop after the last round that is wanted."""
        if row["round"] == self.last:
            raise InterruptedError


def _said(output: RunOutput) -> str:
    return figures(output.result) + json.dumps(output.result["sizes"])


def test_a_run_that_was_stopped_goes_on_with_every_size(tmp_path: Path) -> None:
    """Stopped after round 1 and taken up on another number of shards, its figures are an unbroken run's."""
    whole = run(AUTO, Execution(shards=1))
    with holding(tmp_path):
        with pytest.raises(InterruptedError):
            run(AUTO, Execution(shards=1), StopAfter(1), folder=tmp_path)
        again = run(AUTO, Execution(shards=2), folder=tmp_path, resume=True)
    assert _said(again) == _said(whole)
    table = whole.result["sizes"]["rows"]
    assert [row["model"] for row in table] == ["auto", "default", "small", "tiny"]
    assert table[0]["devices"] == 36 == sum(row["devices"] for row in table[1:])
    assert min(row["devices"] for row in table) > 0
    found = {row["id"]: row["quality"]["ndcg@10"] for row in whole.result["comparison"]}
    assert table[0]["release_0"] == found["release_0_full"]
    assert table[0]["final"] == found["final_full"]


def test_what_the_server_knows_is_the_mean_over_sizes() -> None:
    """Names and public texts are those of a phone in expectation: the sizes' vectors by their shares."""
    server = Session.open(AUTO).server
    view, first = server.view((server.first,)), server.encoded(server.first.artefact).sizes
    assert len({each.items.tobytes() for each in first}) == 3
    for given, part in (
        (view.items(0), [each.items for each in first]),
        (view.texts(0), [each.public for each in first]),
    ):
        plain = sum(share * vectors.astype(np.float64) for share, vectors in zip(SHARES, part, strict=True))
        np.testing.assert_allclose(given, plain, atol=1e-6)


def test_one_worse_size_holds_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate whose smallest size ranks public texts worse goes out in no size."""
    server = Session.open(AUTO).server
    state, order, count = server.start(), RoundOrder(1, 0, 0), len(server._judged_items)
    candidate = replace(server.first, number=1, artefact=joined([variant(3)] * 3))
    good, bad = np.full(count, 0.9), np.full(count, 0.5)
    for last, released in ((good, 1), (bad, None)):
        scores = {candidate.artefact.sha256: [good, good, last]}
        monkeypatch.setattr(
            server, "_public_scores", lambda of, found=scores: found.get(of.sha256, [good] * 3)
        )
        after, update = server._gate(state, order, "updated", 0.0, candidate)
        assert update.released == released
        assert len(after.releases) == (2 if released else 1)
    assert update.gate.startswith("held: public nDCG@10 falls from 0.900 to 0.500")


class Counting:
    """Models whose state counts what they were taught; they export the variant of that number."""

    def __init__(self, first: float) -> None:
        self.start = {"taught": np.array([first], np.float32)}

    def update(
        self, state: Any, round_: int, targets: Any, weights: Any, steps: int
    ) -> tuple[dict[str, NDArray[np.float32]], float]:
        """Count the targets."""
        return {"taught": state["taught"] + targets.sum()}, float(state["taught"][0])

    def export(self, state: Any) -> Artefact:
        """Return a variant."""
        return variant(int(state["taught"][0]) % 4)


def test_every_student_learns_from_the_same_targets() -> None:
    """Each size has a state of its own, the loss is their mean by shares; one size alone is what it is."""
    sizes: Any = [Counting(0), Counting(10)]
    models = SizedModels(sizes, (0.75, 0.25))
    state, loss = models.update(models.start, 1, np.full((1, 2), 0.5, np.float32), np.ones(1, np.float32), 1)
    assert loss == 2.5
    assert {name: float(array[0]) for name, array in state.items()} == {"0/taught": 1, "1/taught": 11}
    assert [each.sha256 for each in members(models.export(state))] == [variant(1).sha256, variant(3).sha256]
    assert sized(sizes[:1], (1.0,)) is sizes[0]


def test_the_figures_of_the_table() -> None:
    """Means by hand: two texts, ranks 1 and 2; auto wins half of what the second text's rank is worth."""
    counted = np.zeros((2, 2, 2, 2, 20), np.int64)
    counted[..., 0, 0] = 1  # the first text always ranks first
    counted[..., 1, 1] = 1
    counted[1, 1, 0, 1] = np.eye(20, dtype=np.int64)[0]
    draws = quality_draws(counted, 0)
    second = 1 / np.log2(3)
    assert draws[0, 1, 1].tolist() == pytest.approx([1, (1 + second) / 2])
    assert won_by_auto(draws, 1)[0] == pytest.approx((1 - second) / 2)
    assert won_by_auto(draws, 1)[1:].min() == 0  # both texts drawn are the first
    # 8 phones, 2 days: 3 mJ a day of answers, and 4 releases a day of 1 mJ to fetch and .5 to install
    assert energy_mj_per_day(np.array([48_000, 8_000, 4_000]), 8, 2.0, 4.0) == pytest.approx(9.0)


def test_what_is_not_for_several_sizes_is_refused() -> None:
    """Devices under a memory limit, and SuperNodes, have one model; nothing is loaded before the refusal."""
    with pytest.raises(FedbertError, match=r"verify_devices\(=3\) must be 0 with --model auto"):
        run(AUTO, Execution(verify_devices=3))
    with pytest.raises(FedbertError, match=r"model\(='auto'\) must be one size in a deployment"):
        run(AUTO, Execution(), grid=object())
    with pytest.raises(FedbertError, match="must have one size of the model to forecast from"):
        base_of(cast(RunResult, {"status": "finished", "name": "x", "scenario": {"model": "auto"}}))
