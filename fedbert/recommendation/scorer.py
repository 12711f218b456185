"""Rank a session's candidates with the vectors that a phone has, in integers only.

A score is ``text * t + history * h + user * u`` with t the dot product of the session's text and the
candidate, h the mean (rounded down) of the dot products of the history's texts and the candidate, u a fixed
table of how often the candidate stands in the history. A dot product of a
unit vector with itself is about 127^2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.recommendation.catalogue import Catalogue

TABLE_ENTRIES = 64_000_000
"""The largest table of all texts against all items; larger worlds gather vectors."""

# Pairs of text and item scored at a time; no figure depends on it.
_PAIRS_PER_BLOCK = 262_144

# Whole numbers up to here are exact in float32; no product of two int8 is larger than the next.
_FLOAT32_EXACT = 2**24
_LARGEST_PRODUCT = 128 * 128

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
    """Scores of texts against items under one release's vectors."""

    def __init__(
        self,
        text_vectors: NDArray[np.int8],
        item_vectors: NDArray[np.int8],
        table_entries: int = TABLE_ENTRIES,
    ) -> None:
        """Keep int8 `[text, dim]` and `[item, dim]`; precompute all dot products if they are few enough."""
        if text_vectors.shape[1] != item_vectors.shape[1]:
            raise ValueError(
                f"text vectors are {text_vectors.shape[1]} wide, item vectors {item_vectors.shape[1]}"
            )
        narrow = text_vectors.shape[1] * _LARGEST_PRODUCT < _FLOAT32_EXACT
        self._exact: type[np.floating[Any]] = np.float32 if narrow else np.float64
        self._texts = text_vectors
        self._items = item_vectors
        small = len(text_vectors) * len(item_vectors) <= table_entries
        shape = (len(text_vectors), len(item_vectors))
        self._table: NDArray[np.int16] | NDArray[np.int32] | None = (
            np.zeros(shape, np.int16) if small else None
        )
        if text_vectors.any():
            self.refill(np.arange(len(text_vectors)))

    def refill(self, rows: NDArray[np.intp]) -> None:
        """Take note that the text vectors of `rows` [n] were written in place since the scorer was made.

        So a scorer can start with all-zero text vectors and grow as texts are met.
        """
        if self._table is None:
            return
        largest = _largest_norm(self._texts[rows]) * _largest_norm(self._items)
        if largest >= np.iinfo(self._table.dtype).max:
            self._table = self._table.astype(np.int32)
        items = self._items.T.astype(self._exact)
        step = max(1, 4_000_000 // max(1, len(self._items)))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            self._table[part] = self._texts[part].astype(self._exact) @ items

    def dots(self, text: NDArray[np.int32], item: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return dot products `[s, K, C]` of texts `[s, K]` and items `[s, C]`, exactly; 0 for text -1."""
        known = text >= 0
        safe = np.where(known, text, 0)
        if self._table is not None:
            flat = safe.astype(np.int64)[:, :, None] * self._table.shape[1] + item[:, None, :]
            result = self._table.ravel().take(flat).astype(np.int64)
        else:
            texts = self._texts[safe].astype(self._exact)
            items = self._items[item].astype(self._exact)
            result = np.rint(texts @ items.transpose(0, 2, 1)).astype(np.int64)
        return np.asarray(result * known[:, :, None])

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
        result = np.empty(candidates.shape, np.int64)
        width = max(1, candidates.shape[1] * (history_text.shape[1] + 1))
        if self._table is None:
            width += (candidates.shape[1] + history_text.shape[1] + 1) * self._texts.shape[1] // 4
        rows = max(1, _PAIRS_PER_BLOCK // width)
        for start in range(0, len(result), rows):
            part = slice(start, start + rows)
            result[part] = self._scores(
                text[part], history_text[part], history_item[part], candidates[part], weights
            )
        return result

    def _scores(
        self,
        text: NDArray[np.int32],
        history_text: NDArray[np.int32],
        history_item: NDArray[np.int32],
        candidates: NDArray[np.int32],
        weights: ScoreWeights,
    ) -> NDArray[np.int64]:
        result = np.zeros(candidates.shape, np.int64)
        if weights.text:
            result += weights.text * self.dots(text[:, None], candidates)[:, 0]
        if weights.history:
            known = np.maximum((history_text >= 0).sum(axis=1), 1)
            result += weights.history * (self.dots(history_text, candidates).sum(axis=1) // known[:, None])
        if weights.user:
            result += weights.user * USER_TABLE[_count(history_item, candidates)]
        return result


def _count(history_item: NDArray[np.int32], candidates: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how often each candidate stands in its row's history, `[s, C]`, at most 64."""
    count = np.zeros(candidates.shape, np.int64)
    for column in range(history_item.shape[1]):
        count += history_item[:, column, None] == candidates
    return np.minimum(count, _COUNTS - 1)


def _largest_norm(vectors: NDArray[np.int8]) -> float:
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.int64)
    return float(np.sqrt(squares.max(initial=0)))


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
    place = np.argmax(candidates == item[:, None], axis=1)[:, None]
    own = np.take_along_axis(scores, place, axis=1)
    before = tie_order[candidates] < tie_order[item][:, None]
    return np.asarray(1 + ((scores > own) | ((scores == own) & before)).sum(axis=1))


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
