"""The device side of the signal `prototypes`: one dense integer vector over the whole public catalogue.

A device reports its newest clicks: per clicked item the sum of the text vectors that led to it, how often
it was clicked, and at which rank. Whether two clicks went to one item is private too, so the vector always
has the same size; it is clipped as a whole to norm C, so that texts, clicks and ranks share one bound.
Related: FedProto (Tan et al. 2022) and Efficient-FedRec (Yi et al. 2021), which send such sums in the clear.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fedbert.errors import invalid
from fedbert.privacy.mechanisms import clip_factors, fixed_point_scale, to_fixed_point
from fedbert.randomness import Purpose, words

RANK_BINS = 20
"""Bins of the histogram of clicked ranks, from rank 0; the last takes all later ranks."""

SKETCH_ROWS = 512
"""Rows of the dense vector where the catalogue has more items."""

UNIT = 1 / 127
"""What one step of an int8 text vector is worth."""

_BYTES_PER_COORDINATE = 4
_BLOCK_VALUES = 2_000_000
_SKETCH_SEED = 1


@dataclass(frozen=True)
class SignalLayout:
    """Where each number stands in a device's vector, and its bound.

    `[rows * dim` prototype sums `| rows` click counts times `beta` `| RANK_BINS` ranks times `gamma]`. With
    `rows == items` each item has its row; with fewer, items share rows with random signs (a count sketch,
    Charikar et al. 2002), which are public. `beta` and `gamma` are multiples of 1/127; the vector's norm is
    at most `clip_norm`, and travels as integers in steps of 1 / `scale`.
    """

    items: int
    dim: int
    rows: int
    beta: float
    gamma: float
    clip_norm: float
    scale: float

    @property
    def size(self) -> int:
        """Coordinates of a device's vector."""
        return self.rows * self.dim + self.rows + RANK_BINS

    @property
    def bytes_up(self) -> int:
        """Bytes of the masked vector that travels: four a coordinate, whatever the device clicked."""
        return self.size * _BYTES_PER_COORDINATE

    @property
    def beta_units(self) -> int:
        """`beta` in steps of an int8 text vector."""
        return round(self.beta / UNIT)

    @property
    def gamma_units(self) -> int:
        """`gamma` in steps of an int8 text vector."""
        return round(self.gamma / UNIT)


def signal_layout(
    items: int,
    dim: int,
    *,
    beta: float,
    gamma: float,
    clip_norm: float,
    largest_cohort: int,
    rows: int | None = None,
) -> SignalLayout:
    """Return the layout for a catalogue of `items` and text vectors of width `dim` (1 to 256).

    `beta` and `gamma` (>= 0) are rounded to steps of 1/127. `rows` defaults to one an item, or to SKETCH_ROWS
    if that is fewer. Raises FedbertError for a value out of range.
    """
    if items < 1:
        raise invalid("items", items, "be >= 1")
    if not 1 <= dim <= 256:
        raise invalid("dim", dim, "be >= 1 and <= 256", "wider int8 vectors do not add up exactly in float32")
    for name, value in (("beta", beta), ("gamma", gamma)):
        if not 0 <= value <= 100:
            raise invalid(name, value, "be >= 0 and <= 100")
    used = min(items, SKETCH_ROWS) if rows is None else rows
    if not 1 <= used <= items:
        raise invalid("rows", rows, f"be >= 1 and <= items (= {items})")
    return SignalLayout(
        items=items,
        dim=dim,
        rows=used,
        beta=round(beta / UNIT) * UNIT,
        gamma=round(gamma / UNIT) * UNIT,
        clip_norm=clip_norm,
        scale=fixed_point_scale(clip_norm, largest_cohort),
    )


