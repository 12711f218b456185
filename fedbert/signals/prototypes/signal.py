"""The signal `prototypes`, put together: reports, evidence over the rounds, targets for training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedbert.signals.prototypes.centring import Centres, add_centres, clicks_of_round, no_centres, turned
from fedbert.signals.prototypes.contribution import (
    CENTRE,
    CLICK_WEIGHT,
    PrototypeLayout,
    PrototypeReports,
    prototype_layout,
    prototype_reports,
)
from fedbert.signals.prototypes.evidence import Evidence, add_round, no_evidence, rotated
from fedbert.signals.prototypes.learner import PublicKnowledge, learn
from fedbert.signals.rotation import rotation
from fedbert.signals.signal import INT8_UNIT_LENGTH, Clicks, Memory, NoisySum, PublicView, Targets


@dataclass(frozen=True)
class Prototypes:
    """Per clicked item the sum of the text vectors that led to it, centred, and how often it was clicked.

    `centre` and `click_weight` are the layout's; with a centre of 0 sums are of the text vectors themselves.
    """

    name: str = "prototypes"
    centre: float = CENTRE
    click_weight: float = CLICK_WEIGHT

    def layout(self, items: int, dim: int) -> PrototypeLayout:
        """Return the layout for a catalogue of `items` and text vectors of width `dim`."""
        return prototype_layout(items, dim, beta=self.click_weight, centre=self.centre)

    def reports(self, layout: PrototypeLayout, clicks: Clicks) -> PrototypeReports:
        """Return what the devices of `clicks` would send, before clipping."""
        return prototype_reports(layout, clicks)

    def start(self, layout: PrototypeLayout, view: PublicView) -> Memory:
        """Return the memory before the first round: no evidence, in the space of release 0."""
        return _memory(no_evidence(layout), no_centres(layout), np.asarray(view.names), 0)

    def learn(
        self, layout: PrototypeLayout, memory: Memory, noisy: NoisySum, view: PublicView
    ) -> tuple[Memory, Targets]:
        """Return the memory with one more round in it, and what all rounds so far teach.

        A round in another release's space takes the evidence along, by the rotation that public texts fix.
        """
        # The names turn along: they are those of release 0, which no signal has taught, in the space of now.
        evidence, centres, names = _evidence(memory), _centres(memory), memory["names"]
        space = int(memory["space"])
        if noisy.release != space:
            turn = rotation(view.texts(space), view.texts(noisy.release))
            evidence, centres, names = rotated(evidence, turn), turned(centres, turn), names @ turn
        before = float(evidence.counts.sum())
        evidence = add_round(evidence, layout, noisy.values, noisy.total_sigma, noisy.expected_reports)
        taken = None
        if layout.centre:
            clicks = clicks_of_round(
                float(evidence.counts.sum()) - before,
                layout.items * (noisy.sigma / layout.beta) ** 2,
                float(evidence.counts.sum()) * noisy.expected_reports / evidence.expected_reports,
            )
            centres = add_centres(centres, layout, view.items(noisy.release), clicks)
            taken = centres.means
        targets = targets_of(evidence, names, view.texts(noisy.release), view.text_items, taken)
        return _memory(evidence, centres, names, noisy.release), targets


def targets_of(
    evidence: Evidence,
    names: NDArray[np.floating],
    texts: NDArray[np.floating],
    text_items: NDArray[np.int64],
    centres: NDArray[np.float64] | None = None,
) -> Targets:
    """Return what `evidence` teaches about the items; `names`, `texts`, `centres` are in its space."""
    known = PublicKnowledge(names.astype(np.float64), texts.astype(np.float64), text_items)
    # One thread: the bits of a factorisation depend on the threads of the linear algebra library.
    with threadpool_limits(1, "blas"):
        return learn(evidence, known, centres)


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


def _memory(evidence: Evidence, centres: Centres, names: NDArray[np.floating], space: int) -> Memory:
    numbers = {name: np.asarray(value) for name, value in vars(evidence).items()}
    taken = {f"centre_{name}": np.asarray(value) for name, value in vars(centres).items()}
    return numbers | taken | {"names": names, "space": np.asarray(space)}


def _centres(memory: Memory) -> Centres:
    return Centres(memory["centre_sums"], float(memory["centre_clicks"]))


def _evidence(memory: Memory) -> Evidence:
    return Evidence(
        sums=memory["sums"],
        counts=memory["counts"],
        **{
            name: float(memory[name])
            for name in ("sum_variance", "count_variance", "expected_reports", "crowding")
        },
    )
