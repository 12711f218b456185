"""What a server's models learn, as a value: weights and Adam's moments go out, and come back in."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.teaching.course import set_rate
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError

ModelState = Mapping[str, NDArray[np.float32]]
"""The weights that learn and Adam's two moments and step of each, by name."""

STUDENT_RATE, TEACHER_RATE = 3e-3, 3e-5
"""Learning rates of an update. Users' words move the student at once; the teacher, which holds what is known
of the language, a hundredth as fast.
"""
# The adapter belongs to items alone and may run; what texts pass as well follows at a thirtieth.
_SHARED_FACTOR = 0.03
# A second moment over about 50 steps, not Adam's 1,000: a round has 8, and the signal changes with rounds.
_BETAS = (0.9, 0.98)
# One odd cohort must not move a model far. Larger than in a training: a few steps have to do a round's work.
_CLIP_NORM = 5.0


class Learning:
    """The part of student and teacher that learns, with an optimiser for each.

    Only what lies above the cached layers learns: the top layer of each, the student's projection and
    adapter, and the head that both share. It is the teacher's parameter.
    """

    def __init__(self, student: Student, teacher: Teacher) -> None:
        top, upper = student.body.layers[-1], teacher.body.layers[-1]
        student.requires_grad_(False)
        for module in (top, student.project, student.adapter_in, student.adapter_out, upper):
            module.requires_grad_(True)
        student.head.requires_grad_(True)
        slow = [*top.parameters(), *student.project.parameters()]
        fast = [*student.adapter_in.parameters(), *student.adapter_out.parameters()]
        groups = [{"params": fast, "factor": 1.0}, {"params": slow, "factor": _SHARED_FACTOR}]
        self._student = torch.optim.Adam(groups, lr=STUDENT_RATE, betas=_BETAS)
        self._teacher = torch.optim.Adam([*upper.parameters(), student.head], lr=TEACHER_RATE, betas=_BETAS)
        self._head = student.head
        self._names = {value: f"student.{name}" for name, value in student.named_parameters()}
        self._names |= {value: f"teacher.{name}" for name, value in teacher.body.named_parameters()}
        self._held: ModelState | None = None

    def _all(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield (name, weights and Adam's moments of them); moments are made if missing."""
        for optimiser in (self._student, self._teacher):
            for parameter in _parameters(optimiser):
                moments = optimiser.state[parameter]
                if not moments:
                    # What Adam itself makes at its first step.
                    moments["step"] = torch.tensor(0.0)
                    moments["exp_avg"] = torch.zeros_like(parameter)
                    moments["exp_avg_sq"] = torch.zeros_like(parameter)
                parts = {f"#{key}": value for key, value in moments.items()}
                yield self._names[parameter], {"": parameter.detach(), **parts}

    def take(self) -> ModelState:
        """Return a copy of all that learns."""
        self._held = {
            name + key: value.numpy().copy() for name, parts in self._all() for key, value in parts.items()
        }
        return self._held

    def put(self, state: ModelState) -> None:
        """Make `state` the one that is held here; raises FedbertError if it is of other models."""
        if state is self._held:
            return
        with torch.no_grad():
            for name, parts in self._all():
                for key, value in parts.items():
                    given = state.get(name + key)
                    if given is None or given.shape != tuple(value.shape):
                        raise FedbertError(f"model state: {name + key} is missing or of another shape")
                    value.copy_(torch.from_numpy(np.array(given)))
        self._held = state

    def begin(self, student_rate: float, teacher_rate: float) -> None:
        """Begin an update with these learning rates; `take` ends it."""
        self._held = None  # until the update is whole: what is held is neither the old state nor the new
        set_rate(self._student, student_rate)
        set_rate(self._teacher, teacher_rate)

    def step(self, student_loss: Tensor, teacher_loss: Tensor, held_loss: Tensor) -> None:
        """Do one step of both optimisers, each model by its own loss.

        The head learns by the teacher's loss, and by `held_loss` on the student's anchors: it is a factor of
        both models' vectors, so texts must hold in either.
        """
        student, teacher = _parameters(self._student), _parameters(self._teacher)
        student_grads = torch.autograd.grad(student_loss, student, retain_graph=True)
        head_grad = torch.autograd.grad(held_loss, self._head, retain_graph=True)[0]
        teacher_grads = torch.autograd.grad(teacher_loss, teacher)
        for parameter, grad in zip([*student, *teacher], [*student_grads, *teacher_grads], strict=True):
            parameter.grad = grad + head_grad if parameter is self._head else grad
        torch.nn.utils.clip_grad_norm_(student, _CLIP_NORM)
        torch.nn.utils.clip_grad_norm_(teacher, _CLIP_NORM)
        self._student.step()
        self._teacher.step()


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
