"""The stages that every compression has, whatever its goal; each has a folder of its own (`stages`).

1. token pruning, 2. the teacher's vectors of texts, 3. pre-distillation within the byte budget. Then the goal
teaches what it is for (`catalogue_goal`, `tasks_stages`), and what is over the budget is trimmed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.compression.goal import Goal, Targets, Trained
from fedbert.ei_bert.compression.stages import Done, load_tensors, run_stage, save_tensors
from fedbert.ei_bert.compression.token_pruning import (
    importance,
    pruned_vocabulary,
    smallest_size,
    spelling,
    teacher_rows,
)
from fedbert.ei_bert.compression.vocabulary_fit import check_budget, fit_vocabulary, trimmed
from fedbert.ei_bert.model.bert import best_device
from fedbert.ei_bert.model.student import Student, start_student
from fedbert.ei_bert.teaching.course import Course, Hooks
from fedbert.ei_bert.teaching.pretraining import Reading, pretrain
from fedbert.ei_bert.teaching.progress import Reporter, TaskProgress

_CHECKPOINT = "checkpoint.pt"
# Points of the loss curve that a report draws, and the most steps that a point may lie off its place.
_CURVE_POINTS, _CURVE_SLACK_STEPS = 50, 20
_CURVE_DIGITS = 5

G = TypeVar("G", bound=Goal)


class Pipeline(Generic[G]):
    """The stages of one goal; each method returns what its stage made, from its files if they are there."""

    def __init__(self, goal: G, work: Path, reporter: Reporter, threads: int = 2) -> None:
        torch.set_num_threads(threads)
        self.goal, self.work, self.reporter = goal, work, reporter
        self._earlier: dict[Path, Done] = {}

    def stage(self, name: str, key: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]) -> Done:
        """Return the stage `name`, see `run_stage`, and remember what it took if it was there before."""
        done = run_stage(self.work, name, key, make)
        self._earlier.setdefault(done.folder, done)
        return done

    def _reused(self) -> list[Done]:
        return [done for done in self._earlier.values() if done.reused]

    @property
    def reused_s(self) -> float:
        """Seconds that the stages took which were there before this run."""
        return sum(done.seconds for done in self._reused())

    @property
    def reused_cpu_s(self) -> float | None:
        """Their processor seconds; None if one of them was made before these were counted."""
        each = [done.cpu_seconds for done in self._reused()]
        return None if None in each else sum(found for found in each if found is not None)

    # --- 1. tokens ---

    def importance(self) -> tuple[NDArray[np.float64], Done]:
        """Stage 1: the importance of each of the teacher's tokens, `[teacher vocabulary]`."""
        self.reporter.stage("token pruning")
        how = self.goal.plan.pruning

        def make(folder: Path) -> Mapping[str, Any]:
            texts, weights = self.goal.ranked()
            found = importance(how, self.goal.teacher, texts, weights)
            with (folder / "importance.npy").open("wb") as handle:
                np.save(handle, found)
            return {"method": how, "texts": len(texts)}

        key = {**self.goal.key(), "method": how, **self.goal.ranked_key()}
        done = self.stage("tokens", key, make)
        return np.load(done.folder / "importance.npy"), done

    def kept(self, found: NDArray[np.float64], size: int) -> tuple[str, ...]:
        """Return the `size` tokens that are kept by the importance `found`."""
        teacher = self.goal.teacher
        return pruned_vocabulary(teacher.vocabulary, found, self.goal.texts(), size, teacher.rules)

    def vocabulary(self, found: NDArray[np.float64]) -> tuple[str, ...]:
        """Return the tokens that the budget has room for beside the student's layers."""
        limit = self.goal.plan.budget_bytes - self.goal.manifest_room_bytes
        size = fit_vocabulary(lambda size: self.kept(found, size), self._smallest(), self._used, limit)
        return self.kept(found, size)

    def check_budget(self, spare_bytes: int = 0) -> None:
        """Raise FedbertError, with a budget that would do, if not even characters fit; takes seconds.

        The goal's budget lacks `spare_bytes` of the whole one: they are for what is added later.
        """
        room = self.goal.manifest_room_bytes
        characters = self.kept(np.zeros(len(self.goal.teacher.vocabulary)), self._smallest())
        budget_bytes = self.goal.plan.budget_bytes
        check_budget(characters, lambda some: self._used(some) + room, budget_bytes, spare_bytes)

    def _smallest(self) -> int:
        teacher = self.goal.teacher
        return smallest_size(teacher.vocabulary, self.goal.texts(), teacher.rules)

    def _used(self, vocabulary: tuple[str, ...]) -> int:
        return self.goal.sized(self.new_student(vocabulary, 0), vocabulary).total_bytes

    # --- 2. the teacher's vectors ---

    def targets(self, found: NDArray[np.float64]) -> Targets:
        """Stage 2: the texts of the pre-distillation, and the published teacher's vector of each."""
        self.reporter.stage("teacher's vectors")
        pool = self.goal.pool(found)

        def make(folder: Path) -> Mapping[str, Any]:
            save_tensors(self.goal.targets(pool.texts, self.reporter.progress), folder / "vectors.pt")
            return {"texts": len(pool.texts)}

        key = {**self.goal.key(), **self.goal.pool_key(), "precision": self.goal.plan.precision}
        done = self.stage("vectors", key, make)
        return Targets(pool, load_tensors(done.folder / "vectors.pt"), done)

    # --- 3. pre-distillation ---

    def new_student(self, vocabulary: tuple[str, ...], seed: int, targets: Targets | None = None) -> Student:
        """Return an untrained student of the goal's shape with the teacher's word embeddings."""
        teacher = self.goal.teacher
        rows = torch.from_numpy(teacher_rows(teacher.vocabulary, vocabulary))
        shape, head = self.goal.shape(len(vocabulary)), self.goal.head(targets)
        return start_student(shape, teacher.word_vectors()[rows], head, seed).eval()

    def pretrain(self, found: tuple[NDArray[np.float64], Done], targets: Targets, seed: int) -> Trained:
        """Stage 3: the student learns the published teacher's vectors; it knows no task yet."""
        plan = self.goal.plan
        self.reporter.stage("pre-distillation")
        key = {
            **self.goal.key(),
            "tokens": found[1].sha256,
            "vectors": targets.done.sha256,
            # The vocabulary follows from the rest: without its size the shape is the architecture.
            "shape": self.goal.shape(0).as_dict(),
            "budget": plan.budget_bytes,
            "bits": [plan.embedding_bits, plan.weight_bits],
            "steps": plan.pretrain_steps,
            "rate": plan.pretrain_rate,
            "seed": seed,
            "precision": plan.precision,
        }

        def make(folder: Path) -> Mapping[str, Any]:
            vocabulary = self.vocabulary(found[0])
            student = self.new_student(vocabulary, seed, targets).to(best_device())
            rows = self.goal.teacher.tokens_of(vocabulary).rows(targets.pool.texts)
            reading = Reading(rows, targets.vectors.float(), targets.pool.item_share)
            course = Course(plan.pretrain_steps, seed, plan.precision)
            curve = Curve(self.reporter)
            pretrain(student, reading, course, plan.pretrain_rate, checkpointed(folder, curve.progress))
            save_tensors(student.cpu().state_dict(), folder / "student.pt")
            (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
            unknown, mean = spelling(vocabulary, self.goal.checks(), self.goal.teacher.rules)
            sizes = {"vocabulary": len(vocabulary), "unknown_share": unknown, "tokens_per_text": mean}
            return {**sizes, "losses": curve.points}

        done = self.stage("predistilled", key, make)
        vocabulary = tuple((done.folder / "vocab.txt").read_text("utf-8").splitlines())
        student = self.new_student(vocabulary, seed)
        student.load_state_dict(load_tensors(done.folder / "student.pt"))
        self.reporter.result(
            "vocabulary",
            f"{len(vocabulary)} tokens, {done.record['unknown_share']:.2%} [UNK], "
            f"{done.record['tokens_per_text']:.1f} tokens per text",
        )
        return Trained(student, vocabulary, nn.ModuleDict(), done)

    # --- the budget, once trained ---

    def fitted(
        self,
        trained: Trained,
        found: NDArray[np.float64],
        build: Callable[[Trained], Artefact],
        limit_bytes: int,
    ) -> tuple[Trained, Artefact]:
        """Return the student, and what `build` makes of it, within `limit_bytes`: the tokens of least
        importance `found` go.

        A new student's file is smaller than a trained one's: its biases are equal, and equal constants are
        stored once. So the size is settled on the trained one.
        """
        artefact = build(trained)
        while (over := artefact.total_bytes - limit_bytes) > 0:
            kept = self.kept(found, len(trained.vocabulary) - (over // self.goal.token_bytes + 1))
            student = trimmed(trained.student, trained.vocabulary, kept)
            trained = Trained(student, kept, trained.heads, trained.done)
            artefact = build(trained)
            self.reporter.result("trimmed vocabulary", f"{len(kept)} tokens")
        return trained, artefact


class Curve:
    """Passes progress on and keeps some points of the loss."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.points: list[list[float]] = []

    def progress(self, done: int, total: int, loss: float, accuracy: float | None = None) -> None:
        """Show and keep one point."""
        self._reporter.progress(done, total, loss, accuracy)
        if done % max(total // _CURVE_POINTS, 1) < _CURVE_SLACK_STEPS or done == total:
            self.points.append([done, round(loss, _CURVE_DIGITS)])


def checkpointed(folder: Path, progress: TaskProgress, every: int | None = None) -> Hooks:
    """Return the hooks of a training that shows its progress, and goes on from a checkpoint in `folder`.

    One is written every `every` steps, as `Hooks` says.
    """
    file = folder / _CHECKPOINT
    return Hooks(
        progress,
        save=lambda _, state: save_tensors(state, file),
        load=load_tensors(file) if file.is_file() else None,
        every=every,
    )
