"""Training of a student on classification tasks by any `Method`, from a tuned teacher."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import device_of, fast_math, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.ei_bert.teaching.cached import CachedLayers
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
from fedbert.ei_bert.teaching.methods import Method
from fedbert.ei_bert.teaching.progress import Running
from fedbert.ei_bert.teaching.task_losses import Terms, layer_maps, layerwise, relative_error
from fedbert.ei_bert.teaching.tasks import Part
from fedbert.ei_bert.teaching.teacher import Teacher, sorted_batches
from fedbert.ei_bert.teaching.tuning import Heads
from fedbert.randomness import Purpose, generator

# In interplay only the teacher's top layer learns: the layers below are computed once a text and kept.
_TRAINED_TEACHER_LAYERS = 1
# In interplay labels lead the teacher; a student that is still poor pulls at it half as hard.
_FOLLOW_CHOICES, _FOLLOW_STATES = 0.5, 0.5
# A short training still falls for nine tenths of its steps.
_LONGEST_WARM_STEPS, _WARM_SHARE = 100, 10
# Texts a pass when a student is only asked, not taught.
_READ_TOKENS = 4_096


@dataclass(frozen=True)
class TaskLesson:
    """Texts to learn from. `rows` are the student's tokens; `task` and `label` are -1 where there is none.

    `states` are the tuned teachers' pooled states, `[text, teacher width]` each; side by side they are what
    the heads read. `teacher_ids` `[student vocabulary]` maps the student's tokens to the teacher's, so that
    the teacher can read the very same tokens.
    """

    rows: Sequence[Sequence[int]]
    task: NDArray[np.int64]
    label: NDArray[np.int64]
    states: tuple[Tensor, ...]
    teacher_ids: NDArray[np.int64]

    def states_of(self, chosen: Tensor) -> Tensor:
        """Return the teachers' states of the `chosen` texts side by side, float32 `[row, width]`."""
        return side_by_side(self.states, chosen)


@dataclass(frozen=True)
class Rates:
    """Top learning rates of the student and, in interplay, of the teacher; `batch_tokens` a step.

    `word_dropout` is the share of tokens that the student does not see at a step, another choice each time
    (Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification").
    `label_smoothing` is the share of a label that counts for all labels alike. The student ends with its mean
    weights over the last `average_steps` steps (Izmailov et al. 2018, "Averaging weights leads to wider
    optima and better generalization"), or with its last ones (0).
    """

    student: float = 3e-3
    teacher: float = 1e-5
    batch_tokens: int = 1_536
    word_dropout: float = 0.0
    label_smoothing: float = 0.0
    average_steps: int = 0


def side_by_side(states: Sequence[Tensor], chosen: Tensor) -> Tensor:
    """Return the rows `chosen` of each of `states` `[text, width]` after another, float32 `[row, widths]`."""
    return torch.cat([part[chosen].float() for part in states], -1)


def thinned(rows: Sequence[Sequence[int]], share: float, draw: np.random.Generator) -> list[Sequence[int]]:
    """Return `rows` of tokens without a `share` of each row's tokens; its first and last, [CLS] and [SEP],
    stay.
    """
    if not share:
        return list(rows)
    out: list[Sequence[int]] = []
    for row in rows:
        kept = draw.random(len(row)) >= share
        kept[0] = kept[-1] = True
        out.append([token for token, stays in zip(row, kept.tolist(), strict=True) if stays])
    return out


def own_heads(method: Method, heads: Heads, seed: int) -> Heads:
    """Return the heads that a student starts with: the teacher's, a copy of them, or new ones."""
    if method.integrate and not method.interplay:
        return heads
    own = copy.deepcopy(heads)
    if not method.warm and not method.integrate:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for head in own.values():
                cast(nn.Linear, head).reset_parameters()
    return own.requires_grad_(True)


