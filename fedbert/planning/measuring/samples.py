"""Repeated measurements of a cost: its mean with an interval, and what of it grows with a count or a size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedbert.intervals import t_interval
from fedbert.planning.capacity.calibration import UNITS, CheckRow, CostRow, MemoryCheckRow
from fedbert.units import significant


@dataclass(frozen=True)
class Sample:
    """Measurements of one figure of a calibration, in its unit."""

    cost: str
    values: tuple[float, ...]
    how: str

    def row(self) -> CostRow:
        """Return its mean with Student's t interval, neither end below 0."""
        found = t_interval(np.asarray(self.values, np.float64))
        low, high = (None if end is None else significant(max(0.0, end)) for end in (found.low, found.high))
        return {
            "cost": self.cost,
            "unit": UNITS[self.cost],
            # A cost below 0 is one too small to be told from none.
            "value": significant(max(0.0, found.value)),
            "low": low,
            "high": high,
            "measured": len(self.values),
            "how": self.how,
        }


@dataclass(frozen=True)
class Measurements:
    """Figures of one part of the servers, and loads that were predicted from them and then measured."""

    samples: tuple[Sample, ...]
    checks: tuple[CheckRow, ...]
    memory_checks: tuple[MemoryCheckRow, ...]


def fixed_and_each(
    small: Sequence[float], large: Sequence[float], few: float, many: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what is spent in any case and what for each, from pairs of a small and a large measurement.

    `small[i]` and `large[i]` are what `few` and `many` cost, one after the other; the straight line through
    the two is read at 0, and its slope.
    """
    each = tuple((more - less) / (many - few) for less, more in zip(small, large, strict=True))
    fixed = tuple(less - few * slope for less, slope in zip(small, each, strict=True))
    return fixed, each


def each_and_fixed_memory(peaks: Mapping[int, float], few: int, many: int) -> tuple[float, float]:
    """Return the bytes that each held thing takes, and those without any, from the peaks by what was held.

    Neither is below 0: a peak that did not grow is one too small to be told from none.
    """
    each = max(0.0, (peaks[many] - peaks[few]) / (many - few))
    return each, max(0.0, peaks[few] - few * each)


def grown(
    part: str, peaks: Mapping[int, float], fitted: tuple[int, int], each: float, bytes_each: int
) -> list[MemoryCheckRow]:
    """Return the check of every peak that `each` was not fitted to: growth beyond the least of the fit."""
    least = min(fitted)
    return [
        {
            "part": part,
            "count": count - least,
            "bytes_each": bytes_each,
            "predicted_bytes": significant(each * (count - least)),
            "measured_bytes": peak - peaks[least],
        }
        for count, peak in peaks.items()
        if count not in fitted
    ]
