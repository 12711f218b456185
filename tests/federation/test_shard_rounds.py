"""A shard's rounds: any split gives the same sums, and a phone that runs alone gives the same scores."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.federation import shard_report as r
from fedbert.federation.block_round import BlockRound
from fedbert.federation.environment import Environment
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.shard import Shard
from fedbert.parts import SIGNALS
from fedbert.plugins import load_named
from fedbert.randomness import Purpose, uniforms
from fedbert.recommendation.scorer import FULL, USER_TABLE
from fedbert.recommendation.sessions import Kind
from fedbert.scenario import Scenario

ORDERS = [RoundOrder(0, 0, 0), RoundOrder(1, 0, 0), RoundOrder(2, 0, 1)]


def _run(environment: Environment, edges: list[int]) -> tuple[list[dict[str, Any]], list[PhoneState]]:
    """Run the orders on shards between `edges`; return the summed reports and the last states."""
    # The second release is the same file: what matters here is who is told to fetch it.
    releases = {0: environment.encoded_0, 1: environment.encoded_0}
    shards = [Shard(environment, a, b - a) for a, b in pairwise(edges)]
    states = [shard.start() for shard in shards]
    totals = []
    for order in ORDERS:
        parts = [
            shard.run_round(state, order, releases)[0] for shard, state in zip(shards, states, strict=True)
        ]
        totals.append(r.add_all(part.server for part in parts) | r.add_all(part.truth for part in parts))
    return totals, states


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("edges", [[0, 1, 2, 47, 48], [0, 7, 14, 21, 28, 35, 42, 48]])
def test_any_split_gives_the_same_sums(environment: Environment, edges: list[int], name: str) -> None:
    """Whatever the signal, the reports of uneven shards add up to that of one shard, to the last bit."""
    environment = replace(environment, signal=load_named(name, SIGNALS, "signal", "signal")())
    whole, _ = _run(environment, [0, 48])
    assert any(part["signal"].any() for part in whole)
    parts, _ = _run(environment, edges)
    for one, many in zip(whole, parts, strict=True):
        assert one.keys() == many.keys()
        for name in one:
            assert np.array_equal(one[name], many[name]), name


def test_block_size_changes_nothing(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Working through five devices at a time gives what working through all at once gives."""
    whole, _ = _run(environment, [0, 48])
    monkeypatch.setattr("fedbert.federation.shard.BLOCK", 5)
    parts, _ = _run(environment, [0, 48])
    for one, many in zip(whole, parts, strict=True):
        assert all(np.array_equal(one[name], many[name]) for name in one)


def _alone(encoder: Int8Encoder, text: str, role: Any = "text") -> NDArray[np.int64]:
    return encoder.encode([text], role)[0].astype(np.int64)


