"""Training: the student's pre-training on the teacher's sentence vectors, then cross-distillation.

Cross-distillation (EI-BERT): the student keeps the teacher's head ("parameter integration"), and while the
student learns at a large rate the teacher goes on learning at a small one ("dynamic interplay"), with mean
squared error between their vectors and KL divergence between their choices in both directions, each against
the other held fixed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.model.bert import device_of, fast_math, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.progress import Running
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.randomness import Purpose, generator

TEMPERATURE = 0.05
Progress = Callable[[int, int, float], None]


def agreement(state: Tensor, target: Tensor) -> Tensor:
    """Return 1 - mean cosine of rows, plus the mean squared error of the batch's mutual cosines (MiniLM's
    idea).
    """
    mine, theirs = functional.normalize(state, dim=-1), functional.normalize(target, dim=-1)
    between = ((mine @ mine.T - theirs @ theirs.T) ** 2).mean()
    return 1 - (mine * theirs).sum(-1).mean() + 4 * between


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of two sets of logits `[row, choice]`; neither is detached here."""
    return functional.kl_div(
        functional.log_softmax(student, -1),
        functional.log_softmax(teacher, -1),
        log_target=True,
        reduction="batchmean",
    )


def batches(
    rows: Sequence[Sequence[int]], batch_tokens: int, draw: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Yield shuffled batches of rows of like length, once over all rows."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    order = np.lexsort((draw.random(len(rows)), lengths))
    starts, position = [], 0
    while position < len(order):
        size = max(1, batch_tokens // int(lengths[order[position]]))
        starts.append((position, position + size))
        position += size
    for index in draw.permutation(len(starts)).tolist():
        low, high = starts[index]
        yield order[low:high]


def rate(step: int, steps: int, top: float, warm: int = 100) -> float:
    """Return the learning rate at `step`: a short linear rise to `top`, then a cosine down to a fiftieth."""
    if step < warm:
        return top * (step + 1) / warm
    return top * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))))


def set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set one learning rate for all parameters of `optimiser`, times each group's own `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = value * group.get("factor", 1.0)


def pretrain(
    student: Student,
    rows: Sequence[Sequence[int]],
    targets: Tensor,
    item_share: NDArray[np.float64],
    steps: int,
    seed: int,
    top_rate: float = 2e-3,
    batch_tokens: int = 3_072,
    start: int = 0,
    optimiser_state: dict[str, object] | None = None,
    progress: Progress | None = None,
    save: Callable[[int, torch.optim.Optimizer], None] | None = None,
    precision: str = "auto",
) -> None:
    """Teach `student` the teacher's sentence vectors `targets` `[row, teacher width]` of token `rows`.

    `item_share` is how often a row is read in the role of an item. Training goes on from `start`; the batch
    of a step depends on (seed, epoch) alone, so that a stopped run ends as an unbroken one. `precision` is
    that of `fast_math`.
    """
    parameters = [p for p in student.parameters() if p is not student.head]
    optimiser = torch.optim.AdamW(parameters, lr=top_rate, weight_decay=0.01)
    device = device_of(student)
    if optimiser_state is not None:
        optimiser.load_state_dict(optimiser_state)
    student.train()
    step, epoch = 0, 0
    running = Running()
    while step < steps:
        draw = generator(seed, Purpose.TRAINING, epoch)
        epoch += 1
        for chosen in batches(rows, batch_tokens, draw):
            as_item = draw.random(len(chosen)) < item_share[chosen]
            if step >= steps:
                break
            step += 1
            if step <= start:
                continue
            ids = torch.from_numpy(padded([rows[index] for index in chosen.tolist()]))
            ids[torch.from_numpy(as_item), 0] = student.shape.item_token
            goal = targets[torch.from_numpy(chosen)].to(device)
            with fast_math(precision):
                state, vector = student(ids.to(device))
            loss = agreement(state, goal)
            if not student.shape.pooled:
                loss = loss + agreement(vector, goal @ student.head.detach())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            set_rate(optimiser, rate(step, steps, top_rate))
            optimiser.step()
            running.add(float(loss.detach()), 0, 0)
            if progress is not None and step % 20 == 0:
                progress(step, steps, running.loss)
            if save is not None and (step % 500 == 0 or step == steps):
                save(step, optimiser)
    student.eval()


