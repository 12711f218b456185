"""Selections: rules that every one keeps, the rates of each, the formulas of `oort` against plain ones."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.federation.asking import selected
from fedbert.parts import LEARNT_SELECTIONS, SELECTIONS
from fedbert.plugins import Named, load_named
from fedbert.results import TIERS
from fedbert.scenario import Scenario
from fedbert.selection import oort, trial
from fedbert.selection.by_staleness import ByStaleness
from fedbert.selection.by_tier import ByTier, balanced
from fedbert.selection.selection import (
    Done,
    Known,
    SelectionSettings,
    check_account,
    learns,
    privacy_sentence,
)
from fedbert.tier_rates import parse_tier_rates

SETTINGS = SelectionSettings(devices=6_000, round_rate=0.1, tier_shares=(0.5, 0.3, 0.2))
FLEET = DeviceRange(3, 0, 6_000)


def _kind(name: str) -> Any:
    return load_named(name, SELECTIONS, "selection", "selection")


def _known(devices: DeviceRange, round_: int = 1, **more: Any) -> Known:
    """Return phones whose columns follow from their numbers: all tiers, up to three releases behind."""
    number = devices.first + np.arange(devices.count)
    behind = (number // 3) % 4
    return Known(
        round_, (number % 3).astype(np.int8), behind, behind == 0, lambda: 5.0 + number % 50.0, **more
    )


def _learnt(selection: Any, parts: list[DeviceRange], rounds: int) -> list[np.ndarray]:
    """Return who is asked in each round `[device]` of a fleet in `parts`; every second phone reports."""
    announced, found = selection.start(), []
    memories = [np.zeros((part.count, selection.columns), np.int32) for part in parts]
    sums = np.zeros(selection.entries, np.int64)
    for round_ in range(rounds + 1):
        if round_:
            announced = selection.announce(announced, sums, round_)
        sums, asked = np.zeros(selection.entries, np.int64), []
        for place, part in enumerate(parts):
            known = _known(part, round_, announced=announced, memory=memories[place])
            number = part.first + np.arange(part.count)
            here = np.zeros(part.count, np.bool_)
            if round_:
                here = selected(selection, part, np.zeros(part.count, np.bool_), known)
            reported = here & (number % 2 == 0)
            ranks = ((number[:, None] + np.arange(4)) % 20).astype(np.int8)
            done = Done(round_, reported, ranks, np.where(reported, 20.0 + number % 400, 0.0))
            memories[place] = selection.remember(known, done)
            sums += selection.sums(replace(known, memory=memories[place]), reported)
            asked.append(here)
        found.append(np.concatenate(asked))
    return found[1:]


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_selection_passes_the_trial(name: str) -> None:
    """What is asked of a user's selection holds for those that come with fedbert."""
    trial.checked(_kind(name).make(SETTINGS), Named("selection", name, "the page"))


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_selection_says_what_it_reveals(name: str) -> None:
    """The class and what it makes say the same, the names that scenarios refuse are those of private data,
    and the sentence for reports has what decides.
    """
    kind = _kind(name)
    selection = kind.make(SETTINGS)
    assert kind.reveals == selection.reveals
    assert (name in LEARNT_SELECTIONS) == (kind.reveals == "private") == learns(selection)
    said = privacy_sentence(selection)
    assert kind.reveals == "nothing" or selection.looks_at in said
    assert said.endswith(".")


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("edges", [[0, 2_000, 4_000, 6_000], [0, 1, 700, 2_100, 2_101, 4_000, 5_999, 6_000]])
def test_a_split_changes_nobody(name: str, edges: list[int]) -> None:
    """Three parts and seven ask the devices that one asks; where it learns, over four rounds of it."""
    selection = _kind(name).make(SETTINGS)
    parts = [DeviceRange(3, a, b - a) for a, b in pairwise(edges)]
    if learns(selection):
        for one, many in zip(_learnt(selection, [FLEET], 4), _learnt(selection, parts, 4), strict=True):
            assert np.array_equal(one, many)
        return
    coins = FLEET.words(1, 1, 1)[:, 0] % 2 == 0  # type: ignore[arg-type]
    one = selected(selection, FLEET, coins, _known(FLEET))
    many = [selected(selection, part, coins[part.first : part.end], _known(part)) for part in parts]
    assert np.array_equal(one, np.concatenate(many))


