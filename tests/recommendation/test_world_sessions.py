"""Sessions on the clock: when, how many, which candidates; and equal for every split of the fleet."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from fedbert.randomness import Purpose, uniforms
from fedbert.recommendation import sessions as module
from fedbert.recommendation.catalogue import Catalogue, make_catalogue
from fedbert.recommendation.services import ServicesWorld
from fedbert.recommendation.sessions import (
    NEAREST,
    Block,
    Kind,
    Sessions,
    activity,
    activity_share,
    candidate_draws,
    draw_by_weight,
    draw_candidates,
    mean_sessions,
    session_places,
    session_uniforms,
)
from fedbert.recommendation.world import World

MakeBlock = Callable[..., Block]


def joined(parts: list[Sessions], starts: list[int]) -> dict[str, np.ndarray]:
    """Return the columns of several blocks' sessions, devices counted from the first block's start."""
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("slot", "hour", "text", "item", "candidates")
    }
    columns["device"] = np.concatenate(
        [part.device + start for part, start in zip(parts, starts, strict=True)]
    )
    return columns


def test_activity_swings_fourfold_and_comes_to_one_a_day() -> None:
    """The day curve integrates to 1, peaks at 20:00 at four times the level of 4:00."""
    hours = np.arange(0.0, 24.0, 0.01)
    assert activity(hours).mean() * 24 == pytest.approx(1.0, abs=1e-6)
    assert hours[np.argmax(activity(hours))] == pytest.approx(20.0)
    assert float(activity(20.0) / activity(4.0)) == pytest.approx(4.0)
    assert activity_share(0.0, 24.0) == pytest.approx(1.0)
    assert activity_share(-2.0, 48.0) == pytest.approx(2.0)


def test_the_share_of_a_window_is_the_integral_of_activity() -> None:
    """`activity_share` agrees with a plain sum over small steps, across midnight too."""
    for start, hours in ((0.0, 2.0), (3.0, 5.5), (19.0, 8.0), (-2.0, 2.0), (46.0, 1.0)):
        steps = start + (np.arange(20000) + 0.5) * hours / 20000
        assert activity_share(start, hours) == pytest.approx(activity(steps).mean() * hours, rel=1e-6)


def test_a_day_of_rounds_has_the_days_sessions(make_block: MakeBlock) -> None:
    """Means of the 12 rounds of a day sum to sessions a day; round 0 is the window before midnight."""
    settings = make_block().settings
    means = [mean_sessions(settings, round_, Kind.LEARNING) for round_ in range(1, 13)]
    assert sum(means) == pytest.approx(2.0)
    assert mean_sessions(settings, 0, Kind.LEARNING) == pytest.approx(2.0 * activity_share(22.0, 2.0))


def test_counts_are_poisson(make_block: MakeBlock) -> None:
    """Counts follow the Poisson law of their mean; slots count from 0 within a device."""
    block = make_block(count=40000, learning_per_device_day=12.0)
    device, slot = session_places(block, 10, Kind.LEARNING)
    mean = mean_sessions(block.settings, 10, Kind.LEARNING)
    count = np.bincount(device, minlength=block.devices.count)
    for k in range(5):
        expected = math.exp(-mean) * mean**k / math.factorial(k)
        assert (count == k).mean() == pytest.approx(expected, abs=4 * math.sqrt(expected / 40000))
    assert np.all(np.diff(device) >= 0)
    assert all(slot[device == one].tolist() == list(range(count[one])) for one in range(50))


def test_many_sessions_a_round_are_not_cut_off(make_block: MakeBlock) -> None:
    """With 48 sessions a day in one long round the mean stays what was asked for."""
    block = make_block(count=5000, learning_per_device_day=24.0, round_hours=24.0)
    device, slot = session_places(block, 1, Kind.LEARNING)
    assert len(device) / block.devices.count == pytest.approx(24.0, rel=0.01)
    assert slot.max() < module.MAX_SLOTS


def test_sessions_fall_into_their_rounds_hours(services: ServicesWorld, make_block: MakeBlock) -> None:
    """Round r covers the hours from (r - 1) * round_hours; round 0 the two hours before midnight."""
    block = make_block(count=3000)
    for round_, low, high in ((0, 22, 24), (1, 0, 2), (12, 22, 24), (13, 0, 2)):
        hour = services.sessions(block, round_, Kind.EVALUATION).hour
        assert len(hour) > 20
        assert low <= hour.min() <= hour.max() < high


def test_hours_follow_activity_within_a_long_round(services: ServicesWorld, make_block: MakeBlock) -> None:
    """In a round of a whole day the evening has its share of sessions."""
    hour = services.sessions(make_block(count=5000, round_hours=24.0), 1, Kind.EVALUATION).hour
    assert ((hour >= 18) & (hour < 22)).mean() == pytest.approx(activity_share(18.0, 4.0), abs=0.02)


@pytest.mark.parametrize("name", ["services", "films"])
@pytest.mark.parametrize("kind", list(Kind))
def test_any_split_of_the_fleet_gives_the_same_sessions(
    name: str,
    kind: Kind,
    request: pytest.FixtureRequest,
    make_block: MakeBlock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks of 1, 7 and 292 devices, worked through in small chunks, equal one block of 300 to the bit."""
    world: World = request.getfixturevalue(name)
    busy = {"learning_per_device_day": 9.0, "evaluation_per_device_day": 9.0}
    whole = make_block(100, 300, **busy)
    expected = joined([world.sessions(whole, 9, kind)], [0])
    expected_history = world.history(whole)
    starts, counts = [0, 1, 8], [1, 7, 292]
    blocks = [make_block(100 + start, count, **busy) for start, count in zip(starts, counts, strict=True)]
    monkeypatch.setattr(module, "_SESSIONS_PER_CHUNK", 11)
    found = joined([world.sessions(block, 9, kind) for block in blocks], starts)
    assert len(found["item"]) > 100
    for column, values in expected.items():
        assert np.array_equal(found[column], values), column
    for column in ("text", "item"):
        parts = [getattr(world.history(block), column) for block in blocks]
        assert np.array_equal(np.concatenate(parts), getattr(expected_history, column))


