"""The socket of signals: what a device sends, and what the server learns from the noisy sum.

A signal says how a device's newest clicks become integers, and how sums of them become training targets. It
says nothing of clipping, the histogram of clicked ranks, fixed point, masks, noise or accounting: `report.py`
and the privacy mechanism do these for every signal alike. `prototypes` and `delta` come with fedbert;
`docs/how-to/signal.md` shows how to write another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.privacy.mechanisms import to_fixed_point

INT8_UNIT_LENGTH = 127
"""Length of a unit vector as phones store it: int8 goes from -127 to 127."""

UNIT = 1 / INT8_UNIT_LENGTH
"""What one integer step of an unclipped report is worth: that of an int8 text vector."""

Memory = Mapping[str, NDArray[Any]]
"""What a signal keeps between rounds, as named arrays, so that a checkpoint can hold any signal's."""


@dataclass(frozen=True)
class Clicks:
    """The newest clicks of some devices, and the vectors of texts and items in the round's release."""

    vectors: NDArray[np.int8]
    """[text, dim], each a unit vector times 127."""
    text: NDArray[np.int32]
    """[device, click] row of `vectors`, -1 for no click."""
    item: NDArray[np.int32]
    """[device, click] clicked item, -1 for no click."""
    rank: NDArray[np.int8]
    """[device, click] rank at which the round's release had shown it, from 0; -1 where it is not known."""
    items: NDArray[np.int8]
    """[item, dim] the catalogue in the round's release, each a unit vector times 127: phones score with
    these, and the server has them too."""

    def take(self, rows: slice) -> "Clicks":
        """Return the clicks of some of the devices."""
        return Clicks(self.vectors, self.text[rows], self.item[rows], self.rank[rows], self.items)

    def slots(self) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
        """Return text and item as compiled loops take them, and how many slots hold a click.

        Raises IndexError for a text or an item that has no vector: compiled loops do not look.
        """
        text, item = np.ascontiguousarray(self.text), np.ascontiguousarray(self.item)
        clicked = (text >= 0) & (item >= 0)
        for name, index, rows in (("text", text, self.vectors), ("item", item, self.items)):
            last = int(np.max(index, where=clicked, initial=-1))
            if last >= len(rows):
                raise IndexError(f"{name} {last} of a click is not among {len(rows)} vectors")
        return text, item, int(np.count_nonzero(clicked))


class Layout(Protocol):
    """Where each number of a signal stands; frozen, and the same on phones and server."""

    @property
    def size(self) -> int:
        """Coordinates of a device's signal, the same for every device."""
        ...


class Reports(Protocol):
    """The unclipped integer signals of some devices, in steps of `UNIT`; exact, and dense only if asked."""

    @property
    def squared_norm(self) -> NDArray[np.int64]:
        """Exact squared norm of each device's integers, `[device]`."""
        ...

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[size]` over devices of ``trunc(integers * factor)``; `factors` [device]."""
        ...

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return ``trunc(integers * factor)`` of each device, `[device, size]`: for a few devices."""
        ...


@dataclass(frozen=True)
class DenseReports:
    """Reports that are small enough to be held as they are: `integers` `[device, size]`."""

    integers: NDArray[np.int64]

    @property
    def squared_norm(self) -> NDArray[np.int64]:
        """Exact squared norm of each device's integers, `[device]`."""
        # int64 holds it exactly as long as no integer exceeds 2^31 / sqrt(size).
        return np.asarray((self.integers**2).sum(axis=1))

    def sum(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exact sum `[size]` of the devices' clipped integers."""
        return np.asarray(self.dense(factors).sum(axis=0))

    def dense(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each device's clipped integers, `[device, size]`."""
        return to_fixed_point(self.integers, factors)


@dataclass(frozen=True)
class NoisySum:
    """One round's opened sum, as the server gets it: in real units, with the mechanism's noise in it."""

    round: int
    release: int
    """The one release whose signals were summed."""
    values: NDArray[np.float64]
    """[size] of the signal, or of the histogram of ranks."""
    sigma: float
    """Standard deviation of the noise on each coordinate, >= 0; where devices add it, of those that sent."""
    expected_reports: float
    """What the sampling leads one to expect, > 0: a public number. The real count stays unknown."""
    total_sigma: float
    """Standard deviation of the noise in the running total that this sum goes into, >= 0: of all that was
    opened so far, or for the ranks of what was opened of the same release. Noise of several rounds may be
    correlated, so it does not follow from their `sigma`."""


class PublicView(Protocol):
    """What the server knows without any signal, in the space of any release it has made."""

    @property
    def names(self) -> NDArray[np.float32]:
        """Unit vectors `[item, dim]` of the items' names in release 0, which no signal has taught."""
        ...

    def items(self, release: int) -> NDArray[np.float32]:
        """Return unit vectors `[item, dim]` of the items' names in a release, as signals have taught it."""
        ...

    @property
    def text_items(self) -> NDArray[np.int64]:
        """The item of each public text, `[text]`, -1 for none."""
        ...

    def texts(self, release: int) -> NDArray[np.float32]:
        """Return unit vectors `[text, dim]` of the public texts in a release."""
        ...


@dataclass(frozen=True)
class Targets:
    """What to teach: unit vectors `[item, dim]` and how far evidence carries each, 0 to 1: `[item]`."""

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]


class Signal(Protocol):
    """One kind of signal. Stateless: what it learns stands in its memory."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        ...

    def layout(self, items: int, dim: int) -> Layout:
        """Return the layout for a catalogue of `items` and text vectors of width `dim`."""
        ...

    def reports(self, layout: Any, clicks: Clicks) -> Reports:
        """Return what the devices of `clicks` would send, before clipping."""
        ...

    def start(self, layout: Any, view: PublicView) -> Memory:
        """Return the memory before the first round."""
        ...

    def learn(self, layout: Any, memory: Memory, noisy: NoisySum, view: PublicView) -> tuple[Memory, Targets]:
        """Return the memory with one more round in it, and what all rounds so far teach."""
        ...