@pytest.mark.parametrize("name", sorted(SELECTIONS.keys() - set(LEARNT_SELECTIONS)))
def test_a_public_selection_only_leaves_out(name: str) -> None:
    """The account's reason: nobody joins whom the mechanism's coins did not let, and each is kept at its own
    chance, within five deviations.
    """
    selection = _kind(name).make(SETTINGS)
    coins = FLEET.uniforms(17, 1, 1)[:, 0] < 0.5  # type: ignore[arg-type]
    known = _known(FLEET)
    kept, chance = selected(selection, FLEET, coins, known), selection.chances(known)
    assert not (kept & ~coins).any()
    for value in np.unique(chance):
        here = coins & (chance == value)
        spread = math.sqrt(max(value * (1 - value), 0.0) * here.sum())
        assert abs(kept[here].sum() - value * here.sum()) <= 5 * spread


def test_tiers_are_balanced_or_at_the_users_rates() -> None:
    """Of shares .5, .3, .2 as many of each remain; rates of one's own are taken as they are."""
    rates = np.array(balanced((0.5, 0.3, 0.2)))
    assert np.allclose(rates * [0.5, 0.3, 0.2], 0.2)
    assert balanced((0.5, 0.0, 0.5)) == (1.0, 1.0, 1.0)
    own = ByTier.make(replace(SETTINGS, tier_rates=(1.0, 0.5, 0.0)))
    assert own.chances(_known(DeviceRange(0, 0, 6))).tolist() == [1.0, 0.5, 0.0] * 2


def test_staleness_halves_what_is_left_out() -> None:
    """Up to date 1/2, one behind 3/4, two 7/8, three 15/16."""
    known = replace(_known(DeviceRange(0, 0, 4)), behind=np.arange(4))
    assert ByStaleness.make(SETTINGS).chances(known).tolist() == [0.5, 0.75, 0.875, 0.9375]


def test_oort_asks_as_many_as_the_coins_would() -> None:
    """600 of 6,000 in the mean, in each of 30 rounds within five deviations of that many coins."""
    asked = [each.sum() for each in _learnt(oort.Oort.make(SETTINGS), [FLEET], 30)]
    assert all(abs(count - 600) <= 5 * math.sqrt(600) for count in asked)


def test_oort_prefers_utility_and_speed() -> None:
    """Once phones have reported: of two kinds alike but for one thing, the higher in utility, and the faster,
    is asked at least three times as often.
    """
    selection = oort.Oort(cohort=2_000.0)
    memory = np.zeros((6_000, 3), np.int32)
    memory[:, oort.LAST_ROUND] = 1
    memory[:, oort.UTILITY] = np.repeat([9_000, 1_000, 9_000], 2_000)
    memory[:, oort.SPENT_MS] = np.repeat([50, 50, 5_000], 2_000)
    known = replace(_known(FLEET, 9), memory=memory, announced=selection.start())
    nobody = np.zeros(6_000, np.bool_)
    told = selection.start()
    for round_ in (10, 11, 12):  # T and cap hold one round later
        known = replace(known, round=round_ - 1, announced=told)
        told = selection.announce(told, selection.sums(known, nobody), round_)
    chance = selection.chances(replace(known, round=12, announced=told)).reshape(3, 2_000).mean(axis=1)
    assert chance[0] > 3 * max(chance[1], chance[2])
    assert chance.sum() * 2_000 == pytest.approx(2_000, rel=1e-9)


def test_oorts_formulas_are_the_papers() -> None:
    """U = |B| sqrt(mean loss^2), the loss ln(1 + rank); utility with uncertainty and penalty, by hand."""
    ranks = np.array([[0, -1, 3, 7], [-1, -1, -1, -1], [0, 0, 0, 0]], np.int8)
    losses = [0.0, math.log(4), math.log(8)]
    by_hand = 3 * math.sqrt(sum(loss**2 for loss in losses) / 3)
    assert oort.statistical_utility(ranks).tolist() == pytest.approx([by_hand, 0.0, 0.0])
    memory = np.array([[2_000, 4, 100], [9_000, 4, 400], [0, 0, 0]], np.int32)
    found = oort.utilities(memory, 9, cap=5_000.0, preferred_ms=200.0)
    waited = 1_000 * math.sqrt(0.1 * math.log(9) / 4)
    assert found.tolist() == pytest.approx([2_000 + waited, (5_000 + waited) * (200 / 400) ** 2, 0.0])