def test_rounds_and_kinds_have_their_own_numbers(services: ServicesWorld, make_block: MakeBlock) -> None:
    """Two rounds, and the two kinds of one round, are different draws."""
    block = make_block(count=2000)
    one = services.sessions(block, 1, Kind.LEARNING)
    two = services.sessions(block, 2, Kind.LEARNING)
    other = services.sessions(block, 1, Kind.EVALUATION)
    assert not np.array_equal(one.device, two.device)
    assert not np.array_equal(one.device, other.device)


def test_session_numbers_are_those_of_device_round_and_slot(make_block: MakeBlock) -> None:
    """`session_uniforms` equals one call of `uniforms` for each session by itself."""
    block = make_block(40, 30, seed=5)
    device = np.array([0, 0, 0, 7, 12, 12, 29], np.int32)
    slot = np.array([0, 1, 2, 0, 0, 1, 0], np.int8)
    found = session_uniforms(block, Purpose.CLICK, 3, device, slot, 3)
    for row, (one, number) in enumerate(zip(device, slot, strict=True)):
        time = 3 * module.MAX_SLOTS + int(number)
        expected = uniforms(5, Purpose.CLICK, time, 40 + int(one), 1, 3)[0]
        assert np.array_equal(found[row], expected)


def plain_candidates(goods: Catalogue, item: int, draw: np.ndarray, size: int) -> list[int]:
    """Return one session's candidates as a phone alone would draw them."""
    near = size // 2
    chosen = [item]
    chosen += [int(goods.neighbours[item][place]) for place in np.argsort(draw[:NEAREST])[:near]]
    bounds = np.cumsum(goods.popularity)
    bounds /= bounds[-1]
    for number in draw[20:-size]:
        drawn = next(other for other in range(goods.items) if number <= bounds[other])
        if drawn not in chosen:
            chosen.append(drawn)
    for popular in sorted(range(goods.items), key=lambda other: goods.default_rank[other]):
        if popular not in chosen:
            chosen.append(popular)
    chosen = chosen[:size]
    return [chosen[place] for place in np.argsort(draw[-size:])]


@pytest.mark.parametrize("skew", [0.0, 6.0])
@pytest.mark.parametrize("size", [5, 20])
def test_candidates_agree_with_one_phone_alone(skew: float, size: int) -> None:
    """The vectorised draw equals the plain one, also where popular draws run out."""
    weight = (1.0 + np.arange(40)) ** -skew
    near = np.array([[other for other in range(40) if other != item][:20] for item in range(40)], np.int32)
    goods = make_catalogue([f"item {item}" for item in range(40)], weight / weight.sum(), near)
    draw = uniforms(1, Purpose.SAMPLE, 0, 0, 200, candidate_draws(size))
    item = (np.arange(200) % 40).astype(np.int32)
    found = draw_candidates(goods, item, draw, size)
    expected = [plain_candidates(goods, int(one), row, size) for one, row in zip(item, draw, strict=True)]
    assert found.tolist() == expected


def test_candidates_are_distinct_half_near_and_anywhere(services: ServicesWorld) -> None:
    """20 distinct items with the truth at a uniform place and at least ten of its neighbours by name."""
    draw = uniforms(1, Purpose.SAMPLE, 0, 0, 8000, candidate_draws(20))
    item = (np.arange(8000) % 278).astype(np.int32)
    goods = services.public.catalogue
    found = draw_candidates(goods, item, draw, 20)
    ordered = np.sort(found, axis=1)
    assert np.all(ordered[:, 1:] > ordered[:, :-1])
    place = np.bincount(np.argmax(found == item[:, None], axis=1), minlength=20)
    assert place.sum() == 8000
    assert place.min() > 400 - 5 * 20
    assert place.max() < 400 + 5 * 20
    near = (found[:, :, None] == goods.neighbours[item][:, None, :]).any(axis=2).sum(axis=1)
    assert near.min() >= 10


@pytest.mark.parametrize("items", [1, 7, 278, 50_000])
def test_the_guided_draw_is_a_plain_inversion(items: int) -> None:
    """`draw_by_weight` equals `searchsorted`, with tiny and zero weights and at the ends of (0, 1)."""
    random = np.random.default_rng(items)
    weight = random.random(items) ** 8 * (random.random(items) < 0.5)
    weight[-1] = 1e-9
    cumulative = np.cumsum(weight)
    cumulative /= cumulative[-1]
    draw = np.concatenate([random.random(20_000), cumulative, [2.0**-54, 1 - 2.0**-53]])[:, None]
    assert np.array_equal(draw_by_weight(cumulative, draw), np.searchsorted(cumulative, draw))
