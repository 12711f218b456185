"""Fits what ONNX Runtime makes for itself (`memory.RuntimeMemory`) to measured graphs.

The logarithms of predicted and measured bytes are compared, for loading and for running at each length; no
constant may be negative. A loss that is linear for large errors keeps one odd length from bending all.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from fedbert.devices.memory import RuntimeMemory
from fedbert.devices.operations import GraphStorage

Floats = NDArray[np.float64]

_START = RuntimeMemory(3e4, 1e3, 1e3, 2e4, 5e3, 1e3, 1e5, 5e3, 3e3, 1.1)
"""Orders of magnitude to start from, which also scale the steps."""

# A graph has one load and five lengths: counted twice, loading is not outweighed by running.
_LOAD_WEIGHT = 2.0

# Errors of 3 %, about what fresh processes and odd lengths come to.
_LINEAR_FROM = 0.03


@dataclass(frozen=True)
class MeasuredGraph:
    """A graph and its memory: `load_bytes`, `run_bytes` [length] and `peak_bytes` [length].

    `tokens` [length] are the lengths of its texts, `activation_bytes` [length] what the walk over it gives.
    """

    name: str
    storage: GraphStorage
    tokens: Floats
    activation_bytes: Floats
    load_bytes: float
    run_bytes: Floats
    peak_bytes: Floats


def running_bytes(runtime: RuntimeMemory, graph: MeasuredGraph) -> Floats:
    """Return the bytes [length] held while texts are encoded."""
    return runtime.running(graph.storage, graph.activation_bytes)


def peak_errors(runtime: RuntimeMemory, graph: MeasuredGraph) -> Floats:
    """Return predicted over measured peak, less one [length]."""
    predicted = np.maximum(runtime.load(graph.storage), running_bytes(runtime, graph))
    return np.asarray(predicted / graph.peak_bytes - 1.0)


def fit(graphs: Sequence[MeasuredGraph]) -> RuntimeMemory:
    """Return the constants that agree best with `graphs`."""

    def residuals(values: Floats) -> Floats:
        runtime = RuntimeMemory(*map(float, values))
        parts: list[Floats] = []
        for graph in graphs:
            loaded = max(runtime.load(graph.storage), float(running_bytes(runtime, graph).min()))
            parts.append(np.array([_LOAD_WEIGHT * np.log(loaded / graph.load_bytes)]))
            parts.append(np.log(running_bytes(runtime, graph) / graph.run_bytes))
        return np.concatenate(parts)

    start = np.array(astuple(_START))
    found = least_squares(
        residuals, start, x_scale=start, bounds=(0.0, np.inf), loss="soft_l1", f_scale=_LINEAR_FROM
    )
    return rounded(RuntimeMemory(*map(float, found.x)))


def rounded(runtime: RuntimeMemory) -> RuntimeMemory:
    """Return the constants in whole bytes, the factor to three decimals."""
    whole = RuntimeMemory(*(float(round(value)) for value in astuple(runtime)))
    return replace(whole, activation_factor=round(runtime.activation_factor, 3))


def leave_one_out(graphs: Sequence[MeasuredGraph]) -> list[Floats]:
    """Return for each graph its `peak_errors` under the fit to all others."""
    return [peak_errors(fit([other for other in graphs if other is not graph]), graph) for graph in graphs]
