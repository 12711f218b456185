"""Clicks of a cascade in lists: `recommendation.clicks` says how."""

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled


@compiled
def fill_clicks(
    draw: NDArray[np.float64],
    order: NDArray[np.int32],
    item: NDArray[np.int32],
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    attract_target: float,
    out: tuple[NDArray[np.int32], NDArray[np.int8]],
) -> None:
    """Write the clicked item [s] (-1 none) and its rank [s] from 1 (0 none) in lists `order` `[s, C]`.

    `draw` `[s, 3]` as in `clicks_from_draws`; `ends` [C] are the chances that the places looked at, and the
    first other item that attracts, are at most 1, 2, ...
    """
    size = order.shape[1]
    looks, others = ends
    for row in range(len(item)):
        looked, other = 1, 1
        while looked <= size and looks[looked - 1] < draw[row, 0]:
            looked += 1
        while other <= size and others[other - 1] < draw[row, 1]:
            other += 1
        target = 1
        while target <= size and order[row, target - 1] != item[row]:
            target += 1
        # `other` counts places among the other items: those below the target item stand one lower.
        other += other >= target
        rank = min(other, target if draw[row, 2] < attract_target else size + 1)
        if rank > looked or rank > size:
            rank = 0
        out[0][row] = order[row, rank - 1] if rank else -1
        out[1][row] = rank
