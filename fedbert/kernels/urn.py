"""Draws of a Polya urn: `recommendation.services` says how."""

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.candidates import by_weight
from fedbert.kernels.compiled import compiled
from fedbert.kernels.philox import WORDS, four_words, uniform


@compiled
def fill_urns(
    key: NDArray[np.uint64],
    ids: NDArray[np.int64],
    tier: NDArray[np.int8],
    fresh_share: NDArray[np.float64],
    laws: tuple[NDArray[np.float64], NDArray[np.int32]],
    out: NDArray[np.int32],
) -> None:
    """Write the items `[n, H]` of the histories of `ids` [n], whose device tier is `tier` [n].

    Each id draws two numbers a step, under `key` [2]: a coin of rate `fresh_share` [H] for a fresh item, and
    which. `laws` are each tier's running sums of popularity `[tier, item]` and their guides.
    """
    cumulative, begins = laws
    length = out.shape[1]
    counters = (2 * length + WORDS - 1) // WORDS
    draws = np.empty(counters * WORDS)
    for row in range(len(ids)):
        counter = np.uint64(ids[row]) * np.uint64(counters)
        for part in range(counters):
            four = four_words(counter + np.uint64(part), key[0], key[1])
            for place in range(WORDS):
                draws[WORDS * part + place] = uniform(four[place])
        of_tier, guide = cumulative[tier[row]], begins[tier[row]]
        for step in range(length):
            which = draws[2 * step + 1]
            if step == 0 or draws[2 * step] < fresh_share[step]:
                out[row, step] = by_weight(of_tier, guide, which)
            else:
                out[row, step] = out[row, int(which * step)]
