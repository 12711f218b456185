"""The server's models of a release in several sizes: a student and a teacher for each, one set of targets.

The sizes lie in one space, so what phones of all sizes teach is taught to each student. Each has the teacher
that it was distilled beside. A state holds each size's under a prefix of its own.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import joined
from fedbert.ei_bert.model.tokenizer import Role

if TYPE_CHECKING:
    from fedbert.ei_bert.teaching.model_state import ModelState
    from fedbert.ei_bert.teaching.server_models import ServerModels


class SizedModels:
    """Several `ServerModels`, from large to small, used as one; `shares` [size] of the fleet add up to 1."""

    def __init__(self, sizes: "Sequence[ServerModels]", shares: Sequence[float]) -> None:
        self._sizes, self._shares = tuple(sizes), tuple(shares)
        self.start: ModelState = _whole([each.start for each in self._sizes])

    @property
    def dim(self) -> int:
        """Width of the shared space."""
        return self._sizes[0].dim

    def update(
        self,
        state: "ModelState",
        round_: int,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        steps: int = 8,
    ) -> "tuple[ModelState, float]":
        """Return the state in which every student has learnt, and the mean of their losses by `shares`."""
        after, loss = [], 0.0
        for place, models in enumerate(self._sizes):
            learnt, own = models.update(_part(state, place), round_, targets, weights, steps)
            after.append(learnt)
            loss += self._shares[place] * own
        return _whole(after), loss

    def export(self, state: "ModelState") -> Artefact:
        """Return the students as one release."""
        return joined([models.export(_part(state, place)) for place, models in enumerate(self._sizes)])

    def student_vectors(
        self, state: "ModelState", texts: Sequence[str], role: Role = "text"
    ) -> NDArray[np.float32]:
        """Return the largest float student's vectors of `texts`, `[text, dim]`."""
        return self._sizes[0].student_vectors(_part(state, 0), texts, role)

    def teacher_vectors(
        self, state: "ModelState", texts: Sequence[str], role: Role = "text"
    ) -> NDArray[np.float32]:
        """Return the vectors of `texts` by the largest student's teacher, `[text, dim]`."""
        return self._sizes[0].teacher_vectors(_part(state, 0), texts, role)


def sized(sizes: "Sequence[ServerModels]", shares: Sequence[float]) -> Any:
    """Return models of several sizes as one; a single size is what it is."""
    return SizedModels(sizes, shares) if len(sizes) > 1 else sizes[0]


def _whole(parts: "Sequence[ModelState]") -> "ModelState":
    return {f"{place}/{name}": array for place, part in enumerate(parts) for name, array in part.items()}


def _part(state: "ModelState", place: int) -> "ModelState":
    prefix = f"{place}/"
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
