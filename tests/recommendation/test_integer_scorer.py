"""Scores are exact integers, and rows do not depend on each other."""

import numpy as np
import pytest

from fedbert.recommendation.catalogue import make_catalogue
from fedbert.recommendation.scorer import (
    FULL,
    TEXT_ONLY,
    USER_ONLY,
    WIDEST,
    ScoreWeights,
    TextScorer,
    default_scores,
    order,
    ranks,
)


def vectors(rows: int, dim: int, seed: int) -> np.ndarray:
    """Return unit vectors as int8, as a release gives them."""
    raw = np.random.default_rng(seed).normal(size=(rows, dim))
    return np.rint(127 * raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.int8)


def sessions(count: int, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Return text, history text, history item, candidates over 60 texts and 30 items."""
    random = np.random.default_rng(seed)
    text = random.integers(0, 60, count).astype(np.int32)
    history_text = random.integers(0, 60, (count, 5)).astype(np.int32)
    history_item = random.integers(0, 30, (count, 5)).astype(np.int32)
    empty = np.arange(5)[None, :] < random.integers(0, 6, (count, 1))
    history_text[empty] = -1
    history_item[empty] = -1
    candidates = np.stack([random.permutation(30)[:8] for _ in range(count)]).astype(np.int32)
    return text, history_text, history_item, candidates


def plain_scores(
    texts: np.ndarray, items: np.ndarray, row: tuple[np.ndarray, ...], weights: ScoreWeights
) -> list[int]:
    """Return one session's scores with Python's integers."""
    text, history_text, history_item, candidates = row

    def dot(one: int, other: int) -> int:
        return sum(int(a) * int(b) for a, b in zip(texts[one], items[other], strict=True))

    known = [one for one in history_text if one >= 0]
    result = []
    for candidate in candidates:
        past = sum(dot(one, candidate) for one in known) // max(1, len(known))
        clicked = sum(1 for one in history_item if one == candidate)
        habit = round(4096 * np.log2(1 + clicked))
        result.append(weights.text * dot(text, candidate) + weights.history * past + weights.user * habit)
    return result


@pytest.mark.parametrize("weights", [FULL, TEXT_ONLY, USER_ONLY, ScoreWeights(3, 5, 0)])
def test_scores_agree_with_one_session_alone(weights: ScoreWeights) -> None:
    """Sessions get what Python's integers give each by itself."""
    texts, items = vectors(60, 24, 0), vectors(30, 24, 1)
    data = sessions(50)
    expected = [plain_scores(texts, items, tuple(part[row] for part in data), weights) for row in range(50)]
    found = TextScorer(texts, items).scores(*data, weights)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize("dim", [96, 256, WIDEST])
def test_scores_are_exact_at_their_largest(dim: int) -> None:
    """The widest vectors and the longest history with every component at its largest add up exactly."""
    texts, items = np.full((1, dim), -128, np.int8), np.full((2, dim), -128, np.int8)
    items[1] = 127
    history = np.zeros((1, 64), np.int32)
    candidates = np.array([[0, 1]], np.int32)
    found = TextScorer(texts, items).scores(
        np.zeros(1, np.int32), history, history, candidates, ScoreWeights(1, 1, 0)
    )
    assert found.tolist() == [[2 * 128 * 128 * dim, -2 * 128 * 127 * dim]]


def test_vectors_are_read_where_they_are_written() -> None:
    """A text that is met later, and written into the same array, has its scores."""
    texts, items = np.zeros((2, 8), np.int8), vectors(30, 8, 5)
    scorer = TextScorer(texts, items)
    texts[1] = 1
    none, candidates = np.zeros((1, 0), np.int32), np.array([[3, 4]], np.int32)
    found = scorer.scores(np.ones(1, np.int32), none, none, candidates, TEXT_ONLY)
    assert found.tolist() == [items[[3, 4]].astype(int).sum(axis=1).tolist()]


def test_a_session_scores_the_same_alone_and_in_any_batch() -> None:
    """Any part of the sessions gets the scores it has among all."""
    scorer = TextScorer(vectors(60, 96, 4), vectors(30, 96, 5))
    data = sessions(300)
    whole = scorer.scores(*data, FULL)
    for part in (slice(0, 1), slice(17, 40), slice(299, 300), slice(0, 0)):
        assert np.array_equal(scorer.scores(*(column[part] for column in data), FULL), whole[part])


def test_text_counts_more_than_habit() -> None:
    """A candidate clicked in every session of a full history loses to the one that the text names exactly."""
    vector = np.zeros((2, 16), np.int8)
    vector[0, 0], vector[1, 1] = 127, 127
    history = np.full((1, 8), 1, np.int32)
    candidates = np.array([[0, 1]], np.int32)
    found = TextScorer(vector, vector).scores(np.zeros(1, np.int32), history, history, candidates, FULL)
    assert found[0, 0] > found[0, 1]


def test_vectors_of_two_widths_or_too_wide_are_refused() -> None:
    """Texts and items of different releases cannot be compared; wider ones would not add up exactly."""
    with pytest.raises(ValueError, match="text vectors are 8 wide, item vectors 9"):
        TextScorer(vectors(3, 8, 0), vectors(3, 9, 0))
    wide = np.zeros((1, WIDEST + 1), np.int8)
    with pytest.raises(ValueError, match="vectors are 2048 wide"):
        TextScorer(wide, wide)


def test_ranks_and_order_break_ties_by_the_default_order() -> None:
    """Equal scores stand by `default_rank`; a better score comes first whatever the default."""
    tie_order = np.array([2, 0, 1, 3], np.int32)
    scores = np.array([[5, 5, 5, 9], [1, 2, 2, 0]])
    candidates = np.array([[0, 1, 2, 3], [3, 2, 0, 1]], np.int32)
    assert order(scores, candidates, tie_order).tolist() == [[3, 1, 2, 0], [2, 0, 3, 1]]
    assert ranks(scores, candidates, np.array([2, 1], np.int32), tie_order).tolist() == [3, 4]


def test_rank_is_the_place_in_the_order() -> None:
    """`ranks` and `order` agree on random scores with many ties, also with scores near 2^62."""
    random = np.random.default_rng(3)
    tie_order = random.permutation(30).astype(np.int32)
    *_, candidates = sessions(400)
    item = candidates[np.arange(400), random.integers(0, 8, 400)]
    for scale in (1, 2**60):
        scores = random.integers(-3, 4, (400, 8)) * scale
        found = order(scores, candidates, tie_order)
        place = np.argmax(found == item[:, None], axis=1) + 1
        assert np.array_equal(ranks(scores, candidates, item, tie_order), place)


def test_default_scores_put_the_most_popular_first() -> None:
    """The popularity baseline is the catalogue's default order."""
    goods = make_catalogue(["a", "b", "c"], np.array([0.2, 0.5, 0.3]), np.zeros((3, 20), np.int32))
    candidates = np.array([[0, 1, 2]], np.int32)
    shown = order(default_scores(goods, candidates), candidates, goods.default_rank)
    assert shown.tolist() == [[1, 2, 0]]
