"""What of the tasks' texts a kept vocabulary writes in the teacher's own tokens: the rest is split into more.

Only training and validation texts are read: a vocabulary is chosen by what this says, and test texts choose
nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.compression.rows import CoverageRow
from fedbert.ei_bert.compression.tasks_goal import TasksGoal
from fedbert.ei_bert.compression.token_pruning import (
    importance,
    pruned_vocabulary,
    smallest_size,
    teacher_rows,
)
from fedbert.ei_bert.teaching.splits import Split
from fedbert.ei_bert.teaching.teacher import Teacher

SIZES = (1_000, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000)
"""Sizes of a vocabulary between which a curve tells what a token more is worth."""


def occurrences(teacher: Teacher, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return how often each of the teacher's tokens is in `texts`, specials 0, `[teacher vocabulary]`."""
    return importance("frequency", teacher, texts)


def covered(counts: NDArray[np.float64], teacher: Teacher, kept: Sequence[str]) -> float:
    """Return the share, 0..1, of the occurrences `counts` `[teacher vocabulary]` whose token is `kept`.

    0 if there are none.
    """
    total = float(counts.sum())
    return float(counts[np.unique(teacher_rows(teacher.vocabulary, kept))].sum()) / total if total else 0.0


def coverage(goal: TasksGoal, kept: tuple[str, ...], found: NDArray[np.float64]) -> list[CoverageRow]:
    """Return the share of the tasks' tokens that stay whole, by size of the vocabulary ranked by `found`.

    One row is of the tokens `kept`; it is `chosen`. `unread` are kept tokens that no training text has,
    `split` are tokens of training texts that are not kept. Shares of validation texts are left out if no task
    has any.
    """
    teacher, texts = goal.teacher, goal.texts()
    splits: tuple[Split, ...] = ("train", "validation")
    each = {split: [text for task in goal.tasks for text in task.part(split).texts] for split in splits}
    counts = {split: occurrences(teacher, some) for split, some in each.items() if some}
    read = counts["train"] > 0
    smallest = smallest_size(teacher.vocabulary, texts, teacher.rules)
    sizes = [size for size in SIZES if smallest <= size < len(teacher.vocabulary) and size != len(kept)]
    tried = [pruned_vocabulary(teacher.vocabulary, found, texts, size, teacher.rules) for size in sizes]
    rows: list[CoverageRow] = []
    for some in sorted([*tried, kept], key=len):
        ids = np.unique(teacher_rows(teacher.vocabulary, some))
        row: CoverageRow = {
            "size": len(some),
            "train": covered(counts["train"], teacher, some),
            "unread": int((~read[ids]).sum()),
            "split": int(read.sum() - read[ids].sum()),
            "chosen": some is kept,
        }
        if "validation" in counts:
            row["validation"] = covered(counts["validation"], teacher, some)
        rows.append(row)
    return rows
