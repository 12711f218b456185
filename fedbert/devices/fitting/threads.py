"""What a second thread and more are worth: the share of a network's time that threads divide (Amdahl 1967).

    t(n) = t(1) (1 - p + p / n)        for n threads on cores of one cluster

p is the median, over the rows of one kind of core, of what t(1) and t(n) of the same board and network give.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fitting.fitting import CoreFacts, Flags, Floats
from fedbert.devices.fitting.measured import ThreadedTimings


def paired(measured: ThreadedTimings) -> tuple[Flags, Floats]:
    """Return (rows, seconds) `[row]`: rows with 2 to 8 threads that all fit into the fastest cluster and
    whose board was also timed with one thread there, and that time with one thread (0 in other rows)."""
    t = measured.timings
    keys = list(zip(t.board, t.core, t.network, t.precision.tolist(), strict=True))
    single = {
        key: seconds
        for key, seconds, threads in zip(keys, t.seconds, measured.threads, strict=True)
        if threads == 1
    }
    one = np.array([single.get(key, 0.0) for key in keys])
    room = np.array([clusters[0].count for clusters in measured.clusters])
    threads = measured.threads
    return (one > 0) & (threads > 1) & (threads <= 8) & (threads <= room), one


def threads_factor(parallel_share: Floats | float, threads: NDArray[np.int64] | int) -> Floats:
    """Return t(n) / t(1)."""
    return np.asarray(1 - parallel_share + parallel_share / threads)


def parallel_shares(measured: ThreadedTimings, cores: dict[str, CoreFacts]) -> dict[str, float]:
    """Return p by kind of core (`CoreFacts.kind`)."""
    rows, one = paired(measured)
    t = measured.timings
    kinds = np.array([cores[core].kind() for core in t.core])
    left = np.divide(t.seconds, one, out=np.ones(len(t)), where=one > 0)
    share = (1 - left) / (1 - 1 / np.maximum(measured.threads, 2))
    return {str(kind): float(np.median(share[rows & (kinds == kind)])) for kind in np.unique(kinds[rows])}
