"""What a compression says while it runs; the command line shows it, tests remember it."""

import math
from collections.abc import Callable
from typing import Protocol

TaskProgress = Callable[[int, int, float, float | None], None]
"""Called with steps done, steps in all, and their running loss and accuracy."""
# Means over about the last 50 steps: short enough to show a fall, long enough not to jump with each batch.
_MEMORY = 0.98


class Reporter(Protocol):
    """Shows how far a compression is."""

    def stage(self, name: str) -> None:
        """Begin the stage `name`."""

    def progress(self, done: int, total: int, loss: float, accuracy: float | None = None) -> None:
        """Say that `done` of `total` steps are over; `accuracy` is the running one, on training texts."""

    def result(self, name: str, text: str) -> None:
        """Say what a stage came to."""


class Running:
    """Running loss and accuracy: exponential means over steps."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.loss = math.nan
        self._right = self._seen = 0.0

    def add(self, loss: float, right: int, seen: int) -> None:
        """Add one step, in which `right` of `seen` labelled texts had their label."""
        self.loss = loss if math.isnan(self.loss) else _MEMORY * self.loss + (1 - _MEMORY) * loss
        self._right = _MEMORY * self._right + right
        self._seen = _MEMORY * self._seen + seen

    @property
    def accuracy(self) -> float | None:
        """The share of labelled texts that were right; None before the first."""
        return self._right / self._seen if self._seen else None
