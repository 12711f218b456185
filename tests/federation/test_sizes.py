"""Runs whose phones have several sizes of the model: who takes which, and how their reports add up."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedbert.comparison import FINAL, RELEASE_0, ranked_by, systems
from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import Outcome
from fedbert.devices.fleet import draw_fleet
from fedbert.devices.fleet_shares import read_fleet
from fedbert.ei_bert.artefact import artefact as one
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import check_one_space, joined, members, pack, unpack
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.block_round import BlockRound
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import RoundOrder, blob_to_array
from fedbert.federation.replay import replay
from fedbert.federation.server import starting_artefact
from fedbert.federation.shard import Shard
from fedbert.federation.size_replay import SCORED, SEEN, check
from fedbert.federation.sizes import expected_shares, largest_that_fits
from fedbert.recommendation.sessions import Kind
from fedbert.scenario import Scenario, anchored
from fedbert.signals.report import dense_reports
from fedbert.signals.signal import Clicks

ROUND = RoundOrder(1, 0, 0)


def by_turns(self: Environment, fleet: Any) -> NDArray[np.int8]:
    """Give phones all sizes by turns, whatever their memory: a third each."""
    return np.asarray(fleet.free_memory_bytes % len(self.sizes), np.int8)


@pytest.fixture(scope="module")
def family() -> Artefact:
    """The shipped models that `auto` chooses from."""
    return starting_artefact("auto")


@pytest.fixture(scope="module")
def mixed(small: Scenario, family: Artefact) -> Iterator[Environment]:
    """The small fleet with a third of its phones on each size; many cannot hold the largest, or are late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Environment, "size_of", by_turns)
        yield Environment.create(tight(small, family), family)


def tight(small: Scenario, family: Artefact) -> Scenario:
    """Return the small scenario with 2.2 MB of memory, which the largest model does not fit, and 16 ms."""
    values = {"model": "auto", "memory_budget_bytes": 2_200_000, "deadline_ms": 16.0}
    return small.model_copy(update=values)


def test_a_phone_takes_the_largest_size_that_fits() -> None:
    """A size fits to the byte; who fits none takes the smallest."""
    limits = np.array([500, 390, 389, 207, 150, 141, 100])
    assert largest_that_fits([390, 207, 141], limits).tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert largest_that_fits([390], limits).tolist() == [0] * 7


def test_shares_are_those_of_a_large_fleet() -> None:
    """Expected shares are what 40,000 phones take, to half a per cent, and add up to 1."""
    profiles, _ = read_fleet(None, "low_end")
    free = draw_fleet(profiles, DeviceRange(0, 0, 40_000)).free_memory_bytes
    peaks, budget = [3_900_000, 2_100_000, 1_400_000], 4_000_000
    expected = expected_shares(peaks, profiles, budget)
    taken = np.bincount(largest_that_fits(peaks, np.minimum(free, budget)), minlength=3) / 40_000
    np.testing.assert_allclose(expected, taken, atol=0.005)
    assert sum(expected) == pytest.approx(1)
    assert min(expected) > 0
    assert expected_shares(peaks, profiles, 3_000_000)[0] == 0
    assert expected_shares(peaks[:1], profiles, budget) == (1.0,)


def test_a_family_travels_as_one_blob(family: Artefact) -> None:
    """Members come back as they were; one alone travels as it always has."""
    again = unpack(pack(family))
    assert again == family
    assert again.sha256 == family.sha256
    assert [each.sha256 for each in members(again)] == [
        one.load_artefact(folder).sha256 for folder in _shipped()
    ]
    alone = members(family)[2]
    assert pack(alone) == one.pack(alone)
    assert joined([alone]) is alone
    assert unpack(one.pack(alone)) == alone
    other = joined([members(family)[0], members(family)[2]])
    assert len({family.sha256, other.sha256, members(family)[0].sha256}) == 3


def _shipped() -> list[Any]:
    from fedbert.paths import models_folder

    return [models_folder() / name for name in ("default", "small", "tiny")]


def test_sizes_of_other_spaces_do_not_mix(family: Artefact) -> None:
    """A model that was not turned into the first one's space is refused, and so is one that is no smaller."""
    first, small, tiny = members(family)
    space = {key: value for key, value in small.manifest.items() if key != "space"}
    with pytest.raises(FedbertError, match="model b must lie in the space of a"):
        check_one_space(("a", "b"), (first, replace(small, manifest=space)))
    with pytest.raises(FedbertError, match="model c must be smaller than b"):
        check_one_space(("a", "b", "c"), (first, tiny, small))


