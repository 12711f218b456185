"""Every step that trains or asks the teacher, in float32 and in bfloat16: on any processor, not on the one
at hand.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ei_bert_fakes import LABELS, TEXTS, reading_student, small_task
from torch import Tensor

from fedbert import machine
from fedbert.ei_bert.model.bert import fast_math, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import Course
from fedbert.ei_bert.teaching.cross_distillation import Lesson, cross_distil
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.ei_bert.teaching.pretraining import Reading, pretrain
from fedbert.ei_bert.teaching.task_distillation import TaskLesson, distil
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher
from fedbert.ei_bert.teaching.tuning import Heads, Tuning, fine_tune, pooled_states
from fedbert.errors import FedbertError

BOTH = pytest.mark.parametrize("precision", ["float32", "bfloat16"])
THREADS = pytest.mark.parametrize("threads", [1, 2])
KINDS = pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "shared space"])


@pytest.fixture
def guide(small_teacher: str) -> Teacher:
    """The small teacher."""
    return load_teacher(small_teacher)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Leave torch with the threads it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _moved(student: Student, before: dict[str, Tensor]) -> bool:
    """Return whether all weights are finite float32 numbers and some have changed."""
    now = student.state_dict()
    sound = all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in now.values())
    return sound and any(not torch.equal(value, before[key]) for key, value in now.items())


@BOTH
@KINDS
def test_what_leaves_the_models_is_float32(precision: str, pooled: bool, guide: Teacher) -> None:
    """Products inside may be in bfloat16; states, vectors and means meet float32 heads outside."""
    student, tokens, _ = reading_student(guide, pooled)
    ids = torch.from_numpy(padded(tokens.rows(TEXTS)))
    theirs = torch.from_numpy(padded(guide.tokens.rows(TEXTS)))
    with fast_math(precision):
        inner = student.body.layers[0].up(student.body.embed(ids)).dtype
        state, vector = student(ids)
        pooled_state = mean_pool(guide.body(theirs), theirs)
    assert inner == getattr(torch, precision)
    assert {state.dtype, vector.dtype, pooled_state.dtype} == {torch.float32}


@BOTH
@THREADS
@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_step(name: str, precision: str, threads: int, guide: Teacher) -> None:
    """Layer-wise losses, integration and interplay: two steps move the student, weights stay float32."""
    torch.set_num_threads(threads)
    student, tokens, rows = reading_student(guide)
    states = pooled_states(guide, TEXTS, precision=precision)
    lesson = TaskLesson(tokens.rows(TEXTS), np.zeros(5, np.int64), LABELS, (states,), rows)
    before = copy.deepcopy(student.state_dict())
    heads = distil(student, Heads([small_task()], 128), guide, lesson, METHODS[name], Course(2, 0, precision))
    assert _moved(student, before)
    assert heads["one"](torch.zeros(1, 128)).dtype == torch.float32


@BOTH
@THREADS
@KINDS
def test_pre_distillation_takes_a_step(precision: str, threads: int, pooled: bool, guide: Teacher) -> None:
    """Both kinds of student learn the teacher's states."""
    torch.set_num_threads(threads)
    student, tokens, _ = reading_student(guide, pooled)
    before = copy.deepcopy(student.state_dict())
    targets = pooled_states(guide, TEXTS, precision=precision)
    reading = Reading(tokens.rows(TEXTS), targets, np.full(5, 0.5))
    pretrain(student, reading, Course(2, 0, precision))
    assert _moved(student, before)


@BOTH
@THREADS
def test_cross_distillation_takes_a_step(precision: str, threads: int, guide: Teacher) -> None:
    """Student, teacher's top layer and the head that both share all move."""
    torch.set_num_threads(threads)
    student, tokens, _ = reading_student(guide, pooled=False)
    lesson = Lesson(
        rows=tokens.rows(TEXTS),
        teacher_layers=CachedLayers(guide.body, guide.tokens.rows(TEXTS), 1),
        stock=pooled_states(guide, TEXTS, precision=precision),
        request_items=np.array([0, 1]),
        names=3,
        choices=np.array([0, 1]),
        item_share=np.zeros(5),
        requests_a_step=2,
        others_a_step=2,
    )
    before, top = copy.deepcopy(student.state_dict()), copy.deepcopy(guide.body.layers[1].state_dict())
    cross_distil(student, guide, lesson, Course(2, 0, precision))
    assert _moved(student, before)
    assert not torch.equal(student.state_dict()["head"], before["head"])
    assert not torch.equal(guide.body.layers[1].state_dict()["up.weight"], top["up.weight"])


@BOTH
@THREADS
def test_tuning_of_the_teacher_takes_a_step(precision: str, threads: int, guide: Teacher) -> None:
    """One epoch moves the upper layer; heads and states are float32."""
    torch.set_num_threads(threads)
    before = guide.body.layers[1].up.weight.clone()
    heads = fine_tune(guide, [small_task()], Tuning(epochs=1, trained_layers=1, precision=precision))
    assert not torch.equal(guide.body.layers[1].up.weight, before)
    assert heads["one"](pooled_states(guide, TEXTS, precision=precision)).dtype == torch.float32


def test_bfloat16_is_near_float32_and_not_the_same(guide: Teacher) -> None:
    """States in bfloat16 have a cosine over .99 with those in float32: really computed otherwise."""
    one, two = (pooled_states(guide, TEXTS, precision=name) for name in ("float32", "bfloat16"))
    assert float(torch.cosine_similarity(one, two).min()) > 0.99
    assert not torch.equal(one, two)


@pytest.mark.parametrize(("sets", "expected"), [(["avx2", "avx512_bf16"], "bfloat16"), (["avx2"], "float32")])
def test_auto_is_what_the_processor_multiplies(
    sets: list[str], expected: str, guide: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` gives the bits of the precision that it comes to, on a processor of either kind."""
    monkeypatch.setattr(machine, "instruction_sets", lambda: sets)
    assert torch.equal(pooled_states(guide, TEXTS), pooled_states(guide, TEXTS, precision=expected))


def test_an_unknown_precision_is_one_line(tmp_path: Path) -> None:
    """The value and what it may be are named."""
    with pytest.raises(FedbertError, match=r"precision\(='half'\) must be one of auto, float32, bfloat16"):
        fast_math("half")