class _Trainer:
    """One student's training; `step` does one step on chosen texts."""

    def __init__(
        self,
        student: Student,
        heads: Heads,
        teacher: Teacher,
        lesson: TaskLesson,
        method: Method,
        course: Course,
        rates: Rates,
    ) -> None:
        self.student, self.lesson, self.method, self.rates = student, lesson, method, rates
        self.names, self.course = list(heads.keys()), course
        device = device_of(student)
        self.teacher_heads = copy.deepcopy(heads).to(device).requires_grad_(method.interplay)
        self.heads = (
            self.teacher_heads if method.integrate else own_heads(method, heads, course.seed).to(device)
        )
        self.learnt = [p for p in student.parameters() if p is not student.head]
        groups: list[dict[str, Any]] = [{"params": self.learnt, "factor": 1.0}]
        if not method.integrate:
            groups.append({"params": list(self.heads.parameters()), "factor": 1.0})
        if method.hidden:
            self.maps = layer_maps(student, teacher, course.seed).to(device)
            groups.append({"params": list(self.maps.parameters()), "factor": 1.0})
            self.body = copy.deepcopy(teacher.body).to(device)
        self.optimiser = torch.optim.AdamW(groups, lr=rates.student, weight_decay=WEIGHT_DECAY)
        both = nn.ModuleDict({"student": student, "heads": self.heads})
        self.mean = AveragedModel(both) if rates.average_steps else None
        if method.interplay:
            self.body = copy.deepcopy(teacher.body).to(device)
            self.depth = len(self.body.layers)
            self.first = self.depth - min(_TRAINED_TEACHER_LAYERS, self.depth)
            rows = [lesson.teacher_ids[np.array(row)].tolist() for row in lesson.rows]
            self.cached = CachedLayers(self.body, rows, self.first)
            self.upper = [p for layer in list(self.body.layers)[self.first :] for p in layer.parameters()]
            for parameter in self.upper:
                parameter.requires_grad_(True)
            # No decay: what the teacher knows must not fade while it follows.
            self.guide = torch.optim.AdamW(
                [*self.upper, *self.teacher_heads.parameters()], lr=rates.teacher, weight_decay=0.0
            )

    def step(self, chosen: NDArray[np.intp], step: int) -> tuple[float, int, int]:
        """Take one step and return the loss, and how many of how many labelled texts were right."""
        lesson, method = self.lesson, self.method
        pick = torch.from_numpy(chosen)
        device = device_of(self.student)
        draw = generator(self.course.seed, Purpose.TRAINING, streams.TASK_STEP + step)
        rows = thinned([lesson.rows[index] for index in chosen.tolist()], self.rates.word_dropout, draw)
        ids = torch.from_numpy(padded(rows)).to(device)
        task = torch.from_numpy(lesson.task)[pick].to(device)
        label = torch.from_numpy(lesson.label)[pick].to(device)
        with torch.set_grad_enabled(method.interplay), fast_math(self.course.precision):
            if method.interplay:
                x, their_ids = self.cached.get(chosen)
                hidden = mean_pool(self.body.run(x, their_ids, self.first, self.depth), their_ids)
            else:
                hidden = lesson.states_of(pick).to(device)
        extra = torch.zeros((), device=device)
        with fast_math(self.course.precision):
            if method.hidden:
                state, extra = layerwise(self.student, self.body, self.maps, ids, lesson.teacher_ids)
            else:
                state = self.student(ids)[0]
        goal = hidden.detach()
        terms = Terms(self.names, task, label, method.temperature)
        heads = self.heads
        if method.integrate and method.interplay:
            # The head is the teacher's parameter: the student's loss must not move it.
            heads = copy.deepcopy(self.teacher_heads).requires_grad_(False)
        theirs = terms.logits(self.teacher_heads, goal)
        mine = terms.logits(heads, state)
        loss = method.hidden * extra
        if method.cross_entropy:
            loss = loss + method.cross_entropy * terms.cross_entropy(mine, self.rates.label_smoothing)
        if method.divergence:
            loss = loss + method.divergence * terms.divergence(mine, [part.detach() for part in theirs])
        if method.states:
            loss = loss + method.states * relative_error(state, goal)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.learnt, CLIP_NORM)
        set_rate(self.optimiser, self._rate(step, self.rates.student))
        self.optimiser.step()
        if method.interplay:
            self._teach(terms, hidden, state.detach(), [part.detach() for part in mine], step)
        if self.mean is not None and step >= self.course.steps - self.rates.average_steps:
            self.mean.update_parameters(nn.ModuleDict({"student": self.student, "heads": self.heads}))
        return (float(loss.detach()), *terms.right(mine))

    def finish(self) -> None:
        """Give student and heads their mean weights, if these are asked for."""
        if self.mean is not None:
            means = cast(nn.ModuleDict, self.mean.module)
            self.student.load_state_dict(means["student"].state_dict())
            self.heads.load_state_dict(means["heads"].state_dict())

    def parts(self) -> dict[str, Any]:
        """Return everything that the steps change, by name."""
        parts: dict[str, Any] = {"student": self.student, "heads": self.heads, "optimiser": self.optimiser}
        if self.mean is not None:
            parts["mean"] = self.mean
        if self.method.hidden:
            parts["maps"] = self.maps
        if self.method.interplay:
            upper = nn.ModuleList(list(self.body.layers)[self.first :])
            parts |= {"upper": upper, "teacher_heads": self.teacher_heads, "guide": self.guide}
        return parts

    def know(self, chosen: NDArray[np.intp]) -> None:
        """Have the teacher read what a step that is done has read: its cached states depend on the order."""
        if self.method.interplay:
            with fast_math(self.course.precision):
                self.cached.know(chosen)

    def _rate(self, step: int, top: float) -> float:
        steps = self.course.steps
        return rate(step, steps, top, min(_LONGEST_WARM_STEPS, steps // _WARM_SHARE + 1))

    def _teach(self, terms: "Terms", hidden: Tensor, state: Tensor, mine: list[Tensor], step: int) -> None:
        theirs = terms.logits(self.teacher_heads, hidden)
        loss = (
            terms.cross_entropy(theirs)
            + _FOLLOW_CHOICES * terms.divergence(theirs, mine)
            + _FOLLOW_STATES * relative_error(hidden, state)
        )
        self.guide.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.upper, CLIP_NORM)
        set_rate(self.guide, self._rate(step, self.rates.teacher))
        self.guide.step()


def distil(
    student: Student,
    heads: Heads,
    teacher: Teacher,
    lesson: TaskLesson,
    method: Method,
    course: Course,
    rates: Rates = Rates(),
    hooks: Hooks = UNWATCHED,
) -> Heads:
    """Train `student` in place and return the heads to use with its states `[row, teacher width]`.

    `heads` are the tuned teacher's. Neither they nor `teacher` change: interplay moves copies. The batches
    depend on (seed, epoch) alone, so that a stopped training that goes on from `hooks.load` ends as an
    unbroken one.
    """
    trainer = _Trainer(student, heads, teacher, lesson, method, course, rates)
    parts = trainer.parts()
    hooks.restore(parts)
    student.train()
    step, epoch, running = 0, 0, Running()
    while step < course.steps:
        draw = generator(course.seed, Purpose.TRAINING, streams.TASK_EPOCH + epoch)
        epoch += 1
        for chosen in batches(lesson.rows, rates.batch_tokens, draw):
            if step >= course.steps:
                break
            step += 1
            if step <= hooks.begun:
                trainer.know(chosen)
                continue
            running.add(*trainer.step(chosen, step - 1))
            if hooks.progress is not None and (step % SHOWN_EVERY == 0 or step == course.steps):
                hooks.progress(step, course.steps, running.loss, running.accuracy)
            hooks.keep(step, course.steps, parts)
    trainer.finish()
    student.eval()
    return copy.deepcopy(trainer.heads).cpu().requires_grad_(False)


def student_states(student: Student, tokens: Tokens, texts: Sequence[str]) -> Tensor:
    """Return the float student's states `[text, teacher width]`."""
    rows = tokens.rows(texts)
    out = torch.empty(len(rows), student.shape.teacher_width)
    with torch.inference_mode():
        for chosen, ids in sorted_batches(rows, _READ_TOKENS):
            out[torch.from_numpy(chosen)] = student(ids.to(device_of(student)))[0].cpu()
    return out


def student_accuracy(student: Student, tokens: Tokens, head: nn.Module, part: Part) -> float:
    """Return the share of the texts of `part` whose highest logit is their label."""
    states = student_states(student, tokens, part.texts)
    with torch.inference_mode():
        return float((head(states).argmax(-1).numpy() == part.labels).mean())


def folded(student: Student, head: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return (weight `[width, class]`, bias `[class]`) of projection and head as one matrix on the pooled
    state.
    """
    project = student.project
    with torch.no_grad():
        return project.weight.T @ head.weight.T, project.bias @ head.weight.T + head.bias
