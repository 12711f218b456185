"""The losses of a batch of tasks' texts: against labels, a teacher's choices, its states and its layers."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fedbert.ei_bert.model.bert import Layer, attention_bias, mean_pool
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.teaching.cross_distillation import divergence
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import Heads

# A state of nothing has no norm to measure an error in.
_LEAST_NORM = 1e-6


class Terms:
    """The losses of one batch, in which each row belongs to one task or to none (-1)."""

    def __init__(self, names: Sequence[str], task: Tensor, label: Tensor, temperature: float) -> None:
        self.temperature, self.count = temperature, max(int((task >= 0).sum()), 1)
        self.names, self.rows = names, [torch.nonzero(task == index)[:, 0] for index in range(len(names))]
        self.labels = [label[rows] for rows in self.rows]

    def logits(self, heads: Heads, state: Tensor) -> list[Tensor]:
        """Return each task's logits of its own rows."""
        return [heads[name](state[rows]) for name, rows in zip(self.names, self.rows, strict=True)]

    def cross_entropy(self, logits: list[Tensor], smoothing: float = 0.0) -> Tensor:
        """Return the mean over all rows of a task; rows without a label (-1) count as 0.

        A share `smoothing`, 0..1, of each label counts for all of its task's labels alike.
        """
        parts = [
            functional.cross_entropy(part, label, reduction="sum", ignore_index=-1, label_smoothing=smoothing)
            for part, label in zip(logits, self.labels, strict=True)
            if len(part)
        ]
        return torch.stack(parts).sum() / self.count if parts else logits[0].sum()

    def right(self, logits: list[Tensor]) -> tuple[int, int]:
        """Return (how many rows have their label's logit highest, how many have a label)."""
        pairs = list(zip(logits, self.labels, strict=True))
        hits = [int((part.argmax(-1) == label).sum()) for part, label in pairs if len(part)]
        return sum(hits), sum(int((label >= 0).sum()) for _, label in pairs)

    def divergence(self, learner: list[Tensor], guide: list[Tensor]) -> Tensor:
        """Return temperature^2 KL(guide || learner) (Hinton et al. 2015), the mean over all rows of a
        task.
        """
        t = self.temperature
        parts = [
            divergence(mine / t, theirs / t) * len(mine)
            for mine, theirs in zip(learner, guide, strict=True)
            if len(mine)
        ]
        return t * t * torch.stack(parts).sum() / self.count if parts else learner[0].sum()


def relative_error(state: Tensor, goal: Tensor) -> Tensor:
    """Return the squared error of `state` `[row, width]` over the squared norm of `goal`, mean over rows."""
    return (((state - goal) ** 2).sum(-1) / (goal**2).sum(-1).clamp_min(_LEAST_NORM).detach()).mean()


def layer_maps(student: Student, teacher: Teacher, seed: int) -> nn.ModuleList:
    """Return new linear maps from the student's width to the teacher's, for embeddings and each layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = student.shape
        return nn.ModuleList(nn.Linear(shape.width, teacher.width) for _ in range(shape.layers + 1))


def layerwise(
    student: Student, body: nn.Module, maps: nn.ModuleList, ids: Tensor, teacher_ids: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Return (pooled state through the student's projection, TinyBERT's losses of embeddings, layers,
    attentions).

    Layer m of M looks at the teacher's layer m * N / M; attentions are compared as the mean over heads,
    since the two have different numbers of heads.
    """
    their_ids = torch.from_numpy(teacher_ids).to(ids.device)[ids.long()] * (ids != 0)
    mask = (ids != 0).float()
    bias, their_bias = attention_bias(ids), attention_bias(their_ids)
    count = mask.sum()
    with torch.no_grad():
        theirs, attentions = [body.embed(their_ids)], []  # type: ignore[operator]
        for layer in cast(nn.ModuleList, body.layers):
            attentions.append(cast(Layer, layer).attend(theirs[-1], their_bias)[1].mean(1))
            theirs.append(layer(theirs[-1], their_bias))
    depth, steps = len(student.body.layers), len(attentions)

    def far(x: Tensor, goal: Tensor) -> Tensor:
        error = ((x - goal) ** 2).mean(-1) / (goal**2).mean(-1).clamp_min(_LEAST_NORM)
        return (error * mask).sum() / count

    x = student.body.embed(ids)
    loss = far(maps[0](x), theirs[0])
    for index, layer in enumerate(student.body.layers):
        at = (index + 1) * steps // depth
        attention = cast(Layer, layer).attend(x, bias)[1].mean(1)
        error = ((attention - attentions[at - 1]) ** 2).sum(-1)
        loss = loss + (error * mask).sum() / count
        x = layer(x, bias)
        loss = loss + far(maps[index + 1](x), theirs[at])
    return student.finish(mean_pool(x, ids), ids[:, 0] == -1)[0], loss / (depth + 1)
