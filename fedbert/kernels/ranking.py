"""Scores and ranks of sessions' candidates: `recommendation.scorer` says how."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled, inlined


@inlined
def _dot(left: Any, right: Any) -> Any:
    """Return a product of two whole-number vectors that fits int32."""
    total = np.int32(0)
    for place in range(len(left)):
        total += np.int32(left[place]) * np.int32(right[place])
    return total


@compiled
def fill_scores(
    vectors: tuple[NDArray[np.int8], NDArray[np.int8]],
    text: NDArray[np.int32],
    history: tuple[NDArray[np.int32], NDArray[np.int32]],
    candidates: NDArray[np.int32],
    weights: tuple[int, int, int],
    user_table: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Write the scores `[s, C]` of sessions (`TextScorer.scores`).

    `vectors` are those of texts and items, `[text, dim]` and `[item, dim]`; `history` has texts and items
    `[s, H]`; `weights` are those of text, history and user.
    """
    texts, items = vectors
    of_text, of_history, of_user = weights
    history_text, history_item = history
    sum_ = np.empty(texts.shape[1], np.int16)
    for row in range(len(text)):
        known = 0
        if of_history:
            # The sum of products is the product with the sum.
            sum_[:] = 0
            for place in range(history_text.shape[1]):
                one = history_text[row, place]
                if one >= 0:
                    known += 1
                    for column in range(len(sum_)):
                        sum_[column] += texts[one, column]
        for place in range(candidates.shape[1]):
            item = candidates[row, place]
            score = np.int64(0)
            if of_text and text[row] >= 0:
                score += of_text * np.int64(_dot(texts[text[row]], items[item]))
            if known:
                score += of_history * (np.int64(_dot(sum_, items[item])) // known)
            if of_user:
                count = 0
                for each in range(history_item.shape[1]):
                    count += history_item[row, each] == item
                score += of_user * user_table[min(count, len(user_table) - 1)]
            out[row, place] = score


@compiled
def fill_ranks(
    scores: NDArray[np.int64],
    candidates: NDArray[np.int32],
    item: NDArray[np.int32],
    tie_order: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Write the rank [s] (1 = best) of `item` [s] among `candidates` `[s, C]` (`scorer.ranks`)."""
    for row in range(len(item)):
        place = 0
        while candidates[row, place] != item[row]:
            place += 1
        own, tie = scores[row, place], tie_order[item[row]]
        rank = 1
        for each in range(candidates.shape[1]):
            score = scores[row, each]
            rank += score > own or (score == own and tie_order[candidates[row, each]] < tie)
        out[row] = rank