def sketch(layout: SignalLayout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each item's row and its sign, 1 or -1: `[item]`, `[item]`; public and the same in every run."""
    if layout.rows == layout.items:
        return np.arange(layout.items), np.ones(layout.items, np.int64)
    drawn = words(_SKETCH_SEED, Purpose.SKETCH, 0, 0, layout.items, 2)
    rows = (drawn[:, 0] % np.uint64(layout.rows)).astype(np.int64)
    return rows, np.where(drawn[:, 1] >> np.uint64(63), 1, -1)


@dataclass(frozen=True)
class _Merged:
    """The non-zero parts of a block's clipped integer vectors; a click that is merged away has zeros."""

    row: NDArray[np.int64]
    """[device, click]"""
    sums: NDArray[np.int64]
    """[device, click, dim]"""
    counts: NDArray[np.int64]
    """[device, click]"""
    bin: NDArray[np.int64]
    """[device, click]"""
    ranks: NDArray[np.int64]
    """[device, click]"""


def _merge(
    layout: SignalLayout,
    vectors: NDArray[np.int8],
    text: NDArray[np.int32],
    item: NDArray[np.int32],
    rank: NDArray[np.int8],
) -> _Merged:
    item_row, item_sign = sketch(layout)
    clicked = (item >= 0) & (text >= 0)
    chosen = np.where(clicked, item, 0)
    row = item_row[chosen]
    sign = np.where(clicked, item_sign[chosen], 0)
    ranked = (clicked & (rank >= 0)).astype(np.int64)
    rank_bin = np.clip(rank.astype(np.int64), 0, RANK_BINS - 1)

    signed = vectors[np.where(clicked, text, 0)].astype(np.float32) * sign[..., None].astype(np.float32)
    same_row = (row[:, :, None] == row[:, None, :]) & clicked[:, :, None] & clicked[:, None, :]
    same_bin = (rank_bin[:, :, None] == rank_bin[:, None, :]) & (ranked[:, :, None] * ranked[:, None, :] > 0)
    dots = np.matmul(signed, signed.transpose(0, 2, 1)).astype(np.int64)
    signs = sign[:, :, None] * sign[:, None, :]
    squared_norm = ((dots + layout.beta_units**2 * signs) * same_row).sum((1, 2))
    squared_norm += layout.gamma_units**2 * same_bin.sum((1, 2))
    factor = clip_factors(squared_norm, UNIT, layout.clip_norm, layout.scale)

    into_row, into_bin = _first_of_equals(same_row), _first_of_equals(same_bin)
    sums = np.matmul(into_row.astype(np.float32), signed)
    counts = layout.beta_units * np.einsum("nkl,nl->nk", into_row, sign)
    ranks = layout.gamma_units * np.einsum("nkl,nl->nk", into_bin, ranked)
    return _Merged(
        row,
        to_fixed_point(sums.astype(np.int64), factor),
        to_fixed_point(counts, factor),
        rank_bin,
        to_fixed_point(ranks, factor),
    )


def _first_of_equals(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return `same` `[device, click, click]` with the rows of all but the first click of a group empty."""
    clicks = same.shape[1]
    earlier = np.asarray((same & np.tri(clicks, k=-1, dtype=np.bool_)).any(2))
    return np.asarray(same & ~earlier[:, :, None], np.int64)


def contribution_sum(
    layout: SignalLayout,
    vectors: NDArray[np.int8],
    text: NDArray[np.int32],
    item: NDArray[np.int32],
    rank: NDArray[np.int8],
) -> NDArray[np.int64]:
    """Return the exact sum `[size]` of the clipped integer vectors of all devices given.

    `vectors` `[text, dim]` are the int8 text vectors of one release; `text`, `item` and `rank`
    `[device, click]` are each device's newest clicks: row of `vectors`, clicked item (-1: no click) and the
    rank at which that release had it, from 0 (-1: not known). Equal to the sum of `dense_contributions`,
    without those dense vectors.
    """
    total = np.zeros(layout.size, np.int64)
    devices, clicks = item.shape
    if clicks == 0:
        return total
    block = max(1, _BLOCK_VALUES // (clicks * max(layout.dim, clicks)))
    split = layout.rows * layout.dim
    prototypes = total[:split].reshape(layout.rows, layout.dim)
    counts, ranks = total[split : split + layout.rows], total[split + layout.rows :]
    for start in range(0, devices, block):
        part = slice(start, start + block)
        merged = _merge(layout, vectors, text[part], item[part], rank[part])
        rows = merged.row.ravel()
        entries = len(rows)
        into = csr_array(
            (np.ones(entries, np.int64), (rows, np.arange(entries))), shape=(layout.rows, entries)
        )
        prototypes += np.asarray(into @ merged.sums.reshape(entries, layout.dim))
        np.add.at(counts, rows, merged.counts.ravel())
        np.add.at(ranks, merged.bin.ravel(), merged.ranks.ravel())
    return total


def dense_contributions(
    layout: SignalLayout,
    vectors: NDArray[np.int8],
    text: NDArray[np.int32],
    item: NDArray[np.int32],
    rank: NDArray[np.int8],
) -> NDArray[np.int64]:
    """Return the dense vectors `[device, size]` that a few devices send; arguments as `contribution_sum`."""
    devices = len(item)
    split = layout.rows * layout.dim
    dense = np.zeros((devices, layout.size), np.int64)
    if item.shape[1] == 0:
        return dense
    merged = _merge(layout, vectors, text, item, rank)
    device = np.arange(devices)[:, None]
    prototypes = np.zeros((devices, layout.rows, layout.dim), np.int64)
    np.add.at(prototypes, (device, merged.row), merged.sums)
    dense[:, :split] = prototypes.reshape(devices, split)
    np.add.at(dense, (device, split + merged.row), merged.counts)
    np.add.at(dense, (device, split + layout.rows + merged.bin), merged.ranks)
    return dense


def split_sum(
    layout: SignalLayout, total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a decoded sum `[size]` as sums `[item, dim]`, click counts `[item]` and ranks `[RANK_BINS]`.

    Counts and ranks are in clicks; in a sketch an item's values carry those of the items that share its row.
    Without `beta` or `gamma` the counts or ranks are zeros.
    """
    split = layout.rows * layout.dim
    rows, signs = sketch(layout)
    sums = total[:split].reshape(layout.rows, layout.dim)[rows] * signs[:, None]
    counts = total[split : split + layout.rows][rows] * signs
    ranks = total[split + layout.rows :]
    return (
        sums,
        counts / layout.beta if layout.beta else 0 * counts,
        (ranks / layout.gamma if layout.gamma else 0 * ranks),
    )
