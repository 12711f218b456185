"""The device side of the signal `prototypes`: one dense integer vector over the whole public catalogue.

A device reports its newest clicks: per clicked item the sum of the text vectors that led to it, each less a
part of the item's own vector in the release, and how often it was clicked. What the release says of an item
is public; without it a report is shorter, and clipping and noise cost it less. Whether two clicks went to one
item is private too, so the vector always has the same size.
Related: FedProto (Tan et al. 2022) and Efficient-FedRec (Yi et al. 2021), which send such sums in the clear;
Ribero et al. 2020, "Federating recommendations using differentially private prototypes".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fedbert.errors import invalid
from fedbert.privacy.mechanisms import to_fixed_point
from fedbert.signals.ranks import first_of_equals
from fedbert.signals.signal import UNIT, Clicks
from fedbert.signals.sketch import rows_for, sketch

CLICK_WEIGHT = 0.2
"""What a click's count weighs beside a text vector of norm 1. Chosen with `CENTRE`, on held-out learning
texts (docs/how-to/signal.md)."""

CENTRE = 0.625
"""How much of an item's vector in the release is taken off each text vector: about the cosine of a text and
its item's name, which leaves the shortest rest. A binary fraction, so that phones round it alike."""

MAX_DIM = 256
"""Widest text vectors whose products, centred or not, add up exactly in float32: 256 * 254^2 < 2^24."""


@dataclass(frozen=True)
class PrototypeLayout:
    """Where each number stands: ``[rows * dim prototype sums | rows click counts x beta]``.

    Items share rows as `sketch.py` says. `beta` is a multiple of `UNIT`; `centre` (0 to 1) is the part of an
    item's vector that is taken off each text vector.
    """

    items: int
    dim: int
    rows: int
    beta: float
    centre: float

    @property
    def size(self) -> int:
        """Coordinates of the signal."""
        return self.rows * self.dim + self.rows

    @property
    def beta_units(self) -> int:
        """`beta` in steps of an int8 text vector."""
        return round(self.beta / UNIT)


def prototype_layout(
    items: int,
    dim: int,
    *,
    beta: float = CLICK_WEIGHT,
    centre: float = CENTRE,
    rows: int | None = None,
) -> PrototypeLayout:
    """Return the layout for a catalogue of `items` and text vectors of width `dim` (1 to 256).

    `beta` (0 to 100) is rounded to steps of `UNIT`. `rows` defaults to one per item, or to SKETCH_ROWS if
    that is fewer. Raises FedbertError for a value out of range.
    """
    used = rows_for(items, rows)
    if not 1 <= dim <= MAX_DIM:
        rule = f"be >= 1 and <= {MAX_DIM}"
        raise invalid("dim", dim, rule, "wider int8 vectors do not add up exactly in float32")
    if not 0 <= beta <= 100:
        raise invalid("beta", beta, "be >= 0 and <= 100")
    if not 0 <= centre <= 1:
        raise invalid("centre", centre, "be >= 0 and <= 1")
    if centre and round(beta / UNIT) == 0:
        # What is left of a centred sum no longer says how many clicks it is of.
        raise invalid("beta", beta, "be > 0 where texts are centred", "report counts, or set centre to 0")
    return PrototypeLayout(items, dim, used, round(beta / UNIT) * UNIT, centre)


def centres_of(layout: PrototypeLayout, items: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return what a click on each item takes off its text vector, `[item, dim]`; `items` as in `Clicks`.

    Whole numbers, so that phones and server mean the same vectors and sums stay exact.
    """
    return np.asarray(np.rint(layout.centre * items.astype(np.float64)), np.int8)


@dataclass(frozen=True)
class PrototypeReports:
    """Reports as their non-zero rows only; a click that is merged into an earlier one has zeros."""

    layout: PrototypeLayout
    squared_norm: NDArray[np.int64]
    row: NDArray[np.int64]
    """[device, click]"""
    sums: NDArray[np.int64]
    """[device, click, dim]"""
    counts: NDArray[np.int64]
    """[device, click]"""

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[size]` of the clipped integers of all devices."""
        layout, rows = self.layout, self.row.ravel()
        entries = len(rows)
        # A sparse product adds rows of one item faster than np.add.at, by an order of magnitude.
        into = csr_array(
            (np.ones(entries, np.int64), (rows, np.arange(entries))), shape=(layout.rows, entries)
        )
        prototypes = np.asarray(into @ to_fixed_point(self.sums, factors).reshape(entries, layout.dim))
        counts = np.zeros(layout.rows, np.int64)
        np.add.at(counts, rows, to_fixed_point(self.counts, factors).ravel())
        return np.concatenate([prototypes.ravel(), counts])

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, size]`."""
        layout, devices = self.layout, len(self.row)
        split = layout.rows * layout.dim
        device = np.arange(devices)[:, None]
        prototypes = np.zeros((devices, layout.rows, layout.dim), np.int64)
        np.add.at(prototypes, (device, self.row), to_fixed_point(self.sums, factors))
        dense = np.zeros((devices, layout.size), np.int64)
        dense[:, :split] = prototypes.reshape(devices, split)
        np.add.at(dense, (device, split + self.row), to_fixed_point(self.counts, factors))
        return dense


def prototype_reports(layout: PrototypeLayout, clicks: Clicks) -> PrototypeReports:
    """Return what the devices of `clicks` would send, before clipping; clicks on one row are added first."""
    item_row, item_sign = sketch(layout)
    clicked = (clicks.item >= 0) & (clicks.text >= 0)
    chosen = np.where(clicked, clicks.item, 0)
    row = item_row[chosen]
    sign = np.where(clicked, item_sign[chosen], 0)
    signed = clicks.vectors[np.where(clicked, clicks.text, 0)].astype(np.float32)
    signed -= centres_of(layout, clicks.items)[chosen]
    signed *= sign[..., None].astype(np.float32)
    same_row = (row[:, :, None] == row[:, None, :]) & clicked[:, :, None] & clicked[:, None, :]
    # Products of such vectors no wider than MAX_DIM stay below 2^24, so float32 gives them exactly.
    dots = np.matmul(signed, signed.transpose(0, 2, 1)).astype(np.int64)
    signs = sign[:, :, None] * sign[:, None, :]
    squared_norm = ((dots + layout.beta_units**2 * signs) * same_row).sum((1, 2))
    # Clicks on one row are one entry: truncating each of them would lose a step per click.
    into_row = first_of_equals(same_row)
    return PrototypeReports(
        layout,
        squared_norm,
        row,
        np.matmul(into_row.astype(np.float32), signed).astype(np.int64),
        layout.beta_units * np.einsum("nkl,nl->nk", into_row, sign),
    )


def split_sum(
    layout: PrototypeLayout, total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a decoded sum `[size]` as sums `[item, dim]` and click counts `[item]`, in clicks.

    In a sketch an item's values carry those of the items that share its row. Without `beta` the counts are
    zeros.
    """
    split = layout.rows * layout.dim
    rows, signs = sketch(layout)
    sums = total[:split].reshape(layout.rows, layout.dim)[rows] * signs[:, None]
    counts = total[split:][rows] * signs
    return sums, counts / layout.beta if layout.beta else 0 * counts
