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

from fedbert.errors import invalid
from fedbert.privacy.mechanisms import to_fixed_point
from fedbert.signals.signal import UNIT, Clicks
from fedbert.signals.sketch import rows_for, sketch

CLICK_WEIGHT = 0.2
"""What a click's count weighs beside a text vector of norm 1. Chosen with `CENTRE`, on held-out learning
texts (docs/how-to/signal.md)."""

CENTRE = 0.625
"""How much of an item's vector in the release is taken off each text vector: about the cosine of a text and
its item's name, which leaves the shortest rest. A binary fraction, so that phones round it alike."""


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
    """Return the layout for a catalogue of `items` and text vectors of width `dim` (>= 1).

    `beta` (0 to 100) is rounded to steps of `UNIT`. `rows` defaults to one per item, or to SKETCH_ROWS if
    that is fewer. Raises FedbertError for a value out of range.
    """
    used = rows_for(items, rows)
    if dim < 1:
        raise invalid("dim", dim, "be >= 1")
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
    """Reports as their non-zero rows only, in the order of devices: one entry a row."""

    layout: PrototypeLayout
    squared_norm: NDArray[np.int64]
    device: NDArray[np.int64]
    """[entry]"""
    row: NDArray[np.int64]
    """[entry]"""
    sums: NDArray[np.int32]
    """[entry, dim]"""
    counts: NDArray[np.int64]
    """[entry] clicks times `beta_units`, with the signs of their items"""

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[size]` of the clipped integers of all devices."""
        from fedbert.kernels.reports import add_entries

        layout, split = self.layout, self.layout.rows * self.layout.dim
        total = np.zeros(layout.size, np.int64)
        sums = total[:split].reshape(layout.rows, layout.dim)
        add_entries((self.device, self.row, self.sums, self.counts), factors, sums, total[split:])
        return total

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, size]`."""
        layout, devices, own = self.layout, len(self.squared_norm), factors[self.device]
        sums = np.zeros((devices, layout.rows, layout.dim), np.int64)
        counts = np.zeros((devices, layout.rows), np.int64)
        sums[self.device, self.row] = to_fixed_point(self.sums, own)
        counts[self.device, self.row] = to_fixed_point(self.counts, own)
        return np.concatenate([sums.reshape(devices, layout.rows * layout.dim), counts], axis=1)


def prototype_reports(layout: PrototypeLayout, clicks: Clicks) -> PrototypeReports:
    """Return what the devices of `clicks` would send, before clipping.

    Clicks on one row are added first: truncating each of them would lose a step a click.
    """
    from fedbert.kernels.reports import fill_entries

    text, item, filled = clicks.slots()
    device, row, counts = (np.empty(filled, np.int64) for _ in range(3))
    sums = np.empty((filled, layout.dim), np.int32)
    squared_norm = np.empty(len(item), np.int64)
    used = fill_entries(
        (text, item),
        (np.ascontiguousarray(clicks.vectors), np.ascontiguousarray(clicks.items)),
        centres_of(layout, np.arange(256, dtype=np.uint8).view(np.int8)),
        sketch(layout),
        layout.beta_units,
        (device, row, sums, counts),
        squared_norm,
    )
    return PrototypeReports(layout, squared_norm, device[:used], row[:used], sums[:used], counts[:used])


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
