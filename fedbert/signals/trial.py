"""A trial of a signal from a user's own file: what would go wrong in a run goes wrong here, in one line.

The rules are those that privacy rests on. Above all a device's squared norm must be that of what it sends: a
smaller one would leave its vector longer than the clip norm, and sums of such vectors could wrap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.plugins import Named
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks, NoisySum, Signal, Targets

NEEDED = ("name", "layout", "reports", "start", "learn")
PAGE = "docs/how-to/signal.md shows one"

# Few enough that a trial costs nothing, enough that texts and items repeat.
_CLICKS, _TEXTS = 8, 12


@dataclass(frozen=True)
class _View:
    """Public knowledge that is made up: random unit vectors, half of the texts with an item."""

    names: NDArray[np.float32]
    text_items: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def items(self, release: int) -> NDArray[np.float32]:
        return np.roll(self.names, release, axis=1)

    def texts(self, release: int) -> NDArray[np.float32]:
        return np.roll(self.vectors, release, axis=1)


def _unit(rng: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=(rows, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def checked(signal: Signal, named: Named, items: int, dim: int) -> Signal:
    """Return `signal`, which was `named`, if a trial with made-up clicks goes well.

    `items` and `dim` are those of the run. Raises FedbertError with one line for the first rule it breaks.
    """
    rng = np.random.default_rng(0)
    if not (isinstance(signal.name, str) and signal.name):
        raise named.refused(f"have a text as its name, not {signal.name!r}")
    layout = signal.layout(items, dim)
    size = getattr(layout, "size", None)
    if not isinstance(size, int | np.integer) or size < 1:
        raise named.refused(f"have a layout with a size >= 1, not {size!r}")
    clicks = _clicks(rng, items, dim)
    _check_reports(signal, named, layout, clicks, int(size))
    knowledge = _View(
        _unit(rng, items, dim),
        np.arange(_TEXTS) % 2 * (items - 1) - (np.arange(_TEXTS) + 1) % 2,
        _unit(rng, _TEXTS, dim),
    )
    memory = signal.start(layout, knowledge)
    # Two rounds in two releases: a signal that keeps its memory in place, or forgets a space, shows here.
    for round_ in (1, 2):
        _check_memory(named, memory)
        before = {name: np.array(array) for name, array in memory.items()}
        noisy = NoisySum(round_, round_ - 1, rng.normal(size=int(size)), 0.5, 10.0, 0.5 * round_)
        after, targets = signal.learn(layout, memory, noisy, knowledge)
        if any(not np.array_equal(before[name], memory[name], equal_nan=True) for name in before):
            raise named.refused("return a new memory from learn, and leave the old one as it is")
        _check_targets(named, targets, items, dim)
        memory = after
    _check_memory(named, memory)
    return signal


def _clicks(rng: np.random.Generator, items: int, dim: int) -> Clicks:
    """Return the clicks of four devices: full, one click, none, and the same item again and again."""
    text = rng.integers(0, _TEXTS, (4, _CLICKS)).astype(np.int32)
    item = rng.integers(0, items, (4, _CLICKS)).astype(np.int32)
    item[1, 1:], item[2], item[3] = -1, -1, items - 1
    text[item < 0] = -1
    rank = np.where(item < 0, -1, rng.integers(-1, RANK_BINS, item.shape)).astype(np.int8)
    vectors, names = (
        np.rint(_unit(rng, rows, dim) * INT8_UNIT_LENGTH).astype(np.int8) for rows in (_TEXTS, items)
    )
    return Clicks(vectors, text, item, rank, names)


def _check_reports(signal: Signal, named: Named, layout: Any, clicks: Clicks, size: int) -> None:
    reports, devices = signal.reports(layout, clicks), len(clicks.item)
    one = np.ones(devices)
    dense = named.array("reports(...).dense(factors)", reports.dense(one), np.int64, (devices, size))
    squares = named.array("reports(...).squared_norm", reports.squared_norm, np.int64, (devices,))
    # As Python's integers, which do not wrap.
    exact = [sum(int(value) ** 2 for value in row if value) for row in dense]
    for right, given in zip(exact, squares.tolist(), strict=True):
        if right != given:
            raise named.refused(
                f"give the squared norm of what a device sends as squared_norm, {right} and not {given}: "
                "else the device is not clipped, and the sum could wrap"
            )
    # Factors as clipping gives them: most scale up to fixed point, a long vector's scales down.
    for factors in (one, np.array([0.5, 3.7, 1.0, 40.3])):
        dense = named.array("reports(...).dense(factors)", reports.dense(factors), np.int64, (devices, size))
        total = named.array("reports(...).sum(factors)", reports.sum(factors), np.int64, (size,))
        whole = np.trunc(reports.dense(one) * factors[:, None]).astype(np.int64)
        if not np.array_equal(dense, whole):
            raise named.refused("give trunc(integers * factor) in reports(...).dense(factors)")
        if not np.array_equal(total, dense.sum(axis=0)):
            raise named.refused("give in reports(...).sum(factors) the sum of dense(factors) over devices")
    part = signal.reports(layout, clicks.take(slice(1, 2)))
    if not np.array_equal(part.dense(one[:1]), reports.dense(one)[1:2]):
        raise named.refused("give a device the same report whichever others are asked for with it")


def _check_memory(named: Named, memory: Any) -> None:
    if not isinstance(memory, Mapping):
        raise named.refused(f"keep its memory as arrays by name, not as {type(memory).__name__}")
    for name, array in memory.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise named.refused(f"keep numpy arrays of numbers in its memory, not {name!r}: {type(array)}")


def _check_targets(named: Named, targets: Any, items: int, dim: int) -> None:
    if not isinstance(targets, Targets):
        raise named.refused(f"return (memory, Targets) from learn, not {type(targets).__name__}")
    named.array("the targets' vectors", targets.vectors, np.float32, (items, dim))
    weights = named.array("the targets' weights", targets.weights, np.float32, (items,))
    lengths = np.linalg.norm(targets.vectors, axis=1)
    if not np.allclose(lengths[weights > 0], 1.0, atol=1e-3) or not np.isfinite(lengths).all():
        raise named.refused("give targets that are unit vectors")
    if not ((weights >= 0) & (weights <= 1)).all():
        raise named.refused("give weights within 0..1")
