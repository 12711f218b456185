"""What honest and what poisoned phones sent, apart: the simulator's own knowledge, which no server has.

It is made only in runs with poisoned phones. Like all that leaves a shard it adds up exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import Arrays
from fedbert.signals.poisoning import Phones
from fedbert.signals.report import DENSE_DEVICES, dense_reports, report_sum
from fedbert.signals.signal import Clicks

HONEST, POISONED = 0, 1

_SUMS, _REPORTS = "apart.sums", "apart.reports"


@dataclass(frozen=True)
class SumsApart:
    """The reports of some phones in one round by who sent them: [0] honest phones, [1] poisoned ones."""

    sums: NDArray[np.int64]
    """[2, size] sums of their vectors, in steps of fixed point."""
    reports: NDArray[np.int64]
    """[2] how many there are."""

    @classmethod
    def empty(cls, size: int) -> "SumsApart":
        """Return those of no phone."""
        return cls(np.zeros((2, size), np.int64), np.zeros(2, np.int64))

    @property
    def total(self) -> NDArray[np.int64]:
        """The sum `[size]` of all."""
        return np.asarray(self.sums.sum(axis=0))

    @property
    def poisoned_norm_share(self) -> float | None:
        """Norm of the poisoned phones' sum over that of both sums, 0 to 1; None if both are zero."""
        honest, poisoned = (float(np.linalg.norm(each)) for each in self.sums)
        return poisoned / (honest + poisoned) if honest + poisoned else None

    def add(self, other: "SumsApart") -> None:
        """Add those of other phones, in place."""
        self.sums[:] += other.sums
        self.reports[:] += other.reports

    def arrays(self) -> Arrays:
        """Return both as they travel."""
        return {_SUMS: self.sums, _REPORTS: self.reports}

    @classmethod
    def taken_from(cls, arrays: dict[str, NDArray[Any]]) -> "SumsApart | None":
        """Take what `arrays()` gave out of `arrays`; None if there is none. Raises FedbertError."""
        if _SUMS not in arrays and _REPORTS not in arrays:
            return None
        for name, dimensions in ((_SUMS, 2), (_REPORTS, 1)):
            array = arrays.get(name)
            if array is None or array.dtype != np.int64 or array.ndim != dimensions or len(array) != 2:
                raise FedbertError(f"{name} must be whole numbers of honest and of poisoned phones")
        return cls(arrays.pop(_SUMS), arrays.pop(_REPORTS))

    def check(self, reported: int, size: int) -> None:
        """Raise FedbertError unless they can be of `reported` reports with vectors of `size`."""
        if self.sums.shape != (2, size):
            raise FedbertError(f"{_SUMS} must have {size} coordinates, not {self.sums.shape[1]}")
        if self.reports.min() < 0 or int(self.reports.sum()) != reported:
            raise FedbertError(f"{_REPORTS} must count each of {reported} reports once")


def both(one: SumsApart | None, other: SumsApart | None) -> SumsApart | None:
    """Return the sum of two that may be missing; `one` is added to in place."""
    if one is None or other is None:
        return one or other
    one.add(other)
    return one


def sums_apart(
    environment: Environment,
    devices: DeviceRange,
    round_: int,
    chosen: NDArray[np.intp],
    clicks_of: Callable[[NDArray[np.intp]], Clicks],
) -> SumsApart:
    """Return what the rows `chosen` of `devices` send in a round; `clicks_of` gives the clicks of some rows.

    Raises ValueError if no phone is poisoned in the run.
    """
    poisoning, signal, layout = environment.poisoning, environment.signal, environment.layout
    if poisoning is None:
        raise ValueError("no phone of this run is poisoned")
    lying = poisoning.poisoned(devices)[chosen]
    found = SumsApart.empty(layout.size)
    found.reports[:] = np.count_nonzero(~lying), np.count_nonzero(lying)
    if not lying.all():
        found.sums[HONEST] += report_sum(signal, layout, clicks_of(chosen[~lying]))
    liars = chosen[lying]
    for start in range(0, len(liars), DENSE_DEVICES):
        rows = liars[start : start + DENSE_DEVICES]
        honest = dense_reports(signal, layout, clicks_of(rows))
        lies = poisoning.lies(layout, honest, Phones(devices.seed, devices.first + rows), round_)
        found.sums[POISONED] += lies.sum(axis=0)
    return found
