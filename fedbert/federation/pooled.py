"""The pooled-data bound: what the same student would become if all clicks lay in one place.

The same student, steps and learning rates as the run, trained on the unclipped sums of the clicks of all
learning sessions, with no sampling and no noise. Only the simulator can compute it. Its targets are
prototypes, whatever the run's signal.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.server import Server
from fedbert.signals.prototypes.signal import pooled_targets


def pooled_bound(
    server: Server, devices: int, rounds: int, vector_sums: NDArray[np.int64], clicks: NDArray[np.int64]
) -> Artefact:
    """Return the student after the updates of `rounds` rounds towards pooled prototypes.

    `vector_sums` `[item, dim]` adds up release 0's int8 text vectors over all clicks on an item, `clicks`
    [item] counts them.
    """
    settings, models = server.settings, server.models
    view = server.view(server.start().releases)
    targets = pooled_targets(vector_sums, clicks, devices, view)
    state = models.start
    for round_ in range(1, rounds + 1):
        state, _ = models.update(
            state,
            round_,
            targets.vectors,
            targets.weights,
            settings.update_steps,
            settings.student_learning_rate,
            settings.teacher_learning_rate,
        )
    return models.export(state)
