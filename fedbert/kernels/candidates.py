"""The candidates of sessions, from the words that they are drawn with: `recommendation.sessions` says how."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled, inlined
from fedbert.kernels.philox import WORDS, four_words, uniform

_DROPPED_BITS, _PLACE_BITS = np.uint64(12), np.uint64(10)


@inlined
def by_weight(cumulative: Any, begins: Any, draw: Any) -> Any:
    """Return ``searchsorted(cumulative, draw)``; `begins` [g] holds the place where each 1 / g begins."""
    place = begins[min(int(draw * len(begins)), len(begins) - 1)]
    while cumulative[place] < draw:
        place += 1
    return place


@inlined
def _rank(words: Any, first: int, count: int, keys: Any, ranks: Any) -> None:
    """Leave in `ranks` the place in rising order of each number that `count` words from `first` on are."""
    for place in range(count):
        # The bits that a number does not have tell equal ones apart; signed numbers are compared faster.
        keys[place] = np.int64((words[first + place] >> _DROPPED_BITS) << _PLACE_BITS) + place
    for place in range(count):
        rank = 0
        for other in range(count):
            rank += keys[other] < keys[place]
        ranks[place] = rank


@inlined
def _holds(found: Any, count: int, item: Any) -> bool:
    there = False
    for place in range(count):
        there |= found[place] == item
    return there


@compiled
def fill_candidates(
    keys: NDArray[np.uint64],
    which: NDArray[np.int8],
    ids: NDArray[np.int64],
    item: NDArray[np.int32],
    neighbours: NDArray[np.int32],
    law: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]],
    draws: tuple[int, int, int],
    out: NDArray[np.int32],
) -> None:
    """Write the candidates `[n, C]` of sessions with the target items `item` [n].

    `keys`, `which` and `ids` as in `philox.fill_words`. `neighbours` `[item, k]`; `law` is the running sum of
    popularity [item], its guide (see `by_weight`) and the most popular items [C]. `draws` are how many
    numbers a session has, how many nearest names are shuffled, and at which number popular items begin.
    """
    cumulative, begins, top = law
    total, nearest, popular = draws
    size = out.shape[1]
    near, last = size // 2, total - size
    counters = (total + WORDS - 1) // WORDS
    words = np.empty(counters * WORDS, np.uint64)
    sorted_, rank = np.empty(max(nearest, size), np.int64), np.empty(max(nearest, size), np.int64)
    found = np.empty(size, np.int32)
    for row in range(len(ids)):
        key_0, key_1 = keys[which[row], 0], keys[which[row], 1]
        counter = np.uint64(ids[row]) * np.uint64(counters)
        drawn_to = popular // WORDS
        for part in range(counters):
            needed = part * WORDS < nearest or (part + 1) * WORDS > last
            if needed:
                four = four_words(counter + np.uint64(part), key_0, key_1)
                for place in range(WORDS):
                    words[WORDS * part + place] = four[place]
        _rank(words, 0, nearest, sorted_, rank)
        found[0] = item[row]
        for place in range(nearest):
            if rank[place] < near:
                found[1 + rank[place]] = neighbours[item[row], place]
        count, number = 1 + near, popular
        while count < size and number < last:
            part = number // WORDS
            # Few of the spare numbers are ever looked at: they are drawn when they are.
            if part >= drawn_to and (part + 1) * WORDS <= last and part * WORDS >= nearest:
                four = four_words(counter + np.uint64(part), key_0, key_1)
                for place in range(WORDS):
                    words[WORDS * part + place] = four[place]
                drawn_to = part + 1
            one = by_weight(cumulative, begins, uniform(words[number]))
            if not _holds(found, count, one):
                found[count] = one
                count += 1
            number += 1
        place = 0
        while count < size:
            if not _holds(found, count, top[place]):
                found[count] = top[place]
                count += 1
            place += 1
        _rank(words, last, size, sorted_, rank)
        for place in range(size):
            out[row, rank[place]] = found[place]