@pytest.mark.parametrize("wanted", [1.0, 7.0, 30.0, 59.5])
def test_the_scale_asks_as_many_as_are_wanted(wanted: float) -> None:
    """Against bisection: chances min(1, s w) of 60 devices add up to what is wanted; beyond them all are."""
    counts, weights = np.array([10, 0, 30, 5, 15]), np.array([1.0, 9.0, 2.0, 50.0, 4.0])
    low, high = 0.0, 100.0
    for _ in range(200):
        middle = (low + high) / 2
        short = (counts * np.minimum(1, middle * weights)).sum() < wanted
        low, high = (middle, high) if short else (low, middle)
    assert oort.scale_of(counts, weights, wanted) == pytest.approx(high)
    assert (oort.scale_of(counts, weights, 60.0) * weights[counts > 0] >= 1).all()
    assert oort.scale_of(counts, weights, 0.0) == oort.scale_of(0 * counts, weights, 5.0) == 0.0


def test_the_pacer_prefers_longer_times_once_utility_falls() -> None:
    """Forty rounds that gain 10 each leave T's percentile; with 20 of 10 and then 20 of 9 it goes up by 5."""
    for later, steps in ((10, 0), (9, 1)):
        selection, sums = oort.Oort(10.0), np.zeros(4 * oort.BINS + 1, np.int64)
        told = selection.announce(selection.start(), sums, 1)
        for round_ in range(1, 41):
            sums[-1] = 10 if round_ <= 20 else later
            told = selection.announce(told, sums, round_ + 1)
        assert told[oort.PERCENTILE] == pytest.approx(0.30 + 0.05 * steps)


def test_private_data_are_refused_where_there_is_an_epsilon() -> None:
    """By name before anything is loaded, and by what a class says; one that says nothing is refused too."""
    with pytest.raises(FedbertError, match=r"^selection\(='oort'\) has no account.*by --epsilon none$"):
        Scenario(selection="oort")
    assert Scenario(selection="oort", epsilon=None).selection == "oort"
    for name in SELECTIONS.keys() - set(LEARNT_SELECTIONS):
        assert Scenario(selection=name).epsilon
        check_account(name, _kind(name), 2.0)
    for kind in (type("Own", (), {"reveals": "private"}), type("Own", (), {}), _kind("oort")):
        with pytest.raises(FedbertError, match=r"^selection\(='my.py:Own'\) has no account[^\n]*$"):
            check_account("my.py:Own", kind, 2.0)
        check_account("my.py:Own", kind, None)


def test_tier_rates_are_read() -> None:
    """A tier that is left out has 1."""
    assert TIERS == ("entry", "mid", "flagship")
    assert parse_tier_rates("flagship=0.25, entry=0") == (0.0, 1.0, 0.25)


@pytest.mark.parametrize(
    "text", ["", "entry", "entry=2", "entry=-1", "entry=nan", "cheap=1", "mid=1,mid=1", "entry=1;mid=1"]
)
def test_rates_that_are_none_are_one_line(text: str) -> None:
    """Anything but known tiers with rates within 0..1 is refused with the form."""
    with pytest.raises(FedbertError, match=r"^tier_rates\(=.*must be written TIER=RATE[^\n]*$"):
        Scenario(selection="by-tier", tier_rates=text)


def test_rates_need_somebody_and_their_selection() -> None:
    """All zero asks nobody; rates without the selection that takes them would be lost."""
    with pytest.raises(FedbertError, match=r"^tier_rates\(=.*must be above 0 for some tier"):
        Scenario(selection="by-tier", tier_rates="entry=0,mid=0,flagship=0")
    with pytest.raises(
        FedbertError, match=r"^tier_rates\(=.*must come with the selection by-tier, not 'unif"
    ):
        Scenario(tier_rates="entry=0")
    with pytest.raises(
        FedbertError, match=r"^selection\(='best'\) must be one of by-staleness, by-tier, oort"
    ):
        Scenario(selection="best")
