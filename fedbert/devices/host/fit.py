"""The constants of a core, fitted to times of single operators.

The counts of each small graph are taken as those of a model are (`FusedGraph`), and its time is the cost
model's:

    t = run + operators o + products p + max(integer / i + float / f + elements / e, bytes / b)

on one thread; on n the maximum is (1 - s + s / n) of that, and each product costs w more. Bytes are those
of graphs whose weights fit no core's own cache; in the others memory does not bind. The logarithms of
run, o, p, i, f, e and b, then w and s, are found by least squares on log t, with a soft-L1 loss so that a
disturbed timing counts less. Nothing of a whole model enters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from fedbert.devices.fused_graph import Counts

Floats = NDArray[np.float64]

_FIRST_GUESS = {
    "run_us": 5.0,
    "operator_us": 1.0,
    "product_us": 1.0,
    "integer_per_us": 5e4,
    "float_per_us": 2e4,
    "element_per_us": 1e4,
    "bytes_per_us": 1e4,
}
_MEMORY_GUESSES = (2e3, 5e3, 1e4, 2e4, 5e4)
_LOSS_SCALE = 0.1


@dataclass(frozen=True)
class CoreConstants:
    """What the fit finds: microseconds, and counts done in one; `wake_us` and `share` are of threads."""

    run_us: float
    operator_us: float
    product_us: float
    integer_per_us: float
    float_per_us: float
    element_per_us: float
    bytes_per_us: float
    wake_us: float = 0.0
    share: float = 0.0


def table(counts: list[Counts]) -> Floats:
    """Return the counts [graph, 6]: operators, products, integer, float and element operations, bytes."""
    rows = [(c.calls, c.products, c.integer_macs, c.float_macs, c.float_ops, c.traffic) for c in counts]
    return np.array(rows, np.float64)


def microseconds(constants: CoreConstants, counts: Floats, threads: int = 1) -> Floats:
    """Return the modelled time [graph] of `counts` [graph, 6]."""
    calls, products, integer, floats, elements, traffic = counts.T
    c = constants
    arithmetic = integer / c.integer_per_us + floats / c.float_per_us + elements / c.element_per_us
    product = c.product_us + (c.wake_us if threads > 1 else 0.0)
    work = np.maximum(arithmetic, traffic / c.bytes_per_us) * (1 - c.share + c.share / threads)
    return np.asarray(c.run_us + calls * c.operator_us + products * product + work)


def fit_one_thread(counts: Floats, measured_us: Floats) -> CoreConstants:
    """Return the constants that fit `measured_us` [graph] of `counts` [graph, 6] best."""
    names = list(_FIRST_GUESS)

    def constants(point: Floats) -> CoreConstants:
        return CoreConstants(**dict(zip(names, np.exp(point).tolist(), strict=True)))

    def residuals(point: Floats) -> Floats:
        return np.asarray(np.log(microseconds(constants(point), counts) / measured_us))

    # Where arithmetic is the larger part the memory rate has no slope, so a step too far would be the last.
    # Of several first guesses the one that ends lowest counts.
    ends = []
    for rate in _MEMORY_GUESSES:
        start = np.log(list((_FIRST_GUESS | {"bytes_per_us": rate}).values()))
        ends.append(least_squares(residuals, start, loss="soft_l1", f_scale=_LOSS_SCALE))
        again = np.array(ends[-1].x)
        again[names.index("bytes_per_us")] = np.log(rate)
        ends.append(least_squares(residuals, again, loss="soft_l1", f_scale=_LOSS_SCALE))
    return constants(np.asarray(min(ends, key=lambda end: float(end.cost)).x))


def fit_threads(one: CoreConstants, counts: Floats, measured_us: Floats, threads: int = 2) -> CoreConstants:
    """Return `one` with the share that `threads` divide and the time to wake them for a product."""

    def constants(point: Floats) -> CoreConstants:
        share, wake = point.tolist()
        return CoreConstants(**{**one.__dict__, "share": share, "wake_us": wake})

    def residuals(point: Floats) -> Floats:
        return np.asarray(np.log(microseconds(constants(point), counts, threads) / measured_us))

    start, bounds = np.array([0.5, 1.0]), (np.array([0.0, 0.0]), np.array([1.0, 1e4]))
    best = least_squares(residuals, start, loss="soft_l1", f_scale=_LOSS_SCALE, bounds=bounds)
    return constants(np.asarray(best.x))
