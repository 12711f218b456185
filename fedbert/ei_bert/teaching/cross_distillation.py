"""Cross-distillation: student and teacher learn from public requests and from each other.

The student keeps the teacher's head ("parameter integration", EI-BERT), and while the student learns at a
large rate the teacher goes on learning at a small one ("dynamic interplay"), with mean squared error between
their vectors and KL divergence between their choices in both directions, each against the other held fixed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import fast_math, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import (
    CLIP_NORM,
    UNWATCHED,
    WEIGHT_DECAY,
    Course,
    Hooks,
    rate,
    set_rate,
)
from fedbert.ei_bert.teaching.pretraining import agreement
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.randomness import Purpose, generator

TEMPERATURE = 0.05
"""Cosines over this are logits: a cosine .1 higher is then e^2 times as likely a choice."""
# The student's loss. Agreement with the teacher leads: labels are few, and the teacher knows more than
# they say.
_LABELS, _CHOICES, _AGREEMENT = 0.3, 0.5, 4.0
# The teacher's loss. It follows a student that is still poor only a little, and is held at its published
# vectors as firmly as the student is held at it.
_TEACHER_LABELS, _TEACHER_CHOICES, _TEACHER_VECTORS, _KEEP = 0.3, 0.15, 0.5, 4.0
# Mean loss over about the last 20 steps, for the screen.
_MEMORY = 0.95
_SHOWN_EVERY = 10


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of two sets of logits `[row, choice]`; neither is detached here."""
    return functional.kl_div(
        functional.log_softmax(student, -1),
        functional.log_softmax(teacher, -1),
        log_target=True,
        reduction="batchmean",
    )


