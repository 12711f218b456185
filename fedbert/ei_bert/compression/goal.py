"""What a compression is for: the pipeline asks a `Goal` for everything that two goals do differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.compression.plan import Plan
from fedbert.ei_bert.compression.stages import Done
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher
from fedbert.ei_bert.teaching.progress import TaskProgress
from fedbert.ei_bert.teaching.teacher import Teacher


@dataclass(frozen=True)
class Pool:
    """The texts of the pre-distillation, and how often, 0..1, each is read as an item, `[text]`."""

    texts: Sequence[str]
    item_share: NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """A pool, the teacher's vector of each text, float16 `[text, teacher width]`, and their stage."""

    pool: Pool
    vectors: Tensor
    done: Done


@dataclass(frozen=True)
class Trained:
    """A float student with its vocabulary, its tasks' heads (on states of the teacher's width) and the stage
    that made it.
    """

    student: Student
    vocabulary: tuple[str, ...]
    heads: nn.ModuleDict
    done: Done


class Goal(Protocol):
    """One purpose of a student: its texts, its start, its files. What it learns last is the goal's own."""

    @property
    def plan(self) -> Plan:
        """Everything that shapes the student and its training."""

    @property
    def teacher(self) -> Teacher | OutsideTeacher:
        """The teacher as published, or its vectors."""

    @property
    def manifest_room_bytes(self) -> int:
        """Bytes kept free when the vocabulary is fitted: the manifest, and what training adds to the file."""

    @property
    def token_bytes(self) -> int:
        """About what one more token takes in the files."""

    def key(self) -> dict[str, Any]:
        """Return what identifies teacher and data."""

    def texts(self) -> list[str]:
        """Return the texts as they are; the vocabulary can spell each of them."""

    def checks(self) -> Sequence[str]:
        """Return the texts by which the vocabulary is judged."""

    def ranked(self) -> tuple[list[str], list[float] | None]:
        """Return the texts that rank the tokens, and their weights (None: 1)."""

    def ranked_key(self) -> Mapping[str, Any]:
        """Return the settings on which the weights depend; empty if there are none."""

    def pool(self, importance: NDArray[np.float64]) -> Pool:
        """Return what the pre-distillation reads, given the importance of the teacher's tokens."""

    def pool_key(self) -> Mapping[str, Any]:
        """Return the settings on which the pool depends."""

    def targets(self, texts: Sequence[str], progress: TaskProgress) -> Tensor:
        """Return the teacher's vectors of `texts`, float16 `[text, teacher width]`."""

    def shape(self, vocabulary: int) -> StudentShape:
        """Return the student's shape with so many tokens."""

    def head(self, targets: Targets | None) -> nn.Parameter:
        """Return the head that the student starts with; without targets one of the same size."""

    def sized(self, student: Student, vocabulary: tuple[str, ...]) -> Artefact:
        """Return the student's files as far as their size goes: what there is to fit into the budget."""
