"""One device's report: its signal and its histogram of clicked ranks, clipped together, in fixed point.

Whatever the signal, the whole vector is clipped to norm C, so that one bound covers everything that leaves a
device; what is summed are integers, so that sums are exact and any split of the fleet gives the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.privacy.mechanisms import clip_factors, fixed_point_scale
from fedbert.signals.ranks import RANK_BINS, RankReports, rank_reports
from fedbert.signals.signal import UNIT, Clicks, Layout, Reports, Signal

RANK_WEIGHT = 0.1
"""What a clicked rank weighs beside a text vector of norm 1: the signal needs the norm more, and .35 cost 5
points of the gap (docs/privacy.md)."""

# Sums are taken mod 2^32.
_BYTES_PER_COORDINATE = 4

# The norm of a sum is computed in floating point; a real excess is larger by far.
_ROUNDING = 1 + 1e-9

_BLOCK_VALUES = 2_000_000
"""Most numbers of text vectors gathered at a time, so that memory does not grow with the fleet."""

DENSE_DEVICES = 64
"""Devices whose whole vectors are held at a time, where they must be: some 200 kB each."""

_LARGEST_INTEGER = 2**31 - 1
"""Of a signed 32-bit coordinate: all that masks enforce."""


@dataclass(frozen=True)
class ReportLayout:
    """Where each number stands in a device's vector, and its bound: ``[signal | RANK_BINS ranks x gamma]``.

    The vector's norm is at most `clip_norm`; it travels as integers in steps of 1 / `scale`. `gamma` is a
    multiple of `UNIT`. With a `coordinate_bound` no coordinate is further from 0 than that, by proof; without
    one (None) the encoding alone bounds what a phone that lies can send.
    """

    signal: Layout
    gamma: float
    clip_norm: float
    scale: float
    coordinate_bound: float | None = None

    @property
    def size(self) -> int:
        """Coordinates of a device's vector."""
        return self.signal.size + RANK_BINS

    @property
    def bytes_up(self) -> int:
        """Bytes of the masked vector that travels: four per coordinate, whatever the device clicked."""
        return self.size * _BYTES_PER_COORDINATE

    @property
    def largest_integer(self) -> int:
        """The furthest from 0 that a coordinate can travel, whoever sends it."""
        if self.coordinate_bound is None:
            return _LARGEST_INTEGER
        return min(int(self.coordinate_bound * self.scale), _LARGEST_INTEGER)

    def split(self, total: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the parts of a sum `[size]`: of the signal, and of the histogram of ranks."""
        if total.shape != (self.size,):
            raise invalid("sum", total.shape, f"have shape ({self.size},)", "use the layout of the run")
        return total[: self.signal.size], total[self.signal.size :]


def report_layout(
    signal: Layout,
    *,
    clip_norm: float,
    largest_cohort: int,
    gamma: float = RANK_WEIGHT,
    device_noise: float = 0.0,
    coordinate_bound: float | None = None,
) -> ReportLayout:
    """Return the layout of reports that carry `signal`; a sum of `largest_cohort` of them cannot wrap.

    `device_noise` is the most that the noise of that many devices adds to a coordinate, 0 if they add none.
    `gamma` (0 to 100) is rounded to steps of `UNIT`. `coordinate_bound` (> 0) is rounded down to steps of
    1 / scale; None is none. Raises FedbertError for a value out of range.
    """
    if not 0 <= gamma <= 100:
        raise invalid("gamma", gamma, "be >= 0 and <= 100")
    scale = fixed_point_scale(clip_norm, largest_cohort, device_noise)
    if coordinate_bound is not None and not coordinate_bound * scale >= 1:
        rule = f"be >= {1 / scale:g}, one step of the sum's fixed point"
        raise invalid("coordinate_bound", coordinate_bound, rule, "raise it, or leave it out")
    return ReportLayout(signal, round(gamma / UNIT) * UNIT, clip_norm, scale, coordinate_bound)


def _parts(
    signal: Signal, layout: ReportLayout, clicks: Clicks, weights: NDArray[np.float64] | None
) -> tuple[Reports, RankReports, NDArray[np.float64]]:
    """Return the two parts of the reports and the factor `[device]` that clips both together, and weighs."""
    # One factor for both: two bounds of their own would add up to more than clip_norm.
    own, ranks = signal.reports(layout.signal, clicks), rank_reports(clicks, layout.gamma)
    squared_norm = own.squared_norm + ranks.squared_norm
    factors = clip_factors(squared_norm, UNIT, layout.clip_norm, layout.scale)
    # After the clipping: weighed before, a report that is longer than the norm would keep its full length.
    return own, ranks, factors if weights is None else factors * weights


def report_sum(
    signal: Signal, layout: ReportLayout, clicks: Clicks, weights: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return the exact sum `[size]` of the clipped integer vectors of all devices of `clicks`.

    Equal to the sum of `dense_reports`, without those dense vectors. `weights` `[device]` (0 to 1) is what
    each multiplies its clipped vector by before it rounds; None is 1.
    """
    total = np.zeros(layout.size, np.int64)
    devices, count = clicks.item.shape
    if count == 0:
        return total
    bounded = layout.coordinate_bound is not None
    block = max(1, _BLOCK_VALUES // (count * clicks.vectors.shape[1]))
    if bounded:
        block = min(block, DENSE_DEVICES)
    for start in range(0, devices, block):
        some = slice(start, start + block)
        weighed = None if weights is None else weights[some]
        if bounded:
            # A bound on a coordinate acts on whole vectors: their sum alone does not show what it takes off.
            total += dense_reports(signal, layout, clicks.take(some), weighed).sum(axis=0)
            continue
        own, ranks, factors = _parts(signal, layout, clicks.take(some), weighed)
        of_signal, of_ranks = layout.split(total)
        of_signal += own.sum(factors)
        of_ranks += ranks.sum(factors)
    # A signal that gave a wrong norm was not clipped: its sum may not leave, and could wrap.
    if float(np.linalg.norm(total)) > devices * layout.clip_norm * layout.scale * _ROUNDING:
        raise invalid("signal", signal.name, "send no more than its squared_norm says", "mend the signal")
    return total


def dense_reports(
    signal: Signal, layout: ReportLayout, clicks: Clicks, weights: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return the clipped integer vectors `[device, size]` that a few devices send; `weights` as above.

    Where a coordinate is bounded, an honest device takes off what is beyond: its vector would be refused.
    """
    if clicks.item.shape[1] == 0:
        return np.zeros((len(clicks.item), layout.size), np.int64)
    own, ranks, factors = _parts(signal, layout, clicks, weights)
    dense = np.concatenate([own.dense(factors), ranks.dense(factors)], axis=1)
    if layout.coordinate_bound is None:
        return dense
    return np.asarray(np.clip(dense, -layout.largest_integer, layout.largest_integer))
