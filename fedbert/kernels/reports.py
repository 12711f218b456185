"""What phones report of their clicks, and its clipped sum: `prototypes.contribution` and `ranks` say how.

A phone's entries are the rows of its vector that are not zero, one for each place that it clicked.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled


@compiled
def fill_entries(
    clicks: tuple[NDArray[np.int32], NDArray[np.int32]],
    vectors: tuple[NDArray[np.int8], NDArray[np.int8]],
    centre: NDArray[np.int8],
    sketch: tuple[NDArray[np.int64], NDArray[np.int64]],
    weight: int,
    entries: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]],
    squared_norm: NDArray[np.int64],
) -> int:
    """Write the entries of phones and their squared norm [device]; return how many entries there are.

    `clicks` are text and item `[device, click]`, `vectors` those of texts and items, and `centre` [256] is
    what an item takes off at each int8, by its bits. `sketch` has the row and sign of each item; `weight` is
    a click's. `entries` are device, row, sums `[entry, dim]` and counts, with room for every click.
    """
    (text, item), (texts, items) = clicks, vectors
    row_of, sign_of = sketch
    device, row, sums, counts = entries
    used = 0
    for phone in range(len(item)):
        first = used
        for slot in range(item.shape[1]):
            one, which = item[phone, slot], text[phone, slot]
            if one < 0 or which < 0:
                continue
            sign = sign_of[one]
            place = first
            while place < used and row[place] != row_of[one]:
                place += 1
            if place == used:
                used += 1
                device[place], row[place], counts[place] = phone, row_of[one], 0
                sums[place] = 0
            counts[place] += sign * weight
            for column in range(sums.shape[1]):
                # Unsigned, for a table of 256: a negative index would count from its end.
                taken = np.int32(centre[np.uint8(items[one, column])])
                sums[place, column] += np.int32(sign) * (np.int32(texts[which, column]) - taken)
        square = np.int64(0)
        for place in range(first, used):
            square += counts[place] * counts[place]
            for column in range(sums.shape[1]):
                square += np.int64(sums[place, column]) * np.int64(sums[place, column])
        squared_norm[phone] = square
    return used


@compiled
def add_entries(
    entries: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]],
    factors: NDArray[np.float64],
    sums: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add ``trunc(entry * factor)`` to `sums` `[row, dim]` and `counts` [row]; `factors` are [device]."""
    device, row, values, clicks = entries
    for place in range(len(device)):
        into, factor = row[place], factors[device[place]]
        for column in range(values.shape[1]):
            sums[into, column] += np.int64(values[place, column] * factor)
        counts[into] += np.int64(clicks[place] * factor)


@compiled
def fill_bins(
    clicks: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]],
    weight: int,
    last: int,
    entries: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    squared_norm: NDArray[np.int64],
) -> int:
    """Write the bins of ranks that phones clicked and their squared norm; return how many bins there are.

    `clicks` are text, item and rank `[device, click]`; ranks beyond bin `last` fall into it. `entries` are
    device, bin and count times `weight`, with room for every click.
    """
    text, item, rank = clicks
    device, bin_, integers = entries
    used = 0
    for phone in range(len(item)):
        first = used
        for slot in range(item.shape[1]):
            if item[phone, slot] < 0 or text[phone, slot] < 0 or rank[phone, slot] < 0:
                continue
            one = min(int(rank[phone, slot]), last)
            place = first
            while place < used and bin_[place] != one:
                place += 1
            if place == used:
                used += 1
                device[place], bin_[place], integers[place] = phone, one, 0
            integers[place] += weight
        square = np.int64(0)
        for place in range(first, used):
            square += integers[place] * integers[place]
        squared_norm[phone] = square
    return used


@compiled
def add_bins(
    entries: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    factors: NDArray[np.float64],
    total: NDArray[np.int64],
) -> None:
    """Add ``trunc(count * factor)`` of each of `entries` to `total` [bin]; `factors` are [device]."""
    device, bin_, integers = entries
    for place in range(len(device)):
        total[bin_[place]] += np.int64(integers[place] * factors[device[place]])