def test_phones_that_run_alone_give_the_same_order(environment: Environment, release_0: Artefact) -> None:
    """One phone, one session, one text at a time, in plain integers: the shard's ranks are these ranks."""
    shard = Shard(environment, 0, 48)
    state = shard.start()
    before = PhoneState.from_arrays(state.arrays())
    report, _ = shard.run_round(state, RoundOrder(0, 0, 0), {0: environment.encoded_0})
    world, encoder = environment.world, Int8Encoder(release_0, threads=1)
    names = world.public.catalogue.texts
    sessions = world.sessions(Phones(environment, shard.devices).block, 0, Kind.EVALUATION)
    expected = np.zeros((int(world.evaluation_text.sum()), 20), np.int64)
    for s in range(len(sessions)):
        device = int(sessions.device[s])
        text = _alone(encoder, world.texts[sessions.text[s]])
        past = [int(t) for t in before.text[device] if t >= 0]
        clicked = [int(i) for i in before.item[device] if i >= 0]
        scored = []
        for item in sessions.candidates[s].tolist():
            vector = _alone(encoder, names[item], "item")
            history = sum(int(_alone(encoder, world.texts[t]) @ vector) for t in past)
            score = FULL.text * int(text @ vector) + FULL.history * (history // max(len(past), 1))
            score += FULL.user * int(USER_TABLE[clicked.count(item)])
            scored.append((-score, int(world.public.catalogue.default_rank[item]), item))
        rank = [item for _, _, item in sorted(scored)].index(int(sessions.item[s]))
        expected[environment.evaluation_index[sessions.text[s]], rank] += 1
    fits = report.truth["ranks"].sum(axis=(0, 1, 3))
    # Sessions that were not scored show the default order; all others must agree with the phone alone.
    differing = int(np.abs(report.truth["cluster_ranks"] - expected).sum()) // 2
    assert differing <= int(fits[1:].sum())
    assert fits[0] > 4 * int(fits[1:].sum())
    assert fits[0] > 20


def test_evaluation_leaves_no_trace(environment: Environment) -> None:
    """Evaluation sessions are never a signal, a history or a click: round 0 changes no phone."""
    shard = Shard(environment, 0, 48)
    state = shard.start()
    before = {name: array.copy() for name, array in state.arrays().items()}
    report, _ = shard.run_round(state, RoundOrder(0, 0, 0), {0: environment.encoded_0})
    assert report.truth["cluster_ranks"].sum() > 0
    assert not report.server["signal"].any()
    for name, array in state.arrays().items():
        assert np.array_equal(array, before[name]), name


def test_what_phones_remember_is_never_an_evaluation_text(environment: Environment) -> None:
    """After all rounds every remembered text is a learning text, and so is every text of a signal."""
    _, (state,) = _run(environment, [0, 48])
    kept = state.text[state.text >= 0]
    assert len(kept) > 100
    assert not environment.world.evaluation_text[kept].any()


def test_the_control_group_stays_on_release_0(environment: Environment) -> None:
    """A control device never fetches a later release; others do."""
    _, (state,) = _run(environment, [0, 48])
    control = Phones(environment, Shard(environment, 0, 48).devices).control
    assert control.any()
    assert state.installed[control].max() <= 0
    assert state.installed[~control].max() == 1


def test_a_round_sums_one_release_only(environment: Environment) -> None:
    """Phones on another release than the round's add nothing to its sum."""
    shard = Shard(environment, 0, 48)
    state = shard.start()
    shard.run_round(state, RoundOrder(1, 0, 0), {0: environment.encoded_0})
    releases = {0: environment.encoded_0, 1: environment.encoded_0}
    copy = PhoneState.from_arrays(state.arrays())
    report, _ = shard.run_round(copy, RoundOrder(3, 1, 1), releases)
    assert report.server["reported"][0] == 0
    assert not report.server["signal"].any()


def test_a_cohort_is_drawn_from_the_whole_fleet(environment: Environment, small: Scenario) -> None:
    """Coins are thrown for phones whether they are available or not; the unavailable add zero."""
    totals, _ = _run(environment, [0, 48])
    cohort, eligible, completed, reported = totals[1]["counts"][:4]
    coins = uniforms(small.seed, Purpose.COHORT, 1, 0, 48, 1)[:, 0] < small.cohort_probability
    assert cohort == coins.sum()
    assert cohort > eligible >= completed >= reported


def test_dense_vectors_are_the_sum(environment: Environment) -> None:
    """The vectors of all reporting phones, one by one, add up to the shard's sum mod 2^32."""
    shard, releases, order = Shard(environment, 0, 48), {0: environment.encoded_0}, RoundOrder(1, 0, 0)
    report, _ = shard.run_round(shard.start(), order, releases)
    ((rows, phones),) = shard.blocks()
    block = BlockRound(phones, rows, shard.start(), order, releases, r.empty_truth(environment.places))
    for kind in (Kind.EVALUATION, Kind.LEARNING):
        block.sessions(kind)
    block.contribute()
    dense = block.dense_sample(48)
    assert len(dense) == report.server["reported"][0] > 0
    assert np.array_equal(dense.sum(axis=0).astype(np.uint32), report.server["signal"])


def test_masks_are_run_in_round_1_and_only_a_yes_leaves_the_shard(environment: Environment) -> None:
    """With `verify_masks` 32 the check is of at most 32 reporting phones, one in eight of which drops out."""
    shard, releases = Shard(environment, 0, 48), {0: environment.encoded_0}
    state = shard.start()
    report, check = shard.run_round(state, RoundOrder(1, 0, 0), releases)
    assert check is not None
    assert check.devices == min(32, report.server["reported"][0]) > 8
    assert check.dropped == check.devices // 8
    assert check.equal is True
    assert shard.run_round(state, RoundOrder(2, 0, 0), releases)[1] is None


def test_a_mask_that_does_not_cancel_is_seen(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one phone's vector comes out masked by one too many, the shard says no."""
    from fedbert.federation import shard as module

    plain = module.masked_vector

    def wrong(vector: Any, party: int, keys: Any) -> Any:
        return plain(vector, party, keys) + np.uint32(party == 3)

    monkeypatch.setattr(module, "masked_vector", wrong)
    shard = Shard(environment, 0, 48)
    _, check = shard.run_round(shard.start(), RoundOrder(1, 0, 0), {0: environment.encoded_0})
    assert check is not None
    assert check.equal is False
