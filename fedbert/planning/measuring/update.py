"""What the server spends for one update: training, export, scores on public texts, gate."""

import time
from dataclasses import dataclass

import numpy as np

from fedbert.federation.protocol import RoundOrder
from fedbert.federation.session import Session
from fedbert.machine import peak_memory_bytes
from fedbert.planning.measuring.samples import Sample
from fedbert.privacy.mechanism import Mechanism
from fedbert.randomness import Purpose, generator
from fedbert.scenario import build
from fedbert.signals.report import ReportLayout
from fedbert.signals.signal import NoisySum

REPEATS = 3
DEVICES = 2_000
HOW = "one update with the default model, export, scores on all public texts, gate; two training threads"


@dataclass(frozen=True)
class Measured:
    """What an update costs, and what else was found of the default deployment on the way."""

    samples: tuple[Sample, ...]
    layout: ReportLayout
    mechanism: Mechanism
    model: str
    release: bytes  # as phones download it


def update_samples() -> Measured:
    """Return what a server's update costs, and layout, mechanism and release of the default settings."""
    from fedbert.ei_bert.artefact.artefact import pack

    # Poisson: a round a sum, and so an update a round.
    settings = {"devices": DEVICES, "rounds": REPEATS + 2, "mechanism": "poisson", "release_every": 1}
    scenario, _ = build(settings)
    session = Session.open(scenario)
    server, layout, mechanism = session.server, session.environment.layout, session.environment.mechanism
    state, installed = server.start(), np.array([0, DEVICES])
    spent = []
    for round_ in range(1, REPEATS + 2):
        rng = generator(0, Purpose.NOISE, round_)
        parts = layout.split(rng.normal(0.0, max(mechanism.sigma, 1.0), layout.size))
        expected = mechanism.round_rate * DEVICES
        sums = tuple(NoisySum(round_, 0, part, mechanism.sigma, expected, mechanism.sigma) for part in parts)
        started = time.process_time()
        server.finish(state, RoundOrder(round_, 0, 0), installed, (sums[0], sums[1]))
        spent.append(time.process_time() - started)
    first = server.first.artefact
    return Measured(
        samples=(
            Sample("update_cpu_s", tuple(spent[1:]), HOW),  # the first loads what the others have
            Sample(
                "update_memory_bytes",
                (float(peak_memory_bytes()),),
                f"peak of the server's process, with the world of {DEVICES:,} phones in it",
            ),
        ),
        layout=layout,
        mechanism=mechanism,
        model=scenario.model,
        release=pack(first),
    )
