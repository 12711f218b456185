"""Rank a session's candidates with the vectors that a phone has, in integers only.

A score is ``text * t + history * h + user * u`` with t the dot product of the session's text and the
candidate, h the mean (rounded down) of the dot products of the history's texts and the candidate, u a fixed
table of how often the candidate stands in the history. A dot product of a
unit vector with itself is about 127^2.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.recommendation.catalogue import Catalogue

WIDEST = 2047
"""Widest vectors whose products with the sum of a history's fit int32: 64 * 128 * 128 * 2047 < 2^31."""

# A history has at most 64 clicks (`history_length`).
_COUNTS = 65

# A quarter of a vector's dot product with itself, about 127^2: weights are then small whole numbers.
_USER_UNIT = 4096
USER_TABLE = np.rint(_USER_UNIT * np.log2(1.0 + np.arange(_COUNTS))).astype(np.int64)
"""u by how often the candidate stands in the history: 4096 log2(1 + count); t is at most about 16,000."""


@dataclass(frozen=True)
class ScoreWeights:
    """How much the session's text, the history's texts and the clicked items count; integers."""

    text: int
    history: int
    user: int


# Chosen on learning sessions with the teacher's vectors, where user = 4 to 6 ranks best.
FULL = ScoreWeights(text=8, history=1, user=4)
TEXT_ONLY = ScoreWeights(text=1, history=0, user=0)
USER_ONLY = ScoreWeights(text=0, history=0, user=1)


class TextScorer:
    """Scores of texts against items under one release's vectors.

    It reads the vectors it was made of, so that text vectors may be written in place as texts are met.
    """

    def __init__(self, text_vectors: NDArray[np.int8], item_vectors: NDArray[np.int8]) -> None:
        """Keep int8 `[text, dim]` and `[item, dim]`, dim <= `WIDEST`."""
        widths = text_vectors.shape[1], item_vectors.shape[1]
        if widths[0] != widths[1]:
            raise ValueError(f"text vectors are {widths[0]} wide, item vectors {widths[1]}")
        if widths[0] > WIDEST:
            raise ValueError(f"vectors are {widths[0]} wide; the widest that add up exactly are {WIDEST}")
        self._vectors = np.ascontiguousarray(text_vectors), np.ascontiguousarray(item_vectors)

    def scores(
        self,
        text: NDArray[np.int32],
        history_text: NDArray[np.int32],
        history_item: NDArray[np.int32],
        candidates: NDArray[np.int32],
        weights: ScoreWeights,
    ) -> NDArray[np.int64]:
        """Return scores `[s, C]` of sessions: `text` [s], history `[s, H]` (-1 none), candidates `[s, C]`.

        `history_item` is what was clicked. Each row is computed by itself: no row depends on another.
        """
        from fedbert.kernels.ranking import fill_scores

        result = np.empty(candidates.shape, np.int64)
        history = history_text, history_item
        fill_scores(self._vectors, text, history, candidates, astuple(weights), USER_TABLE, result)
        return result


def ranks(
    scores: NDArray[np.int64],
    candidates: NDArray[np.int32],
    item: NDArray[np.int32],
    tie_order: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return the rank [s] (1 = best) of `item` [s] among `candidates` [s, C] by `scores` [s, C].

    Equal scores stand in the order `tie_order` [item], the catalogue's `default_rank`. `item` must be one of
    the candidates.
    """
    from fedbert.kernels.ranking import fill_ranks

    result = np.empty(len(item), np.int64)
    fill_ranks(scores, candidates, item, tie_order, result)
    return result


def order(
    scores: NDArray[np.int64], candidates: NDArray[np.int32], tie_order: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return each row's candidates `[s, C]`, best first; ties as in `ranks`."""
    largest = int(np.abs(scores).max(initial=0))
    if (largest + 1) * len(tie_order) < np.iinfo(np.int64).max:
        place = np.argsort(tie_order[candidates] - scores * len(tie_order), axis=-1)
    else:
        place = np.lexsort((tie_order[candidates], -scores), axis=-1)
    return np.take_along_axis(candidates, place, axis=1)


def default_scores(catalogue: Catalogue, candidates: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return scores `[s, C]` that put candidates in the server's default order: most popular first."""
    return -catalogue.default_rank[candidates].astype(np.int64)
