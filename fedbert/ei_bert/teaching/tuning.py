"""Fine-tuning of the teacher: its upper layers and one linear head for each task, all tasks together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import device_of, fast_math, mean_pool
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import (
    CLIP_NORM,
    SHOWN_EVERY,
    UNWATCHED,
    WEIGHT_DECAY,
    Hooks,
    batches,
    rate,
    set_rate,
)
from fedbert.ei_bert.teaching.progress import Running
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.teacher import Teacher, sorted_batches
from fedbert.randomness import Purpose, generator

# A teacher that is less sure of its labels has more to say about the others, from which a student learns.
_SMOOTHING = 0.05
_READ_TOKENS = 2_048


@dataclass(frozen=True)
class Tuning:
    """How a teacher is tuned: `epochs` over all texts, the upper `trained_layers`, and the learning rates.

    Heads start at random and learn at `head_rate`; the layers know the language already and learn at
    `top_rate`. `precision` is that of `fast_math`.
    """

    seed: int = 0
    epochs: int = 3
    trained_layers: int = 4
    top_rate: float = 6e-5
    head_rate: float = 2e-3
    batch_tokens: int = 640
    precision: str = "auto"


class Heads(nn.ModuleDict):
    """One linear head for each task, on a vector of `width` features."""

    def __init__(self, tasks: Sequence[Task], width: int) -> None:
        super().__init__({task.name: nn.Linear(width, len(task.labels)) for task in tasks})


def joined(tasks: Sequence[Task]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the training texts of all tasks, and the task and the label of each, `[text]`."""
    texts = [text for task in tasks for text in task.train.texts]
    which = np.repeat(np.arange(len(tasks)), [len(task.train) for task in tasks])
    return texts, which, np.concatenate([task.train.labels for task in tasks])


def choice_loss(
    heads: Heads, names: Sequence[str], state: Tensor, which: Tensor, label: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, int]:
    """Return (mean cross-entropy of `state` `[row, width]`, each row by the head of its own task; how many
    rows have their label's logit highest).
    """
    total, right = state.new_zeros(()), 0
    for index, name in enumerate(names):
        rows = which == index
        if bool(rows.any()):
            logits = heads[name](state[rows])
            total = total + functional.cross_entropy(
                logits, label[rows], reduction="sum", label_smoothing=smoothing
            )
            right += int((logits.argmax(-1) == label[rows]).sum())
    return total / len(which), right


def fine_tune(
    teacher: Teacher, tasks: Sequence[Task], tuning: Tuning = Tuning(), hooks: Hooks = UNWATCHED
) -> Heads:
    """Tune the upper layers of `teacher` in place and return its heads.

    The layers below stay as they were, and their outputs are computed once a text. AdamW with a linear rise
    and a cosine fall; label smoothing .05. A stopped tuning that goes on from `hooks.load` ends as an
    unbroken one.
    """
    texts, which, label = joined(tasks)
    names = [task.name for task in tasks]
    body, depth = teacher.body, len(teacher.body.layers)
    trained_layers = min(tuning.trained_layers, depth)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tuning.seed)
        heads = Heads(tasks, teacher.width).to(device_of(body))
    for head in heads.values():
        nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    rows = teacher.tokens.rows(texts)
    first = depth - trained_layers
    cached = CachedLayers(body, rows, first)
    upper = [p for layer in list(body.layers)[first:] for p in layer.parameters()]
    for parameter in upper:
        parameter.requires_grad_(True)
    groups = [
        {"params": upper, "factor": 1.0, "weight_decay": WEIGHT_DECAY},
        {
            "params": list(heads.parameters()),
            "factor": tuning.head_rate / tuning.top_rate,
            "weight_decay": 0.0,
        },
    ]
    optimiser = torch.optim.AdamW(groups, lr=tuning.top_rate)
    draws = [
        generator(tuning.seed, Purpose.TRAINING, streams.TUNING_EPOCH + epoch)
        for epoch in range(tuning.epochs)
    ]
    orders = [list(batches(rows, tuning.batch_tokens, draw)) for draw in draws]
    steps, step, running = sum(map(len, orders)), 0, Running()
    parts = {"layers": nn.ModuleList(list(body.layers)[first:]), "heads": heads, "optimiser": optimiser}
    hooks.restore(parts)
    for order in orders:
        for chosen in order:
            if step < hooks.begun:
                cached.know(chosen)
                step += 1
                continue
            x, ids = cached.get(chosen)
            own, labels = (torch.from_numpy(part[chosen]).to(x.device) for part in (which, label))
            with fast_math(tuning.precision):
                state = mean_pool(body.run(x, ids, first, depth), ids)
            loss, right = choice_loss(heads, names, state, own, labels, _SMOOTHING)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(upper, CLIP_NORM)
            set_rate(optimiser, rate(step, steps, tuning.top_rate))
            optimiser.step()
            step += 1
            running.add(float(loss.detach()), right, len(chosen))
            if hooks.progress is not None and (step % SHOWN_EVERY == 0 or step == steps):
                hooks.progress(step, steps, running.loss, running.accuracy)
            hooks.keep(step, steps, parts)
    body.requires_grad_(False)
    return heads.cpu().requires_grad_(False)


def pooled_states(
    teacher: Teacher, texts: Sequence[str], batch_tokens: int = _READ_TOKENS, precision: str = "auto"
) -> Tensor:
    """Return the teacher's mean-pooled last hidden states of `texts`, `[text, width]`, not normalised.

    `precision` is that of `fast_math`.
    """
    return pooled_rows(teacher, teacher.tokens.rows(texts), batch_tokens, precision)


def pooled_rows(
    teacher: Teacher, rows: Sequence[list[int]], batch_tokens: int = _READ_TOKENS, precision: str = "auto"
) -> Tensor:
    """Return `pooled_states` of rows of the teacher's tokens."""
    out = torch.empty(len(rows), teacher.width)
    device = device_of(teacher.body)
    with torch.inference_mode(), fast_math(precision):
        for chosen, ids in sorted_batches(rows, batch_tokens):
            there = ids.to(device)
            out[torch.from_numpy(chosen)] = mean_pool(teacher.body(there), there).cpu()
    return out


def accuracy(head: nn.Module, states: Tensor, labels: NDArray[np.int64]) -> float:
    """Return the share of `states` `[text, width]` whose highest logit is their label."""
    with torch.inference_mode():
        return float((head(states).argmax(-1).numpy() == labels).mean())
