"""Trainings that were stopped and go on from what they saved: they end as unbroken ones, to the bit."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ei_bert_fakes import LABELS, TEXTS, reading_student, small_task
from torch import Tensor

from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import Course, Hooks
from fedbert.ei_bert.teaching.cross_distillation import Asked, Lesson, cross_distil
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.ei_bert.teaching.task_distillation import Rates, TaskLesson, distil
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import Heads, Tuning, fine_tune, pooled_states

Weights = Mapping[str, Tensor]


def _same(train: Callable[[Hooks], Weights], at: int) -> bool:
    """Return whether `train` ends with the same weights if it goes on from what it saved after step `at`.

    The one that goes on gets weights of its own: nothing but what was saved comes from the first.
    """
    saved: dict[int, Mapping[str, Any]] = {}

    def keep(step: int, state: Mapping[str, Any]) -> None:
        saved[step] = copy.deepcopy(dict(state))

    whole = train(Hooks(save=keep, every=at))
    again = train(Hooks(load=saved[at]))
    assert at < max(saved)
    return all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize("average_steps", [0, 5])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on(name: str, average_steps: int, guide: Teacher) -> None:
    """Student and heads of any method: what a teacher learns along, maps and mean weights are saved too."""
    first, tokens, rows = reading_student(guide)
    lesson = TaskLesson(
        tokens.rows(TEXTS), np.zeros(5, np.int64), LABELS, (pooled_states(guide, TEXTS),), rows
    )
    torch.manual_seed(0)
    heads = Heads([small_task()], 128)
    method = replace(METHODS[name], cross_entropy=1.0)

    def train(hooks: Hooks) -> Weights:
        student = copy.deepcopy(first)
        rates = Rates(batch_tokens=12, word_dropout=0.2, average_steps=average_steps)
        own = distil(student, heads, guide, lesson, method, Course(9, 0), rates, hooks)
        return {**student.state_dict(), **own.state_dict(prefix="head.")}

    # The mean is over steps 5 to 9: the first of them is before the stop.
    assert _same(train, 5)


def test_tuning_of_the_teacher_goes_on(guide: Teacher) -> None:
    """Upper layers and heads are the same, whether the stop is between two epochs or within one."""

    def train(hooks: Hooks) -> Weights:
        teacher = replace(guide, body=copy.deepcopy(guide.body))
        tuning = Tuning(epochs=3, trained_layers=1, batch_tokens=12)
        heads = fine_tune(teacher, [small_task()], tuning, hooks)
        return {**teacher.body.state_dict(), **heads.state_dict(prefix="head.")}

    assert _same(train, 3)
    assert _same(train, 4)


@pytest.mark.parametrize("asked", [False, True])
def test_cross_distillation_of_a_catalogue_goes_on(asked: bool, guide: Teacher) -> None:
    """Student, shared head and the teacher's top layer, with texts that ask for further names and without."""
    first, tokens, _ = reading_student(guide, pooled=False)
    texts = (*TEXTS, "music for six", "the bank") if asked else TEXTS
    items = np.array([2, 2]) if asked else None

    def train(hooks: Hooks) -> Weights:
        student, teacher = copy.deepcopy(first), replace(guide, body=copy.deepcopy(guide.body))
        lesson = Lesson(
            rows=tokens.rows(texts),
            teacher_layers=CachedLayers(teacher.body, teacher.tokens.rows(texts), 1),
            stock=pooled_states(guide, texts),
            request_items=np.array([0, 1]),
            names=2,
            choices=np.array([0, 1]),
            item_share=np.full(len(texts), 0.5),
            requests_a_step=2,
            others_a_step=3,
            asked=None if items is None else Asked(5, items, names_a_step=1, texts_a_step=2),
        )
        cross_distil(student, teacher, lesson, Course(5, 0), hooks=hooks)
        return {**student.state_dict(), **teacher.body.state_dict(prefix="teacher.")}

    assert _same(train, 3)