@dataclass(frozen=True)
class Lesson:
    """What cross-distillation reads: one list of texts, requests first, and what is known of each.

    `rows` are the student's tokens of all texts; `teacher_layers` the teacher's cached lower layers of the
    same texts; `stock` the untuned teacher's sentence vectors `[text, teacher width]`. The texts `names` ..
    are the catalogue's written names, in order; `choices` are the items that requests may ask for.
    """

    rows: Sequence[Sequence[int]]
    teacher_layers: CachedLayers
    stock: Tensor
    request_items: NDArray[np.int64]
    names: int
    choices: NDArray[np.int64]
    item_share: NDArray[np.float64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row."""
        return np.fromiter((len(row) for row in self.rows), np.int64, len(self.rows))


def by_parts(lengths: NDArray[np.int64], run: Callable[[NDArray[np.intp]], Tensor], parts: int = 4) -> Tensor:
    """Return `run` of rows, in their order, in `parts` batches of like length: little is padded."""
    order = np.argsort(lengths, kind="stable")
    made = torch.cat([run(part) for part in np.array_split(order, parts)])
    return made[torch.from_numpy(np.argsort(order))]


@dataclass(frozen=True)
class Rates:
    """Learning rates: large for the student, small for the teacher, none for it without `interplay`."""

    student: float = 5e-4
    teacher: float = 3e-5
    head: float = 3e-4
    interplay: bool = True


def cross_distil(
    student: Student,
    teacher: Teacher,
    lesson: Lesson,
    steps: int,
    seed: int,
    rates: Rates = Rates(),
    requests: int = 64,
    general: int = 96,
    progress: Progress | None = None,
    save: Callable[[int], None] | None = None,
    precision: str = "auto",
) -> None:
    """Train student and teacher against public labels and each other; the head belongs to both.

    A step reads `requests` labelled requests, `general` other texts and all the names that may be asked for.
    With weights left out, L_S = CE + KL(p_T || p_S) + agreement(h_S, h_T) and L_T = CE + KL(p_S || p_T) +
    MSE(v_T, v_S) + distance(h_T, stock). `precision` is that of `fast_math`.
    """
    last = len(teacher.body.layers)
    top = teacher.body.layers[last - 1].requires_grad_(True)
    own = [p for p in student.parameters() if p is not student.head]
    learner = torch.optim.AdamW(own, lr=rates.student, weight_decay=0.01)
    groups = [{"params": list(top.parameters()), "factor": 1.0}]
    groups.append({"params": [student.head], "factor": rates.head / rates.teacher})
    guide = torch.optim.AdamW(groups, lr=rates.teacher, weight_decay=0.0)
    place = {int(item): index for index, item in enumerate(lesson.choices)}
    names = lesson.names + lesson.choices
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
    for step in range(steps):
        draw = generator(seed, Purpose.TRAINING, 10_000 + step)
        asked = draw.integers(0, len(lesson.request_items), requests)
        other = draw.integers(len(lesson.request_items), len(lesson.rows), general)
        chosen = np.concatenate([asked, other, names])
        roles = draw.random(len(chosen)) < lesson.item_share[chosen]
        roles[:requests], roles[requests + general :] = False, True
        label = torch.tensor([place[int(item)] for item in lesson.request_items[asked]])
        with torch.set_grad_enabled(rates.interplay), fast_math(precision):
            hidden = by_parts(lengths[chosen], partial(teach, chosen))
        with fast_math(precision):
            state = by_parts(lengths[chosen], partial(learn, chosen, roles))
        theirs = functional.normalize(hidden @ student.head, dim=-1)
        mine = functional.normalize(state @ student.head.detach(), dim=-1)
        own_choice = mine[:requests] @ mine[requests + general :].T / TEMPERATURE
        choice = theirs[:requests] @ theirs[requests + general :].T / TEMPERATURE
        loss = (
            0.3 * functional.cross_entropy(own_choice, label)
            + 0.5 * divergence(own_choice, choice.detach())
            + 4.0 * (agreement(state, hidden.detach()) + agreement(mine, theirs.detach()))
        )
        learner.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        set_rate(learner, rate(step, steps, rates.student))
        learner.step()
        if rates.interplay:
            keep = 1 - functional.cosine_similarity(hidden, lesson.stock[torch.from_numpy(chosen)]).mean()
            lesson_loss = (
                0.3 * functional.cross_entropy(choice, label)
                + 0.15 * divergence(choice, own_choice.detach())
                + 0.5 * ((theirs - mine.detach()) ** 2).sum(-1).mean()
                + 4.0 * keep
            )
            guide.zero_grad(set_to_none=True)
            lesson_loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*top.parameters(), student.head], 1.0)
            set_rate(guide, rate(step, steps, rates.teacher))
            guide.step()
        running = 0.95 * running + 0.05 * float(loss.detach()) if step else float(loss.detach())
        if progress is not None and step % 10 == 9:
            progress(step + 1, steps, running)
        if save is not None and (step + 1) % 100 == 0:
            save(step + 1)
    student.eval()
