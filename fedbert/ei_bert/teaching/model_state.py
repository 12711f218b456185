"""What a server's models learn, as a value: weights and Adam's moments go out, and come back in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam

from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError

ModelState = Mapping[str, NDArray[np.float32]]
"""The weights that learn and Adam's two moments and step of each, by name."""

# The adapter belongs to items alone and may run; what texts pass as well follows at a thirtieth.
_SHARED_FACTOR = 0.03
# A second moment over about 50 steps, not Adam's 1,000: a round has 8, and the signal changes with rounds.
_BETAS = (0.9, 0.98)
_EPSILON = 1e-8
# One odd cohort must not move a model far. Larger than in a training: a few steps have to do a round's work.
_CLIP_NORM = 5.0


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of an update. Users' words move the student at once.

    A teacher that learns, at a hundredth of that, costs two fifths of an update, and the student is no better
    for it (docs/benchmarks.md): with 0 it stays as it is, and so does the head that both share.
    """

    student: float = 3e-3
    teacher: float = 0.0


TEACHER_STAYS = LearningRates()
"""The rates of a run unless it says others."""


@dataclass(frozen=True)
class _Slot:
    """A weight that learns, by name, at `factor` times its model's rate, and Adam's memory of it."""

    name: str
    weight: nn.Parameter
    factor: float
    moments: Mapping[str, Tensor]

    def parts(self) -> dict[str, Tensor]:
        """Return all that a state keeps of it, by name."""
        kept = {f"{self.name}#{key}": value for key, value in self.moments.items()}
        return {self.name: self.weight.detach(), **kept}


class Learning:
    """The part of student and teacher that learns, with Adam for each.

    Only what lies above the cached layers learns: the top layer of each, the student's projection and
    adapter, and the head that both share. It is the teacher's parameter.
    """

    def __init__(self, student: Student, teacher: Teacher, rates: LearningRates) -> None:
        top, upper = student.body.layers[-1], teacher.body.layers[-1]
        self.rates, self._head = rates, student.head
        slow = [*top.parameters(), *student.project.parameters()]
        fast = [*student.adapter_in.parameters(), *student.adapter_out.parameters()]
        names = {value: f"student.{name}" for name, value in student.named_parameters()}
        names |= {value: f"teacher.{name}" for name, value in teacher.body.named_parameters()}
        student.requires_grad_(False)
        teacher.body.requires_grad_(False)
        self._student = [
            *(_slot(names[weight], weight) for weight in fast),
            *(_slot(names[weight], weight, _SHARED_FACTOR) for weight in slow),
        ]
        taught = [*upper.parameters(), student.head] if rates.teacher else []
        self._teacher = [_slot(names[weight], weight) for weight in taught]
        self._held: ModelState | None = None

    @property
    def teaches(self) -> bool:
        """Whether the teacher learns."""
        return bool(self._teacher)

    def _all(self) -> dict[str, Tensor]:
        """Return weights and Adam's moments, by name."""
        return {
            name: value for slot in (*self._student, *self._teacher) for name, value in slot.parts().items()
        }

    def take(self) -> ModelState:
        """Return a copy of all that learns."""
        self._held = {name: value.numpy().copy() for name, value in self._all().items()}
        return self._held

    def put(self, state: ModelState) -> None:
        """Make `state` the one that is held here; raises FedbertError if it is of other models."""
        if state is self._held:
            return
        with torch.no_grad():
            for name, value in self._all().items():
                given = state.get(name)
                if given is None or given.shape != tuple(value.shape):
                    raise FedbertError(f"model state: {name} is missing or of another shape")
                value.copy_(torch.from_numpy(np.array(given)))
        self._held = state

    def begin(self) -> None:
        """Begin an update; `take` ends it."""
        self._held = None  # until the update is whole: what is held is neither the old state nor the new

    def step(self, student_loss: Tensor, held_loss: Tensor, teacher_loss: Tensor | None) -> None:
        """Do one step of each model that learns, by its own loss.

        The head learns by the teacher's loss, and by `held_loss` on the student's anchors: it is a factor of
        both models' vectors, so texts must hold in either.
        """
        grads = torch.autograd.grad(student_loss, _weights(self._student), retain_graph=self.teaches)
        taught: list[Tensor] = []
        if teacher_loss is not None:
            head_grad = torch.autograd.grad(held_loss, self._head, retain_graph=True)[0]
            found = torch.autograd.grad(teacher_loss, _weights(self._teacher))
            taught = [
                grad + head_grad if slot.weight is self._head else grad
                for slot, grad in zip(self._teacher, found, strict=True)
            ]
        _adam(self._student, grads, self.rates.student)
        _adam(self._teacher, taught, self.rates.teacher)


def _slot(name: str, weight: nn.Parameter, factor: float = 1.0) -> _Slot:
    weight.requires_grad_(True)
    # What Adam itself makes at its first step.
    start = {key: torch.zeros_like(weight) for key in ("exp_avg", "exp_avg_sq")}
    return _Slot(name, weight, factor, {"step": torch.tensor(0.0), **start})


def _weights(slots: Sequence[_Slot]) -> list[nn.Parameter]:
    return [slot.weight for slot in slots]


def _adam(slots: Sequence[_Slot], grads: Sequence[Tensor], rate: float) -> None:
    """Do a step of Adam with clipped gradients, in torch's own function of it.

    Not by `torch.optim.Adam`, whose first use imports torch's compiler, a second of every run.
    """
    for slot, grad in zip(slots, grads, strict=True):
        slot.weight.grad = grad
    torch.nn.utils.clip_grad_norm_(_weights(slots), _CLIP_NORM)  # it scales them where they are
    with torch.no_grad():
        for slot, grad in zip(slots, grads, strict=True):
            adam(
                [slot.weight],
                [grad],
                [slot.moments["exp_avg"]],
                [slot.moments["exp_avg_sq"]],
                [],
                [slot.moments["step"]],
                foreach=False,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=rate * slot.factor,
                weight_decay=0.0,
                eps=_EPSILON,
                maximize=False,
            )
