"""The pooled-data bound: what the same student would become if all clicks lay in one place.

The same student, steps and learning rates as the run, trained on the unclipped sums of the clicks of all
learning sessions, with no sampling and no noise. Only the simulator can compute it.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact import Artefact
from fedbert.federation.server import Server
from fedbert.signals.evidence import Evidence


def pooled_bound(server: Server, vector_sums: NDArray[np.int64], clicks: NDArray[np.int64]) -> Artefact:
    """Return the student after the run's updates towards pooled prototypes.

    `vector_sums` `[item, dim]` adds up release 0's int8 text vectors over all clicks on an item, `clicks`
    [item] counts them.
    """
    scenario = server.scenario
    models = server.models_at_start()
    evidence = Evidence(
        sums=vector_sums / 127.0,
        counts=clicks.astype(np.float64),
        sum_variance=0.0,
        count_variance=0.0,
        expected_reports=float(scenario.devices),
        crowding=1.0,
    )
    first = server.releases[0]
    targets = server.targets(evidence, first.item_vectors, first)
    for round_ in range(1, scenario.rounds + 1):
        models.update(
            round_,
            targets.vectors,
            targets.weights,
            scenario.update_steps,
            scenario.student_learning_rate,
            scenario.teacher_learning_rate,
        )
    return models.export()
