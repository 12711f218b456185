"""A student of classification tasks: one encoder for all of them, and a head of a few kB for each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.artefact.heads import fit_head, head_bytes, quantise_head
from fedbert.ei_bert.compression.goal import Pool, Targets, Trained
from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.compression.pooled_student import no_head, pooled_shape, teacher_states
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.compression.token_pruning import teacher_rows
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.progress import TaskProgress
from fedbert.ei_bert.teaching.task_distillation import (
    TaskLesson,
    folded,
    student_accuracy,
    student_states,
)
from fedbert.ei_bert.teaching.tasks import SPLITS, Task
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import Heads, joined
from fedbert.errors import FedbertError

SEED = 0
"""Decides the teacher's tuning and the texts that are made: all seeds of a student share them."""
# Activation ranges settle with some hundred texts; each one costs a pass for every size that is tried.
_CALIBRATION_TEXTS = 512
# One penalty for all: the probe compares students, so nothing else may differ.
_PROBE_STRENGTH = 0.03
_NO_TASK = _NO_LABEL = -1


@dataclass(frozen=True)
class Inputs:
    """What a compression starts from. `sentences` are general texts, `sources` the hashes of their files."""

    teacher: Teacher
    tasks: tuple[Task, ...]
    sentences: tuple[str, ...]
    sources: Mapping[str, str]

    def key(self) -> dict[str, Any]:
        """Return what identifies the inputs."""
        tasks = {task.name: task.sha256 for task in self.tasks}
        return {"teacher": self.teacher.sha256, "tasks": tasks, "sentences": dict(self.sources)}


