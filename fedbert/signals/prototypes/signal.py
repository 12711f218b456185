"""The signal `prototypes`, put together: reports, evidence over the rounds, targets for training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedbert.signals.prototypes.contribution import (
    PrototypeLayout,
    PrototypeReports,
    prototype_layout,
    prototype_reports,
)
from fedbert.signals.prototypes.evidence import Evidence, add_round, no_evidence, rotated, rotation
from fedbert.signals.prototypes.learner import PublicKnowledge, learn
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks, Memory, NoisySum, PublicView, Targets


@dataclass(frozen=True)
class Prototypes:
    """Per clicked item the sum of the text vectors that led to it, and how often it was clicked."""

    name: str = "prototypes"

    def layout(self, items: int, dim: int) -> PrototypeLayout:
        """Return the layout for a catalogue of `items` and text vectors of width `dim`."""
        return prototype_layout(items, dim)

    def reports(self, layout: PrototypeLayout, clicks: Clicks) -> PrototypeReports:
        """Return what the devices of `clicks` would send, before clipping."""
        return prototype_reports(layout, clicks)

    def start(self, layout: PrototypeLayout, view: PublicView) -> Memory:
        """Return the memory before the first round: no evidence, in the space of release 0."""
        return _memory(no_evidence(layout), np.asarray(view.names), 0)

    def learn(
        self, layout: PrototypeLayout, memory: Memory, noisy: NoisySum, view: PublicView
    ) -> tuple[Memory, Targets]:
        """Return the memory with one more round in it, and what all rounds so far teach.

        A round in another release's space takes the evidence along, by the rotation that public texts fix.
        """
        # The names turn along: they are those of release 0, which no signal has taught, in the space of now.
        evidence, names, space = _evidence(memory), memory["names"], int(memory["space"])
        if noisy.release != space:
            with threadpool_limits(1, "blas"):
                turn = rotation(view.texts(space), view.texts(noisy.release))
            evidence, names = rotated(evidence, turn), names @ turn
        evidence = add_round(evidence, layout, noisy.values, noisy.total_sigma, noisy.expected_reports)
        targets = targets_of(evidence, names, view.texts(noisy.release), view.text_items)
        return _memory(evidence, names, noisy.release), targets


def targets_of(
    evidence: Evidence,
    names: NDArray[np.floating],
    texts: NDArray[np.floating],
    text_items: NDArray[np.int64],
) -> Targets:
    """Return what `evidence` teaches about the items; `names` and `texts` are in its space."""
    known = PublicKnowledge(names.astype(np.float64), texts.astype(np.float64), text_items)
    # One thread: the bits of a factorisation depend on the threads of the linear algebra library.
    with threadpool_limits(1, "blas"):
        return learn(evidence, known)


def pooled_targets(
    vector_sums: NDArray[np.int64], clicks: NDArray[np.int64], devices: int, view: PublicView
) -> Targets:
    """Return what unclipped, unsampled sums teach, in the space of release 0.

    `vector_sums` `[item, dim]` adds up int8 text vectors over all clicks on an item, `clicks` [item] counts
    them.
    """
    evidence = Evidence(
        sums=vector_sums / float(INT8_UNIT_LENGTH),
        counts=clicks.astype(np.float64),
        sum_variance=0.0,
        count_variance=0.0,
        expected_reports=float(devices),
        crowding=1.0,
    )
    return targets_of(evidence, view.names, view.texts(0), view.text_items)


def _memory(evidence: Evidence, names: NDArray[np.floating], space: int) -> Memory:
    numbers = {name: np.asarray(value) for name, value in vars(evidence).items()}
    return numbers | {"names": names, "space": np.asarray(space)}


def _evidence(memory: Memory) -> Evidence:
    return Evidence(
        sums=memory["sums"],
        counts=memory["counts"],
        **{
            name: float(memory[name])
            for name in ("sum_variance", "count_variance", "expected_reports", "crowding")
        },
    )
