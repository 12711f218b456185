"""The pooled-data bound: what the same student would become if all clicks lay in one place.

The same student, steps and learning rates as the run, trained on the unclipped sums of the clicks of all
learning sessions, with no sampling and no noise. Only the simulator can compute it. Its targets are
prototypes, whatever the run's signal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.server import Server
from fedbert.signals.prototypes.signal import pooled_targets


@dataclass(frozen=True)
class Pooled:
    """The clicks of `devices` phones in `rounds` rounds, as if they lay in one place."""

    devices: int
    rounds: int
    vector_sums: NDArray[np.int64]
    """[item, dim] release 0's int8 text vectors, added up over all clicks on an item."""
    clicks: NDArray[np.int64]
    """[item] clicks on it."""


def pooled_bound(server: Server, pooled: Pooled) -> Artefact:
    """Return the student after the updates of as many rounds towards pooled prototypes."""
    settings, models = server.settings, server.models
    view = server.view(server.start().releases)
    targets = pooled_targets(pooled.vector_sums, pooled.clicks, pooled.devices, view)
    state = models.start
    for round_ in range(1, pooled.rounds + 1):
        state, _ = models.update(
            state,
            round_,
            targets.vectors,
            targets.weights,
            settings.update_steps,
        )
    return models.export(state)