def test_auto_is_no_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of that name in the way changes nothing."""
    (tmp_path / "auto").mkdir()
    monkeypatch.chdir(tmp_path)
    assert anchored(Scenario(model="auto")).model == "auto"


def test_reports_of_all_sizes_add_up(mixed: Environment) -> None:
    """The sum of a round is that of each phone's own report, made one by one with the vectors of its size."""
    shard = Shard(mixed, 0, 48)
    state, truth = shard.start(), r.empty_truth(mixed.places)
    part = BlockRound(Phones(mixed, shard.devices), slice(0, 48), state, ROUND, {0: mixed.encoded_0}, truth)
    part.sessions(Kind.LEARNING)
    total, _, _ = part.contribute()
    size, plain = part.phones.size, np.zeros(mixed.layout.size, np.int64)
    reporting = np.flatnonzero(part.reporting).tolist()
    assert set(size[reporting].tolist()) == {0, 1, 2}
    for device in reporting:
        release = mixed.encoded_0.sizes[size[device]]
        row = slice(device, device + 1)
        rank = np.where(state.release[row] == 0, state.rank[row], -1).astype(np.int8)
        clicks = Clicks(release.vectors, state.text[row], state.item[row], rank, release.items)
        plain += dense_reports(mixed.signal, mixed.layout, clicks)[0]
    assert np.array_equal(total, plain)


def test_phones_fetch_the_bytes_of_their_size(mixed: Environment) -> None:
    """A phone downloads its own size, and nothing of the others."""
    phones = Phones(mixed, DeviceRange(11, 0, 48))
    trying, got = phones.downloads(1, np.ones(48, np.bool_))
    once = got.succeeded & (got.attempts == 1)
    own = np.array([each.total_bytes for each in members(mixed.release_0)])[phones.size[trying]]
    assert once.any()
    assert np.array_equal(got.moved_bytes[once], own[once])


def test_one_size_for_all_is_a_run_with_that_size(mixed: Environment) -> None:
    """Each row of the table is what a run of that size alone gives: ranks, outcomes, latencies, energy.

    With release 0 on every phone, and clicks from before the clock.
    """
    shard, blob = Shard(mixed, 0, 48), blob_to_array(pack(mixed.release_0))
    full = [each for each in systems(False, False) if each.id == ranked_by(RELEASE_0)]
    found = replay(mixed, shard, [full[0].header], 1, {RELEASE_0: blob, FINAL: blob})
    check(found, int(found["ranks"].sum()), 48)
    assert np.array_equal(found["size_ranks"][0, SCORED, 0], found["ranks"][0])
    choices = [(0, mixed)]
    for place, each in enumerate(mixed.sizes):
        alone = replace(mixed, release_0=members(mixed.release_0)[place], cost=each.cost)
        counts = (mixed.token_counts, *mixed.smaller_counts)[place]
        made = {"encoded_0": mixed.encoded_0.sizes[place], "token_counts": counts, "smaller_counts": ()}
        vars(alone).update(made)
        choices.append((1 + place, alone))
    for choice, environment in choices:
        lived, spent_uj = _lived(environment)
        assert np.array_equal(found["size_outcomes"][choice], lived["ranks"].sum(axis=(0, 1, 3)))
        assert np.array_equal(found["size_ranks"][0, SEEN, choice], lived["cluster_ranks"])
        assert np.array_equal(found["size_latency"][choice], lived["latency"].sum(axis=0))
        assert np.array_equal(found["size_memory"][choice], lived["memory"].sum(axis=0))
        assert found["size_spent"][choice, 0] == spent_uj
    late = found["size_outcomes"][:, Outcome.TOO_SLOW]
    assert found["size_outcomes"][1, Outcome.OUT_OF_MEMORY] == found["size_outcomes"][1].sum()
    assert late[2] > 0
    assert found["size_outcomes"][0, Outcome.SCORED] > 0
    assert np.array_equal(found["size_ranks"][0], found["size_ranks"][1])


def _lived(environment: Environment) -> tuple[Any, int]:
    """Return the truth of the evaluation sessions of round 1 with release 0 everywhere, and their energy."""
    shard = Shard(environment, 0, 48)
    state, truth = shard.start(), r.empty_truth(environment.places)
    state.installed[:] = 0
    part = BlockRound(
        Phones(environment, shard.devices), slice(0, 48), state, ROUND, {0: environment.encoded_0}, truth
    )
    part.sessions(Kind.EVALUATION)
    return truth, int(part.spent_uj["session_uj"].sum())
