"""The signal `delta`, put together: federated averaging of the item matrix, the baseline of the field.

The server takes one step against the noisy mean gradient of a round, without momentum (FedSGD with clipping
and noise: McMahan et al. 2018, "Learning differentially private recurrent language models"). What it arrives
at is what the student is taught.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.signals.delta.gradient import SHARPNESS, DeltaLayout, DeltaReports, delta_layout, delta_reports
from fedbert.signals.rotation import rotation
from fedbert.signals.signal import Clicks, Memory, NoisySum, PublicView, Targets
from fedbert.signals.sketch import sketch

LEARNING_RATE = 5.0
"""Step size on the mean gradient of a round's expected reports. Chosen on held-out learning texts
(docs/how-to/signal.md)."""

# Far below any length of a unit vector: it only keeps divisions finite.
_TINY = 1e-12


@dataclass(frozen=True)
class Delta:
    """The gradient of the catalogue's vectors at a device's clicks.

    `learning_rate` (> 0) is the server's step, `sharpness` that of the softmax over the catalogue.
    """

    name: str = "delta"
    learning_rate: float = LEARNING_RATE
    sharpness: float = SHARPNESS

    def layout(self, items: int, dim: int) -> DeltaLayout:
        """Return the layout for a catalogue of `items` and text vectors of width `dim`."""
        if not 0 < self.learning_rate <= 1e6:
            raise invalid("learning_rate", self.learning_rate, "be > 0 and <= 1e6")
        return delta_layout(items, dim, sharpness=self.sharpness)

    def reports(self, layout: DeltaLayout, clicks: Clicks) -> DeltaReports:
        """Return what the devices of `clicks` would send, before clipping."""
        return delta_reports(layout, clicks)

    def start(self, layout: DeltaLayout, view: PublicView) -> Memory:
        """Return the memory before the first round: the names in release 0, and no steps."""
        names = np.asarray(view.names, np.float64)
        return {
            "names": names,
            "steps": np.zeros_like(names),
            "space": np.asarray(0),
        }

    def learn(
        self, layout: DeltaLayout, memory: Memory, noisy: NoisySum, view: PublicView
    ) -> tuple[Memory, Targets]:
        """Return the memory with one more step in it, and the item vectors that all steps lead to.

        A round in another release's space takes them along, by the rotation that public texts fix.
        """
        names, steps, space = memory["names"], memory["steps"], int(memory["space"])
        if noisy.release != space:
            turn = rotation(view.texts(space), view.texts(noisy.release))
            names, steps = names @ turn, steps @ turn
        rate = self.learning_rate / noisy.expected_reports
        rows, signs = sketch(layout)
        gradient = noisy.values.reshape(layout.rows, layout.dim)[rows] * signs[:, None]
        steps = steps - rate * gradient
        # Of the total: noise of several rounds may be correlated, so variances of steps do not add up.
        variance = (rate * noisy.total_sigma) ** 2
        after = {
            "names": names,
            "steps": steps,
            "space": np.asarray(noisy.release),
        }
        return after, _targets(names, steps, variance)


def _targets(names: NDArray[np.float64], steps: NDArray[np.float64], variance: float) -> Targets:
    """Return the items after `steps`, and how much of each one's way is no noise.

    Of a squared way s, dim * `variance` is expected to be noise; the rest is the share
    1 - dim * variance / s, or 0 (positive-part James-Stein).
    """
    moved = names + steps
    unit = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), _TINY)
    way = (steps**2).sum(axis=1)
    sure = 1 - steps.shape[1] * variance / np.maximum(way, _TINY)
    weights = np.where(way > 0, np.clip(sure, 0.0, 1.0), 0.0)
    return Targets(unit.astype(np.float32), weights.astype(np.float32))
