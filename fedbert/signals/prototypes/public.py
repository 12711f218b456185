"""The signal `public`: phones send nothing, and the server does the same updates from public texts alone.

It is the arm that every claim of learning from phones must beat. What it wins over no update at all is won
without anyone's data. The histogram of clicked ranks still travels, as with every signal, so that releases
pass the same gate.
"""

from dataclasses import dataclass

import numpy as np

from fedbert.signals.prototypes.contribution import PrototypeLayout, prototype_layout
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.signal import Clicks, DenseReports, Memory, NoisySum, PublicView, Targets


@dataclass(frozen=True)
class PublicLayout:
    """One coordinate, always zero, over a catalogue of `items` and text vectors of width `dim`."""

    items: int
    dim: int

    @property
    def size(self) -> int:
        """Coordinates of the signal: the least that a layout may have."""
        return 1

    @property
    def silent(self) -> PrototypeLayout:
        """The layout of the prototypes that no phone sends, one row for each item."""
        return prototype_layout(self.items, self.dim, rows=self.items, centre=0.0)


@dataclass(frozen=True)
class Public:
    """Targets from public texts and names alone, as `prototypes` has them before the first click."""

    name: str = "public"

    def layout(self, items: int, dim: int) -> PublicLayout:
        """Return the layout for a catalogue of `items` and text vectors of width `dim`."""
        return PublicLayout(items, dim)

    def reports(self, layout: PublicLayout, clicks: Clicks) -> DenseReports:
        """Return reports of zeros: nothing is said of the clicks."""
        return DenseReports(np.zeros((len(clicks.item), layout.size), np.int64))

    def start(self, layout: PublicLayout, view: PublicView) -> Memory:
        """Return the memory before the first round."""
        return Prototypes().start(layout.silent, view)

    def learn(
        self, layout: PublicLayout, memory: Memory, noisy: NoisySum, view: PublicView
    ) -> tuple[Memory, Targets]:
        """Return the memory in the round's space, and the targets of public texts; the sum is not read."""
        silent = layout.silent
        size, expected = silent.size, noisy.expected_reports
        nothing = NoisySum(noisy.round, noisy.release, np.zeros(size), 0.0, expected, 0.0)
        return Prototypes().learn(silent, memory, nothing, view)
