"""Worlds of real users: steps in time, history before learning before evaluation, users on devices."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedbert.recommendation.sequences import SequenceWorld, make_sequence_world
from fedbert.recommendation.services import ServicesWorld
from fedbert.recommendation.sessions import Block, Kind

MakeBlock = Callable[..., Block]


@pytest.fixture
def small(services: ServicesWorld) -> SequenceWorld:
    """Return three users: a long chain, one learning item only, two items and no evaluation."""
    user = [0] * 9 + [1, 1] + [2, 2]
    item = [10, 11, 11, 12, 13, 14, 15, 16, 17, 10, 11, 20, 21]
    learning = [True] * 7 + [False] * 2 + [True, False] + [True, True]
    return make_sequence_world(services.public, np.array(user), np.array(item), np.array(learning))


def steps_of(world: SequenceWorld, name: str, user: int) -> list[tuple[int, int]]:
    """Return (before, after) of one user's steps."""
    steps = getattr(world, name)
    part = slice(int(steps.start[user]), int(steps.start[user] + steps.count[user]))
    return list(zip(steps.before[part].tolist(), steps.after[part].tolist(), strict=True))


def test_steps_are_cut_into_history_learning_and_evaluation(small: SequenceWorld) -> None:
    """The earlier half of the learning steps is the past; repeats and short users are left out."""
    assert small.users == 2
    assert steps_of(small, "past", 0) == [(10, 11), (11, 12), (12, 13)]
    assert steps_of(small, "learning", 0) == [(13, 14), (14, 15)]
    assert steps_of(small, "evaluation", 0) == [(15, 16), (16, 17)]
    assert steps_of(small, "past", 1) == [(20, 21)]
    assert steps_of(small, "learning", 1) == []
    assert steps_of(small, "evaluation", 1) == []
    assert np.flatnonzero(small.evaluation_text).tolist() == [15, 16]


def test_history_is_padded_in_front_and_keeps_the_newest(small: SequenceWorld, make_block: MakeBlock) -> None:
    """The newest step stands last; a short history starts with -1."""
    block = make_block(count=2, history_length=2)
    found = {tuple(row) for row in small.history(block).item.tolist()}
    assert found == {(12, 13), (-1, 21)}
    assert {tuple(row) for row in small.history(block).text.tolist()} == {(11, 12), (-1, 20)}


def test_users_without_steps_have_no_sessions(small: SequenceWorld, make_block: MakeBlock) -> None:
    """A user without steps of a kind never has a session of that kind."""
    block = make_block(count=2, learning_per_device_day=40.0, evaluation_per_device_day=40.0)
    long_user = int(np.flatnonzero(small.user_of(block) == 0)[0])
    for kind in Kind:
        assert set(small.sessions(block, 10, kind).device.tolist()) == {long_user}


def test_devices_are_users_in_a_seeded_order(films: SequenceWorld, make_block: MakeBlock) -> None:
    """Up to as many devices as users each has its own user; beyond, users come again in the same order."""
    assert films.users is not None
    users = films.users
    order = films.user_of(make_block(0, users + 5, tier_correlation=0.0))
    assert sorted(order[:users]) == list(range(users))
    assert np.array_equal(order[users:], order[:5])
    other = films.user_of(make_block(0, users + 5, seed=6, tier_correlation=0.0))
    assert not np.array_equal(order, other)
    assert films.reuse_note is not None
    assert f"{users} users" in films.reuse_note
    assert "privacy unit is the device" in films.reuse_note


def test_sessions_are_steps_of_the_devices_own_user(films: SequenceWorld, make_block: MakeBlock) -> None:
    """Text and item of each session are one of the user's steps of that period."""
    block = make_block(50, 200)
    owner = films.user_of(block)
    for kind in Kind:
        found = films.sessions(block, 9, kind)
        assert len(found) > 10
        for device, text, item in zip(found.device, found.text, found.item, strict=True):
            assert (text, item) in steps_of(films, kind.value, int(owner[device]))


def test_evaluation_steps_are_in_no_history(films: SequenceWorld, make_block: MakeBlock) -> None:
    """No truth of an evaluation session stands in that device's history or learning steps."""
    block = make_block(0, 3000, seed=1)
    history = films.history(block)
    found = films.sessions(block, 10, Kind.EVALUATION)
    assert not np.any(history.item[found.device] == found.item[:, None])
    owner = films.user_of(block)
    for device, text, item in zip(found.device[:200], found.text[:200], found.item[:200], strict=True):
        assert (text, item) not in steps_of(films, "learning", int(owner[device]))
    assert films.evaluation_text[found.text].all()


@pytest.mark.parametrize("correlation", [0.5, 5.0])
def test_users_go_with_tiers_and_each_still_comes_once(
    films: SequenceWorld, make_block: MakeBlock, correlation: float
) -> None:
    """The lean to rare items rises from entry to flagship; each user has one device; any split agrees."""
    assert films.users is not None
    users = films.users
    block = make_block(0, users + 100, tier_correlation=correlation)
    found = films.user_of(block)
    assert sorted(found[:users]) == list(range(users))
    assert len(set(found[users:])) == 100
    leans = [films.lean[found[block.tier == tier]].mean() for tier in range(3)]
    assert leans[0] < -0.1
    assert leans[2] > 0.1
    for first, count in ((0, 1), (63, 2), (100, 777), (users - 1, 3), (users + 40, 20)):
        part = make_block(first, count, tier_correlation=correlation)
        whole = replace(part, fleet_devices=users + 100)
        assert films.user_of(whole).tolist() == found[first : first + count].tolist()


def test_what_users_of_a_tier_choose_depends_on_the_knob(films: SequenceWorld, make_block: MakeBlock) -> None:
    """Entry users' sessions want more popular films than flagship users', more so with a larger knob."""
    popularity = np.log(films.public.catalogue.popularity)
    gaps = []
    for correlation in (0.0, 0.5, 5.0):
        found_gaps = []
        for seed in range(6):
            block = make_block(0, 9000, seed, tier_correlation=correlation, evaluation_per_device_day=12.0)
            found = films.sessions(replace(block, fleet_devices=9000), 10, Kind.EVALUATION)
            tier, wanted = block.tier[found.device], popularity[found.item]
            found_gaps.append(wanted[tier == 0].mean() - wanted[tier == 2].mean())
        gaps.append(np.mean(found_gaps))
    assert abs(gaps[0]) < 0.12
    assert gaps[1] > 0.18
    assert gaps[2] > gaps[1] + 0.1
