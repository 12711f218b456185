"""The device side of the signal `delta`: the gradient of the item matrix, in whole numbers.

A phone takes each click as an example with its text x and the clicked item i, and the release's item vectors
V as the weights of a softmax over the catalogue. With p = softmax(SHARPNESS * V x), the gradient of
-log p[i] / SHARPNESS by V is the sum over clicks of (p - onehot(i)) x, one row an item: what federated
averaging sends after a single step (FedSGD, McMahan et al. 2017), clipped and noised as in DP-FedAvg (McMahan
et al. 2018).

p is held in sixteenths, so that most rows of a report are zero, and everything is whole numbers: any phone
and any cut of the fleet gives the same bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from fedbert.errors import invalid
from fedbert.privacy.mechanisms import to_fixed_point
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks
from fedbert.signals.sketch import rows_for, sketch

SHARPNESS = 20.0
"""Factor on cosines in the softmax. Chosen on held-out learning texts (docs/how-to/signal.md)."""

CHANCE_STEPS = 16
"""Steps of a chance: 32 of them won no more, 8 cost nothing that could be told, and fewer make more rows."""

MAX_DIM = 1024
"""Widest vectors whose int8 products add up exactly in float32 (1024 * 127^2 < 2^24)."""

_WEIGHT_ONE = 2.0**20
"""The largest weight of an item before weights are divided by their sum; what is below one millionth of the
best item's is zero."""

_LOGITS = 2_000_000
"""Most products of texts and items held at a time, so that memory does not grow with the fleet."""


@dataclass(frozen=True)
class DeltaLayout:
    """Where each number stands: ``[rows * dim]``, the gradient of each item's vector.

    Items share rows as `sketch.py` says. `sharpness` (> 0) is the softmax's.
    """

    items: int
    dim: int
    rows: int
    sharpness: float

    @property
    def size(self) -> int:
        """Coordinates of the signal."""
        return self.rows * self.dim


def delta_layout(
    items: int, dim: int, *, sharpness: float = SHARPNESS, rows: int | None = None
) -> DeltaLayout:
    """Return the layout for a catalogue of `items` and vectors of width `dim` (1 to 1024).

    `rows` defaults to one per item, or to `sketch.SKETCH_ROWS` if that is fewer. Raises FedbertError for a
    value out of range.
    """
    used = rows_for(items, rows)
    if not 1 <= dim <= MAX_DIM:
        rule = f"be >= 1 and <= {MAX_DIM}"
        raise invalid("dim", dim, rule, "wider int8 vectors do not add up exactly in float32")
    if not 0.1 <= sharpness <= 1000:
        raise invalid("sharpness", sharpness, "be >= 0.1 and <= 1000")
    return DeltaLayout(items, dim, used, sharpness)


@dataclass(frozen=True)
class DeltaReports:
    """Gradients of `devices` devices as their non-zero rows: entry after entry, in the order of devices."""

    layout: DeltaLayout
    devices: int
    device: NDArray[np.int64]
    """[entry]"""
    row: NDArray[np.int64]
    """[entry]"""
    values: NDArray[np.int64]
    """[entry, dim]"""

    @property
    def squared_norm(self) -> NDArray[np.int64]:
        """Exact squared norm of each device's integers, `[device]`."""
        total = np.zeros(self.devices, np.int64)
        np.add.at(total, self.device, np.einsum("ed,ed->e", self.values, self.values))
        return total

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[size]` of the clipped integers of all devices."""
        entries = len(self.row)
        into = csr_array(
            (np.ones(entries, np.int64), (self.row, np.arange(entries))), shape=(self.layout.rows, entries)
        )
        return np.asarray(into @ to_fixed_point(self.values, factors[self.device])).ravel()

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, size]`."""
        out = np.zeros((self.devices, self.layout.rows, self.layout.dim), np.int64)
        out[self.device, self.row] = to_fixed_point(self.values, factors[self.device])
        return out.reshape(self.devices, self.layout.size)


def delta_reports(layout: DeltaLayout, clicks: Clicks) -> DeltaReports:
    """Return what the devices of `clicks` would send, before clipping; clicks are added first."""
    clicked = (clicks.item >= 0) & (clicks.text >= 0)
    device = np.nonzero(clicked)[0]
    item, text = clicks.item[clicked], clicks.text[clicked]
    if not len(item):
        nothing = np.zeros(0, np.int64)
        empty = np.zeros((0, layout.dim), np.int64)
        return DeltaReports(layout, len(clicks.item), nothing, nothing, empty)
    # Many phones send one text: its chances are found once.
    texts, which = np.unique(text, return_inverse=True)
    vectors = clicks.vectors[texts]
    chances = coo_array(_chances(layout, vectors, clicks.items)[which])
    # A click pushes its text off each item by the item's chance, and towards the clicked one by a whole.
    push = np.concatenate([chances.coords[0], np.arange(len(item))])
    at = np.concatenate([chances.coords[1], item])
    steps = np.concatenate([chances.data, np.full(len(item), -CHANCE_STEPS)])
    rows, signs = sketch(layout)
    # Pushes of one device on one row are one entry: truncating each of them would lose a step a push.
    key = device[push] * layout.rows + rows[at]
    entries, into = np.unique(key, return_inverse=True)
    gather = csr_array((steps * signs[at], (into, which[push])), shape=(len(entries), len(texts)))
    sixteenths = np.asarray(gather @ vectors.astype(np.int64))
    values = np.rint(sixteenths / CHANCE_STEPS).astype(np.int64)
    return DeltaReports(layout, len(clicks.item), entries // layout.rows, entries % layout.rows, values)


def weights_by_distance(sharpness: float) -> NDArray[np.float32]:
    """Return the softmax's weight of an item, by how far its product with a text lies below the best one's.

    Whole numbers, a step for each int8 product; the last is 0 and stands for all that lie further.
    """
    one = float(INT8_UNIT_LENGTH**2)
    furthest = int(np.ceil(one * np.log(2 * _WEIGHT_ONE) / sharpness)) + 1
    weights = np.rint(_WEIGHT_ONE * np.exp(-sharpness * np.arange(furthest) / one))
    weights[-1] = 0.0
    return np.asarray(weights, np.float32)


def _chances(layout: DeltaLayout, vectors: NDArray[np.int8], items: NDArray[np.int8]) -> csr_array:
    """Return the items' chances under each of the texts `vectors`, in steps: `[text, item]`, mostly zero."""
    table, weights = items.astype(np.float32).T, weights_by_distance(layout.sharpness)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    block = max(1, _LOGITS // layout.items)
    for start in range(0, len(vectors), block):
        # Exact: whole numbers below 2^24.
        products = vectors[start : start + block].astype(np.float32) @ table
        below = (products.max(axis=1, keepdims=True) - products).astype(np.int32)
        weight = weights[np.minimum(below, len(weights) - 1)]
        # float64: the sum of a large catalogue's weights passes 2^24.
        total = weight.sum(axis=1, dtype=np.float64)
        text, item = np.nonzero(weight >= (total / (2 * CHANCE_STEPS))[:, None])
        steps = np.floor(CHANCE_STEPS * weight[text, item].astype(np.float64) / total[text] + 0.5)
        found.append((start + text, item, steps.astype(np.int64)))
    text, item, steps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return csr_array((steps, (text, item)), shape=(len(vectors), layout.items))
