"""Pre-distillation: a student learns a teacher's sentence vectors, and no task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import device_of, fast_math
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.course import (
    CLIP_NORM,
    SHOWN_EVERY,
    UNWATCHED,
    WEIGHT_DECAY,
    Course,
    Hooks,
    batches,
    rate,
    set_rate,
)
from fedbert.ei_bert.teaching.progress import Running
from fedbert.randomness import Purpose, generator

TOP_RATE = 2e-3
"""Largest learning rate: the layers start at random, so it is larger than that of a tuning by far."""
# Some hundred short texts a step: the loss compares the texts of a batch with each other.
_BATCH_TOKENS = 3_072
# Differences of cosines are small, and squared: at 1 this term would hardly move anything.
_BETWEEN = 4


@dataclass(frozen=True)
class Reading:
    """What pre-distillation reads.

    `rows` are the student's tokens of each text, `targets` `[text, teacher width]` the teacher's vectors,
    `item_share` `[text]` how often, 0..1, a text is read in the role of an item.
    """

    rows: Sequence[Sequence[int]]
    targets: Tensor
    item_share: NDArray[np.float64]


def agreement(state: Tensor, target: Tensor) -> Tensor:
    """Return 1 - mean cosine of rows, plus the mean squared error of the batch's mutual cosines (MiniLM's
    idea).
    """
    mine, theirs = functional.normalize(state, dim=-1), functional.normalize(target, dim=-1)
    between = ((mine @ mine.T - theirs @ theirs.T) ** 2).mean()
    return 1 - (mine * theirs).sum(-1).mean() + _BETWEEN * between


def pretrain(
    student: Student, reading: Reading, course: Course, top_rate: float = TOP_RATE, hooks: Hooks = UNWATCHED
) -> None:
    """Teach `student` the teacher's sentence vectors.

    The batch of a step depends on (seed, epoch) alone, so that a stopped run that goes on from `hooks.load`
    ends as an unbroken one. The student's head stays as it is.
    """
    parameters = [p for p in student.parameters() if p is not student.head]
    optimiser = torch.optim.AdamW(parameters, lr=top_rate, weight_decay=WEIGHT_DECAY)
    device = device_of(student)
    parts = {"student": student, "optimiser": optimiser}
    hooks.restore(parts)
    student.train()
    step, epoch = 0, 0
    running = Running()
    while step < course.steps:
        draw = generator(course.seed, Purpose.TRAINING, streams.PRETRAINING_EPOCH + epoch)
        epoch += 1
        for chosen in batches(reading.rows, _BATCH_TOKENS, draw):
            # Drawn for steps that are done, too: the numbers after them must be the same.
            as_item = draw.random(len(chosen)) < reading.item_share[chosen]
            if step >= course.steps:
                break
            step += 1
            if step <= hooks.begun:
                continue
            ids = torch.from_numpy(padded([reading.rows[index] for index in chosen.tolist()]))
            ids[torch.from_numpy(as_item), 0] = student.shape.item_token
            goal = reading.targets[torch.from_numpy(chosen)].to(device)
            with fast_math(course.precision):
                state, vector = student(ids.to(device))
            loss = agreement(state, goal)
            if not student.shape.pooled:
                loss = loss + agreement(vector, goal @ student.head.detach())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            set_rate(optimiser, rate(step, course.steps, top_rate))
            optimiser.step()
            running.add(float(loss.detach()), 0, 0)
            if hooks.progress is not None and step % SHOWN_EVERY == 0:
                hooks.progress(step, course.steps, running.loss, None)
            hooks.keep(step, course.steps, parts)
    student.eval()