@dataclass(frozen=True)
class TasksGoal:
    """The goal of tasks; see `goal.Goal` for the methods that are not explained here."""

    inputs: Inputs
    plan: TaskPlan
    manifest_room_bytes: int = 6_000
    token_bytes: int = 100
    """Less than a token of the largest preset takes: one round of trimming is then mostly enough."""

    def __post_init__(self) -> None:
        """Say what the precision comes to; raises FedbertError without a task."""
        if not self.inputs.tasks:
            raise FedbertError("data must name at least one file of text,label[,split]")
        object.__setattr__(self, "plan", self.plan.decided())

    @property
    def teacher(self) -> Teacher:
        """The teacher as published."""
        return self.inputs.teacher

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that the student learns."""
        return self.inputs.tasks

    def key(self) -> dict[str, Any]:
        """Return what identifies teacher and data."""
        return self.inputs.key()

    # --- texts ---

    def _test_texts(self) -> list[str]:
        """Return the test texts of all tasks: no text that is made may be one."""
        return [text for task in self.tasks for text in task.test.texts]

    def texts(self) -> list[str]:
        """Return training texts of all tasks, then general sentences."""
        return [*joined(self.tasks)[0], *self.inputs.sentences]

    def checks(self) -> Sequence[str]:
        """Return the same: test texts are for the end alone."""
        return self.texts()

    def ranked(self) -> tuple[list[str], list[float] | None]:
        """Return all texts; those of tasks have the plan's weight, general sentences 1."""
        texts, weight = self.texts(), self.plan.task_weight
        general = len(self.inputs.sentences)
        if weight == 1:
            return texts, None
        return texts, [weight] * (len(texts) - general) + [1.0] * general

    def ranked_key(self) -> Mapping[str, Any]:
        """Return the weight of the tasks' texts, if they have one."""
        return {} if self.plan.task_weight == 1 else {"task_weight": self.plan.task_weight}

    def pool(self, importance: NDArray[np.float64]) -> Pool:
        """Return training texts, general sentences, and texts made of both; like mixes with like alone."""
        basis = self.texts()
        groups = np.concatenate([joined(self.tasks)[1], np.full(len(self.inputs.sentences), _NO_TASK)])
        whole = [*basis, *remixed(basis, groups, self.plan.remixed_texts, SEED, never=self._test_texts())[0]]
        return Pool(whole, np.zeros(len(whole)))

    def pool_key(self) -> Mapping[str, Any]:
        """Return how many texts are made, and that none is a test text."""
        return {"remixed": self.plan.remixed_texts, "without_test": True}

    @cached_property
    def task_texts(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """What the cross-distillation reads, with the task and label (-1 for none) of each text.

        First come the training texts, then texts made of them. General sentences are left out, since no head
        has a say on them.
        """
        texts, task, label = joined(self.tasks)
        near = neighbours(self.teacher, texts)
        made, source = remixed(texts, task, self.plan.cross_texts, SEED, near, self._test_texts())
        unknown = np.full(len(made), _NO_LABEL)
        return [*texts, *made], np.concatenate([task, task[source]]), np.concatenate([label, unknown])

    def lesson(
        self, vocabulary: tuple[str, ...], states: Sequence[Tensor], labelled_only: bool = False
    ) -> TaskLesson:
        """Return the texts of the cross-distillation with what is known of each, `states` by teacher."""
        texts, task, label = self.task_texts
        count = len(joined(self.tasks)[0]) if labelled_only else len(texts)
        return TaskLesson(
            rows=self.teacher.tokens_of(vocabulary).rows(texts[:count]),
            task=task[:count],
            label=label[:count],
            states=tuple(part[:count] for part in states),
            teacher_ids=teacher_rows(self.teacher.vocabulary, vocabulary),
        )

    # --- start ---

    def targets(self, texts: Sequence[str], progress: TaskProgress) -> Tensor:
        """Return the published teacher's pooled states."""
        return self.states(self.teacher, texts, progress)

    def states(self, teacher: Teacher, texts: Sequence[str], progress: TaskProgress) -> Tensor:
        """Return a teacher's pooled states of `texts`, float16 `[text, width]`."""
        return teacher_states(teacher, texts, self.plan.precision, progress)

    def shape(self, vocabulary: int) -> StudentShape:
        """Return the shape of a student that gives pooled states to plug-in heads."""
        return pooled_shape(self.plan.architecture, vocabulary, self.teacher.width)

    def head(self, targets: Targets | None) -> nn.Parameter:
        """Return no head: each task plugs in its own."""
        return no_head(self.teacher.width)

    # --- files ---

    def quantisation(self) -> Quantisation:
        """Return the plan's numbers of bits."""
        return Quantisation(embedding_bits=self.plan.embedding_bits, weight_bits=self.plan.weight_bits)

    def sized(self, student: Student, vocabulary: tuple[str, ...]) -> Artefact:
        """Return the files of `student` with new heads, which take as much as trained ones."""
        return self._artefact(student, vocabulary, None, {}, self.quantisation())

    def artefact(
        self, trained: Trained, manifest: Mapping[str, Any], quantisation: Quantisation | None = None
    ) -> Artefact:
        """Return the files of a trained student, by default in the plan's quantisation."""
        chosen = quantisation or self.quantisation()
        return self._artefact(trained.student, trained.vocabulary, trained.heads, manifest, chosen)

    def _artefact(
        self,
        student: Student,
        vocabulary: tuple[str, ...],
        heads: nn.ModuleDict | None,
        manifest: Mapping[str, Any],
        quantisation: Quantisation,
    ) -> Artefact:
        texts = joined(self.tasks)[0]
        some = texts[:: max(len(texts) // _CALIBRATION_TEXTS, 1)]
        rows = self.teacher.tokens_of(vocabulary).rows(some)
        ranges = calibrate(student, [torch.from_numpy(padded(rows))])
        model = onnx_bytes(student, ranges, quantisation=quantisation)
        files = {}
        for task in self.tasks:
            linear = heads[task.name] if heads else nn.Linear(self.teacher.width, len(task.labels))
            weight, bias = folded(student, cast(nn.Linear, linear))
            head = quantise_head(weight.detach().numpy(), bias.detach().numpy(), task.labels, task.name)
            files[task.name] = head_bytes(head)
        rules = asdict(self.teacher.rules)
        whole = {"shape": student.shape.as_dict(), "text_rules": rules, **manifest}
        return build_artefact(model, vocabulary, whole, heads=files)

    # --- scores ---

    def float_accuracy(self, trained: Trained) -> dict[str, dict[str, float]]:
        """Return the float student's accuracy by split (validation, if there is any, and test) and task."""
        tokens = self.teacher.tokens_of(trained.vocabulary)
        out: dict[str, dict[str, float]] = {}
        for split in SPLITS[1:]:
            for task in self.tasks:
                if len(part := task.part(split)):
                    head = trained.heads[task.name]
                    found = student_accuracy(trained.student, tokens, head, part)
                    out.setdefault(split, {})[task.name] = found
        return out

    def probed(self, trained: Trained) -> Heads:
        """Return heads fitted on the frozen states of a student that knows no task: what pre-distillation is
        worth.
        """
        tokens = self.teacher.tokens_of(trained.vocabulary)
        heads = Heads(self.tasks, self.teacher.width)
        for task in self.tasks:
            states = student_states(trained.student, tokens, task.train.texts).numpy()
            fitted = fit_head(
                states, task.train.labels, task.labels, task.name, SEED, strength=_PROBE_STRENGTH
            )
            head = cast(nn.Linear, heads[task.name])
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy((fitted.weight * fitted.scale).T))
                head.bias.copy_(torch.from_numpy(fitted.bias))
        return heads.requires_grad_(False)
