"""Constants of the cost model, fitted to measured inference times; nothing here is tuned by hand.

The time of a network on one thread of a core is modelled as

    t = conv_macs / (f r[core, precision] e[shapes]) + dense_bytes / b[core] + layers o / f

with clock f (1/s), multiply-adds per cycle r, the efficiency e of a network's shapes (1: average), the rate b
at which weights of dense layers stream from memory (batch 1: each is used once), and o cycles per layer.
log r, log e, log b and log o are found by penalised least squares on log t with a soft-L1 loss; the penalty
draws log e to 0 (networks alike) and log b to their common mean. AlexNet, nine tenths of whose weights are
dense, is given the e of ResNet-18's shapes; so its time tells the rate of memory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

PRECISIONS = ("float", "int8")
HALF_FLOAT_CORES = ("Cortex-A55", "Cortex-A76", "Cortex-A78", "Cortex-A720", "Cortex-X3")
"""Cores with half-precision arithmetic (Armv8.2 and later): ncnn then keeps floats in 2 bytes."""

_PENALTY = 0.1
_FIRST_GUESS = np.array([np.log(4.0), np.log(4e9), np.log(2e4)])


@dataclass(frozen=True)
class Timings:
    """Measured single-thread times, one row each.

    `core` and `shapes` are names (networks of the same `shapes` are equally efficient); `clock_hz`,
    `conv_macs`, `dense_params` and `layers` are what the formula needs,
    `precision` an index into `PRECISIONS`, `seconds` the measured time, `board` the SoC or board.
    """

    board: tuple[str, ...]
    core: tuple[str, ...]
    shapes: tuple[str, ...]
    precision: NDArray[np.int64]
    clock_hz: NDArray[np.float64]
    conv_macs: NDArray[np.float64]
    dense_params: NDArray[np.float64]
    layers: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "Timings":
        """Return the rows where `rows` [row] is true."""
        picked = np.flatnonzero(rows)
        return Timings(
            tuple(self.board[row] for row in picked),
            tuple(self.core[row] for row in picked),
            tuple(self.shapes[row] for row in picked),
            self.precision[rows],
            self.clock_hz[rows],
            self.conv_macs[rows],
            self.dense_params[rows],
            self.layers[rows],
            self.seconds[rows],
        )


@dataclass(frozen=True)
class Fit:
    """Fitted constants; see the module's formula. `macs_per_cycle[core, precision]` is for e = 1."""

    cores: tuple[str, ...]
    shapes: tuple[str, ...]
    macs_per_cycle: NDArray[np.float64]
    efficiency: NDArray[np.float64]
    bytes_per_s: NDArray[np.float64]
    overhead_cycles: float

    def seconds(self, timings: Timings) -> NDArray[np.float64]:
        """Return the predicted time [row] of `timings`; shapes that were not fitted have e = 1."""
        core = np.array([self.cores.index(name) for name in timings.core])
        known = dict(zip(self.shapes, self.efficiency, strict=True))
        efficiency = np.array([known.get(name, 1.0) for name in timings.shapes])
        return _seconds(
            timings,
            self.macs_per_cycle[core, timings.precision],
            efficiency,
            self.bytes_per_s[core],
            self.overhead_cycles,
        )


def weight_bytes(core: str, precision: int) -> int:
    """Return the bytes of one weight as ncnn keeps it on `core`."""
    if PRECISIONS[precision] == "int8":
        return 1
    return 2 if core in HALF_FLOAT_CORES else 4


def _seconds(
    timings: Timings,
    macs_per_cycle: NDArray[np.float64],
    efficiency: NDArray[np.float64],
    bytes_per_s: NDArray[np.float64],
    overhead_cycles: float,
) -> NDArray[np.float64]:
    size = np.array([weight_bytes(c, int(p)) for c, p in zip(timings.core, timings.precision, strict=True)])
    arithmetic = timings.conv_macs / (timings.clock_hz * macs_per_cycle * efficiency)
    streaming = timings.dense_params * size / bytes_per_s
    return np.asarray(arithmetic + streaming + timings.layers * overhead_cycles / timings.clock_hz)


def fit(timings: Timings) -> Fit:
    """Return the constants that fit `timings` best (penalised robust least squares, deterministic)."""
    cores = tuple(sorted(set(timings.core)))
    shapes = tuple(sorted(set(timings.shapes)))
    core = np.array([cores.index(name) for name in timings.core])
    kind = np.array([shapes.index(name) for name in timings.shapes])
    shape, rates, nets = (len(cores), len(PRECISIONS)), len(cores) * len(PRECISIONS), len(shapes)
    target = np.log(timings.seconds)

    def parts(point: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        values = np.exp(point)
        return (
            values[:rates].reshape(shape),
            values[rates : rates + nets],
            values[rates + nets : -1],
            values[-1:],
        )

    def residuals(point: NDArray[np.float64]) -> NDArray[np.float64]:
        rate, efficiency, bandwidth, overhead = parts(point)
        predicted = _seconds(
            timings, rate[core, timings.precision], efficiency[kind], bandwidth[core], float(overhead[0])
        )
        log_bandwidth = point[rates + nets : -1]
        return np.concatenate(
            [
                np.log(predicted) - target,
                np.sqrt(_PENALTY) * point[rates : rates + nets],
                np.sqrt(_PENALTY) * (log_bandwidth - log_bandwidth.mean()),
            ]
        )

    start = np.concatenate(
        [
            np.full(rates, _FIRST_GUESS[0]),
            np.zeros(nets),
            np.full(len(cores), _FIRST_GUESS[1]),
            [_FIRST_GUESS[2]],
        ]
    )
    best = least_squares(residuals, start, loss="soft_l1", f_scale=0.2, x_scale=1.0)
    rate, efficiency, bandwidth, overhead = parts(np.asarray(best.x))
    return Fit(cores, shapes, rate, efficiency, bandwidth, float(overhead[0]))


def relative_errors(fitted: Fit, timings: Timings) -> NDArray[np.float64]:
    """Return |predicted / measured - 1| [row]."""
    return np.abs(fitted.seconds(timings) / timings.seconds - 1)


def leave_one_board_out(timings: Timings) -> NDArray[np.float64]:
    """Return the relative error [row] of rows predicted from the other boards of the same core type.

    Boards whose core type no other board has are left out of the result: nothing could predict them.
    """
    boards_by_core: dict[str, set[str]] = {}
    for board, core in zip(timings.board, timings.core, strict=True):
        boards_by_core.setdefault(core, set()).add(board)
    errors: list[NDArray[np.float64]] = []
    for board in sorted(set(timings.board)):
        mine = np.array([name == board for name in timings.board])
        shared = np.array([len(boards_by_core[core]) > 1 for core in timings.core])
        if (mine & shared).any():
            errors.append(relative_errors(fit(timings.take(~mine)), timings.take(mine & shared)))
    return np.concatenate(errors)
