"""The wide part of a compression for tasks: one beside each seed's finished student, in the same budget."""

from collections.abc import Sequence

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.wide import buckets_within
from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.compression.tasks_goal import TasksGoal
from fedbert.ei_bert.compression.widening import MANIFEST_ROOM_BYTES, Widened, Widening, widen
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.errors import FedbertError, invalid

WEIGHT_UNJUDGED = 0.6
"""Weight of the wide part's logits where no task has validation texts: what the shipped sizes chose on those
of CLINC150 lies within .1 of it.
"""


def check_wide_room(plan: TaskPlan, tasks: Sequence[Task]) -> None:
    """Raise FedbertError, before anything is trained, if the plan's wide part has no room for a bucket."""
    if not plan.wide_bytes:
        return
    try:
        buckets_within(_room(plan), {task.name: len(task.labels) for task in tasks})
    except FedbertError:
        raise invalid(
            "wide_bytes", plan.wide_bytes, "have room for a bucket of each task", "raise it or give 0"
        ) from None


def widened(
    goal: TasksGoal, artefacts: Sequence[Artefact], seeds: Sequence[int], budget_bytes: int
) -> list[Widened]:
    """Return each of `artefacts`, a student of each of `seeds`, with its wide part; all have as many buckets.

    Each is at most `budget_bytes`. Its weight is chosen on validation texts; `WEIGHT_UNJUDGED` without any.
    """
    judged = any(len(task.validation) for task in goal.tasks)
    return [
        widen(
            artefact,
            goal.tasks,
            Widening(budget_bytes, _room(goal.plan), weight=None if judged else WEIGHT_UNJUDGED, seed=seed),
        )
        for artefact, seed in zip(artefacts, seeds, strict=True)
    ]


def _room(plan: TaskPlan) -> int:
    return plan.wide_bytes - MANIFEST_ROOM_BYTES
