"""Compiled loops give, bit for bit, what plain numpy and Python give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedbert.device_range import DeviceRange
from fedbert.kernels.sums import add_rows
from fedbert.kernels.urn import fill_urns
from fedbert.randomness import Purpose, keys, to_uniforms, uniforms, uniforms_at, words
from fedbert.recommendation.catalogue import Catalogue, guide, make_catalogue
from fedbert.recommendation.clicks import ClickModel, clicks_from_draws
from fedbert.recommendation.sessions import candidate_draws, candidates_at, draw_candidates


def plain_words(purpose: int, time: int, ids: list[int], draws: int) -> np.ndarray:
    """Return the words that numpy's own generator gives each id, drawn one id at a time."""
    counters = -(-draws // 4)
    rows = []
    for number in ids:
        generator = np.random.Philox(key=keys(3, purpose, [time])[0])
        generator.advance(number * counters)
        rows.append(generator.random_raw(draws))
    return np.array(rows, np.uint64).reshape(len(ids), draws)


@pytest.mark.parametrize("draws", [1, 2, 4, 5, 65])
def test_words_are_those_of_numpy_for_any_ids(draws: int) -> None:
    """In any order, twice, and for the last devices of the largest fleet; a range is its ids one by one."""
    ids = [7, 0, 7, 99_999_999, 41]
    expected = plain_words(5, 2, ids, draws)
    found = uniforms_at(keys(3, 5, [2]), np.array(ids), draws)
    assert np.array_equal(found, to_uniforms(expected))
    assert np.array_equal(words(3, 5, 2, 99_999_998, 2, draws)[1], expected[3])
    assert np.array_equal(uniforms(3, 5, 2, 0, 8, draws)[[7, 0]], to_uniforms(expected[:2]))


def test_each_id_draws_under_the_key_it_names() -> None:
    """Times 4 and 9 side by side give what each gives alone."""
    found = uniforms_at(keys(3, 5, [4, 9]), np.array([6, 6]), 3, np.array([1, 0], np.int8))
    assert np.array_equal(found, to_uniforms(np.stack([plain_words(5, t, [6], 3)[0] for t in (9, 4)])))


def test_chosen_devices_have_the_numbers_of_their_range() -> None:
    """Drawing for rows 2 and 0 of a range gives what the whole range gives them."""
    devices = DeviceRange(1, 50, 5)
    rows = np.array([2, 0])
    assert np.array_equal(
        devices.chosen(rows).uniforms(Purpose.TASTE, 0, 3), devices.uniforms(Purpose.TASTE, 0, 3)[rows]
    )


def goods(items: int, steepness: float) -> Catalogue:
    """Return a catalogue whose popularity falls with a power of the item's number."""
    weight = (1.0 + np.arange(items)) ** -steepness
    neighbours = (np.arange(items)[:, None] + np.arange(1, 21)) % items
    return make_catalogue([str(i) for i in range(items)], weight / weight.sum(), neighbours.astype(np.int32))


@pytest.mark.parametrize(
    ("items", "steepness", "size"), [(278, 1.0, 20), (21, 0.0, 20), (60, 9.0, 20), (40, 1.0, 3)]
)
def test_candidates_equal_those_of_plain_draws(items: int, steepness: float, size: int) -> None:
    """Also where the spare draws run out (60 items, nearly all popularity on one) and in short lists."""
    catalogue, key = goods(items, steepness), keys(1, 2, [3])
    item = (np.arange(500) % items).astype(np.int32)
    ids = np.arange(500)[::-1].copy()
    found = candidates_at(catalogue, (key, np.zeros(500, np.int8), ids), item, size)
    draw = uniforms_at(key, ids, candidate_draws(size))
    assert np.array_equal(found, draw_candidates(catalogue, item, draw, size))


def test_urns_are_filled_as_by_hand() -> None:
    """A fresh item by popularity with the step's chance, else one of those before, each as likely."""
    popularity = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    cumulative = popularity.cumsum(axis=1)
    share, tier = np.array([1.0, 0.5, 0.25, 0.2, 0.1]), np.array([0, 1, 1, 0] * 50, np.int8)
    ids, key = np.arange(200) + 3, keys(1, 2, [3])
    found = np.empty((200, 5), np.int32)
    fill_urns(key[0], ids, tier, share, (cumulative, np.stack([guide(row) for row in cumulative])), found)
    draw = uniforms_at(key, ids, 10)
    for row in range(200):
        seen: list[int] = []
        for step in range(5):
            coin, which = draw[row, 2 * step], draw[row, 2 * step + 1]
            fresh = int(np.searchsorted(cumulative[tier[row]], which))
            seen.append(fresh if step == 0 or coin < share[step] else seen[int(which * step)])
        assert found[row].tolist() == seen


@given(st.integers(0, 2**32 - 1))
def test_clicks_are_those_of_a_cascade_by_hand(seed: int) -> None:
    """The first place that attracts is clicked if it is looked at; chances by inversion of uniforms."""
    random, model = np.random.default_rng(seed), ClickModel(attract_other=0.1)
    order = np.stack([random.permutation(9)[:6] for _ in range(40)]).astype(np.int32)
    item, draw = random.integers(0, 9, 40).astype(np.int32), random.random((40, 3))
    clicked, rank = clicks_from_draws(draw, order, item, model)
    looks = 1.0 - model.continue_ ** np.arange(1, 7)
    others = 1.0 - (1.0 - model.attract_other) ** np.arange(1, 7)
    for row in range(40):
        looked = int(np.searchsorted(looks, draw[row, 0])) + 1
        other = int(np.searchsorted(others, draw[row, 1])) + 1
        found = np.flatnonzero(order[row] == item[row])
        target = int(found[0]) + 1 if len(found) else 7
        other += other >= target
        first = min(other, target if draw[row, 2] < model.attract_target else 7)
        expected = first if first <= min(looked, 6) else 0
        assert rank[row] == expected
        assert clicked[row] == (order[row, expected - 1] if expected else -1)


def test_rows_are_added_to_their_groups() -> None:
    """Groups add up exactly, with negative numbers and a group that gets nothing."""
    vectors = np.array([[1, -128], [127, 5]], np.int8)
    total = np.zeros((3, 2), np.int64)
    add_rows(vectors, np.array([0, 1, 1], np.int32), np.array([2, 2, 0], np.int32), total)
    assert total.tolist() == [[127, 5], [0, 0], [128, -123]]