@dataclass(frozen=True)
class Asked:
    """Texts that were made to ask for names that no public request asks for.

    The texts are the lesson's rows from `first` on, and `items` `[text]` what each asks for. A step reads
    `names_a_step` of these names, drawn anew, and `texts_a_step` texts that ask for them.
    """

    first: int
    items: NDArray[np.int64]
    names_a_step: int = 72
    texts_a_step: int = 48

    def drawn(self, draw: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Return the items whose names a step reads, and its texts' rows."""
        names = draw.permutation(np.unique(self.items))[: self.names_a_step]
        among = np.flatnonzero(np.isin(self.items, names))
        return names, self.first + draw.choice(among, self.texts_a_step)


@dataclass(frozen=True)
class Lesson:
    """What cross-distillation reads: one list of texts, requests first, and what is known of each.

    `rows` are the student's tokens of all texts; `teacher_layers` the teacher's cached lower layers of the
    same texts; `stock` the untuned teacher's sentence vectors `[text, teacher width]`. The texts `names` ..
    are the catalogue's written names, in order; `choices` are the items that requests may ask for. A step
    reads `requests_a_step` labelled requests, `others_a_step` other texts and the names of all choices. With
    `asked` it also reads names that no request asks for and texts made to do so; then all texts of the step,
    labelled or not, choose among all its names.
    """

    rows: Sequence[Sequence[int]]
    teacher_layers: CachedLayers
    stock: Tensor
    request_items: NDArray[np.int64]
    names: int
    choices: NDArray[np.int64]
    item_share: NDArray[np.float64]
    requests_a_step: int = 64
    others_a_step: int = 96
    asked: Asked | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row."""
        return np.fromiter((len(row) for row in self.rows), np.int64, len(self.rows))


def parts_of(lengths: NDArray[np.int64], parts: int = 4) -> list[NDArray[np.intp]]:
    """Return the places of rows in `parts` batches of like length: little is padded."""
    return np.array_split(np.argsort(lengths, kind="stable"), parts)


def by_parts(lengths: NDArray[np.int64], run: Callable[[NDArray[np.intp]], Tensor], parts: int = 4) -> Tensor:
    """Return `run` of rows, in their order, a batch of `parts_of` at a time."""
    batches = parts_of(lengths, parts)
    made = torch.cat([run(part) for part in batches])
    return made[torch.from_numpy(np.argsort(np.concatenate(batches)))]


@dataclass(frozen=True)
class Rates:
    """Learning rates: large for the student, small for the teacher, none for it without `interplay`."""

    student: float = 5e-4
    teacher: float = 3e-5
    head: float = 3e-4
    interplay: bool = True


@dataclass(frozen=True)
class _Drawn:
    """What a step reads: texts `chosen` and whether each is read `as_item`. Places among these: `texts` that
    choose and the `choices` they have; the first texts' wanted choice is `label`.
    """

    chosen: NDArray[np.int64]
    as_item: NDArray[np.bool_]
    texts: NDArray[np.int64]
    choices: NDArray[np.int64]
    label: Tensor


def _drawn(lesson: Lesson, seed: int, step: int) -> _Drawn:
    requests, general = lesson.requests_a_step, lesson.others_a_step
    draw = generator(seed, Purpose.TRAINING, streams.CROSS_STEP + step)
    asked = draw.integers(0, len(lesson.request_items), requests)
    end = len(lesson.rows) if lesson.asked is None else lesson.asked.first
    other = draw.integers(len(lesson.request_items), end, general)
    chosen = np.concatenate([asked, other, lesson.names + lesson.choices])
    # Requests are texts and names are items, whatever their share: only the rest may be read as either.
    roles = draw.random(len(chosen)) < lesson.item_share[chosen]
    roles[:requests], roles[requests + general :] = False, True
    items, named = lesson.request_items[asked], lesson.choices
    texts, choices = np.arange(requests), np.arange(requests + general, len(chosen))
    if lesson.asked is not None:
        more, made = lesson.asked.drawn(draw)
        named = np.concatenate([named, more])
        items = np.concatenate([items, lesson.asked.items[made - lesson.asked.first]])
        chosen = np.concatenate([chosen, lesson.names + more, made])
        roles = np.concatenate([roles, np.ones(len(more), np.bool_), np.zeros(len(made), np.bool_)])
        choices = np.arange(requests + general, len(chosen) - len(made))
        made_at = np.arange(len(chosen) - len(made), len(chosen))
        others_at = requests + np.flatnonzero(~roles[requests : requests + general])
        texts = np.concatenate([texts, made_at, others_at])
    place = {int(item): index for index, item in enumerate(named)}
    return _Drawn(chosen, roles, texts, choices, torch.tensor([place[int(item)] for item in items]))


def cross_distil(
    student: Student,
    teacher: Teacher,
    lesson: Lesson,
    course: Course,
    rates: Rates = Rates(),
    hooks: Hooks = UNWATCHED,
) -> None:
    """Train student and teacher against public labels and each other; the head belongs to both.

    With weights left out, L_S = CE + KL(p_T || p_S) + agreement(h_S, h_T) and L_T = CE + KL(p_S || p_T) +
    MSE(v_T, v_S) + distance(h_T, stock). A stopped training that goes on from `hooks.load` ends as an
    unbroken one.
    """
    last = len(teacher.body.layers)
    # The teacher's top layer alone learns: the layers below are computed once a text and kept.
    top = teacher.body.layers[last - 1].requires_grad_(True)
    own = [p for p in student.parameters() if p is not student.head]
    learner = torch.optim.AdamW(own, lr=rates.student, weight_decay=WEIGHT_DECAY)
    groups = [{"params": list(top.parameters()), "factor": 1.0}]
    groups.append({"params": [student.head], "factor": rates.head / rates.teacher})
    # No decay: what the teacher knows must not fade while it follows.
    guide = torch.optim.AdamW(groups, lr=rates.teacher, weight_decay=0.0)
    parts = {"student": student, "top": top, "learner": learner, "guide": guide}
    hooks.restore(parts)
    lengths = lesson.lengths
    running = 0.0

    def teach(chosen: NDArray[np.intp], part: NDArray[np.intp]) -> Tensor:
        x, ids = lesson.teacher_layers.get(chosen[part])
        return mean_pool(teacher.body.run(x, ids, last - 1, last), ids)

    def learn(chosen: NDArray[np.intp], as_item: NDArray[np.bool_], part: NDArray[np.intp]) -> Tensor:
        ids = torch.from_numpy(padded([lesson.rows[index] for index in chosen[part].tolist()]))
        ids[torch.from_numpy(as_item[part]), 0] = student.shape.item_token
        state: Tensor = student(ids)[0]
        return state

    student.train()
    for step in range(course.steps):
        drawn = _drawn(lesson, course.seed, step)
        chosen = drawn.chosen
        if step < hooks.begun:
            # What the teacher's cached layers say depends on the order in which they were asked.
            with fast_math(course.precision):
                for part in parts_of(lengths[chosen]):
                    lesson.teacher_layers.know(chosen[part])
            continue
        with torch.set_grad_enabled(rates.interplay), fast_math(course.precision):
            hidden = by_parts(lengths[chosen], partial(teach, chosen))
        with fast_math(course.precision):
            state = by_parts(lengths[chosen], partial(learn, chosen, drawn.as_item))
        theirs = functional.normalize(hidden @ student.head, dim=-1)
        # The head is the teacher's parameter: the student's loss must not move it.
        mine = functional.normalize(state @ student.head.detach(), dim=-1)
        own_choice = mine[drawn.texts] @ mine[drawn.choices].T / TEMPERATURE
        choice = theirs[drawn.texts] @ theirs[drawn.choices].T / TEMPERATURE
        loss = (
            _LABELS * functional.cross_entropy(own_choice[: len(drawn.label)], drawn.label)
            + _CHOICES * divergence(own_choice, choice.detach())
            + _AGREEMENT * (agreement(state, hidden.detach()) + agreement(mine, theirs.detach()))
        )
        learner.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(own, CLIP_NORM)
        set_rate(learner, rate(step, course.steps, rates.student))
        learner.step()
        if rates.interplay:
            keep = 1 - functional.cosine_similarity(hidden, lesson.stock[torch.from_numpy(chosen)]).mean()
            lesson_loss = (
                _TEACHER_LABELS * functional.cross_entropy(choice[: len(drawn.label)], drawn.label)
                + _TEACHER_CHOICES * divergence(choice, own_choice.detach())
                + _TEACHER_VECTORS * ((theirs - mine.detach()) ** 2).sum(-1).mean()
                + _KEEP * keep
            )
            guide.zero_grad(set_to_none=True)
            lesson_loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*top.parameters(), student.head], CLIP_NORM)
            set_rate(guide, rate(step, course.steps, rates.teacher))
            guide.step()
        shown = float(loss.detach())
        running = _MEMORY * running + (1 - _MEMORY) * shown if step > hooks.begun else shown
        if hooks.progress is not None and (step + 1) % _SHOWN_EVERY == 0:
            hooks.progress(step + 1, course.steps, running, None)
        hooks.keep(step + 1, course.steps, parts)
    student.eval()
