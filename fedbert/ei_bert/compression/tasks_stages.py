"""The stages of a compression for tasks alone: the teacher's tuning, its states, and cross-distillation."""

import copy
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedbert.ei_bert.compression.goal import Trained
from fedbert.ei_bert.compression.pipeline import Curve, Pipeline, checkpointed
from fedbert.ei_bert.compression.stages import Done, load_tensors, save_tensors
from fedbert.ei_bert.compression.tasks_goal import SEED, TasksGoal
from fedbert.ei_bert.compression.token_pruning import teacher_rows
from fedbert.ei_bert.model.bert import best_device
from fedbert.ei_bert.model.student import facing
from fedbert.ei_bert.teaching.course import Course
from fedbert.ei_bert.teaching.methods import Method
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.task_distillation import Rates, distil
from fedbert.ei_bert.teaching.tasks import SPLITS
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.ei_bert.teaching.tuning import (
    Heads,
    Tuning,
    accuracy,
    fine_tune,
    pooled_rows,
    pooled_states,
)

TaskPipeline = Pipeline[TasksGoal]
States = tuple[tuple[Tensor, ...], Done]
"""Each tuned teacher's states of the task texts, float16 `[text, width]`, and the stage that made them."""


@dataclass(frozen=True)
class Tuned:
    """The teacher tuned on all tasks, its heads, and their stage.

    Several teachers as one (`ensemble`) are its `parts`: `teacher` is then the first, and the heads read the
    states of all side by side.
    """

    teacher: Teacher
    heads: Heads
    done: Done
    parts: tuple["Tuned", ...] = ()

    @property
    def each(self) -> tuple["Tuned", ...]:
        """The teachers one by one."""
        return self.parts or (self,)

    def states(self, rows: Sequence[list[int]], precision: str) -> Tensor:
        """Return the pooled states, side by side, of rows of the teacher's tokens; what the heads read."""
        return torch.cat([pooled_rows(one.teacher, rows, precision=precision) for one in self.each], -1)


@dataclass(frozen=True)
class Attempt:
    """One cross-distillation: its seed, its method (default: the plan's), its steps (0: the plan's), and
    whether it reads the labelled texts alone.
    """

    seed: int
    method: Method | None = None
    steps: int = 0
    labelled_only: bool = False


def tune(pipeline: TaskPipeline, seed: int = SEED) -> Tuned:
    """Tune a copy of the teacher: its upper layers, and one head a task."""
    goal = pipeline.goal
    plan, tasks = goal.plan, goal.tasks
    pipeline.reporter.stage("tuning of the teacher")
    teacher = replace(goal.teacher, body=copy.deepcopy(goal.teacher.body))

    def make(folder: Path) -> Mapping[str, Any]:
        teacher.body.to(best_device())
        how = Tuning(seed, plan.tune_epochs, plan.tune_layers, precision=plan.precision)
        heads = fine_tune(teacher, tasks, how, checkpointed(folder, pipeline.reporter.progress))
        teacher.body.cpu()
        save_tensors({"body": teacher.body.state_dict(), "heads": heads.state_dict()}, folder / "teacher.pt")
        return {"accuracy": teacher_accuracy(goal, [teacher], heads)}

    chosen: dict[str, Any] = {"epochs": plan.tune_epochs, "layers": plan.tune_layers}
    chosen |= {"seed": seed, "precision": plan.precision}
    done = pipeline.stage("teacher", {**goal.key(), **chosen}, make)
    kept = load_tensors(done.folder / "teacher.pt")
    teacher.body.load_state_dict(kept["body"])
    heads = Heads(tasks, teacher.width)
    heads.load_state_dict(kept["heads"])
    say(pipeline.reporter, "teacher, tuned", done.record["accuracy"]["test"])
    return Tuned(teacher, heads.requires_grad_(False), done)


def teacher_accuracy(
    goal: TasksGoal, teachers: Sequence[Teacher], heads: Heads
) -> dict[str, dict[str, float]]:
    """Return what `heads` on the states of `teachers` side by side get right, by split and task."""
    out: dict[str, dict[str, float]] = {}
    for split in SPLITS[1:]:
        for task in goal.tasks:
            if len(part := task.part(split)):
                precision = goal.plan.precision
                each = [pooled_states(teacher, part.texts, precision=precision) for teacher in teachers]
                states = torch.cat(each, -1)
                out.setdefault(split, {})[task.name] = accuracy(heads[task.name], states, part.labels)
    return out


def tuned_states(pipeline: TaskPipeline, tuned: Tuned) -> States:
    """Return the tuned teachers' pooled states of the task texts, and a stage that stands for all of them."""
    made = [_states(pipeline, one) for one in tuned.each]
    if len(made) == 1:
        return (made[0][0],), made[0][1]
    stages = [done for _, done in made]
    digest = hashlib.sha256(" ".join(done.sha256 for done in stages).encode()).hexdigest()
    cpu = [done.cpu_seconds for done in stages if done.cpu_seconds is not None]
    whole = replace(
        stages[0],
        sha256=digest,
        seconds=sum(done.seconds for done in stages),
        cpu_seconds=sum(cpu) if len(cpu) == len(stages) else None,
    )
    return tuple(states for states, _ in made), whole


def _states(pipeline: TaskPipeline, tuned: Tuned) -> tuple[Tensor, Done]:
    goal = pipeline.goal
    pipeline.reporter.stage("teacher's vectors, tuned")

    def make(folder: Path) -> Mapping[str, Any]:
        texts = goal.task_texts[0]
        save_tensors(goal.states(tuned.teacher, texts, pipeline.reporter.progress), folder / "states.pt")
        return {"texts": len(texts)}

    chosen = {"remixed": goal.plan.cross_texts, "without_test": True, "precision": goal.plan.precision}
    done = pipeline.stage("states", {**goal.key(), **chosen, "tuned": tuned.done.sha256}, make)
    # The file's own pages are the memory: of three teachers they are half a gigabyte.
    return load_tensors(done.folder / "states.pt", mapped=True), done


def pruned_accuracy(pipeline: TaskPipeline, tuned: Tuned, vocabulary: tuple[str, ...]) -> Mapping[str, float]:
    """Return the tuned teacher's accuracy on test texts of which it reads the kept tokens alone."""
    goal = pipeline.goal

    def make(_: Path) -> Mapping[str, Any]:
        tokens = goal.teacher.tokens_of(vocabulary)
        places = teacher_rows(goal.teacher.vocabulary, vocabulary)
        out = {}
        for task in goal.tasks:
            rows = [places[np.array(row)].tolist() for row in tokens.rows(task.test.texts)]
            states = tuned.states(rows, goal.plan.precision)
            out[task.name] = accuracy(tuned.heads[task.name], states, task.test.labels)
        return out

    key = {"teacher": tuned.done.sha256, "vocabulary": vocabulary, "precision": goal.plan.precision}
    return pipeline.stage("pruned", key, make).record


def cross_distil(
    pipeline: TaskPipeline, start: Trained, tuned: Tuned, states: States, attempt: Attempt
) -> Trained:
    """Return the student after it learnt the tasks; `start` and `tuned` stay as they are."""
    goal, plan, seed = pipeline.goal, pipeline.goal.plan, attempt.seed
    how, steps = attempt.method or plan.how, attempt.steps or plan.cross_steps
    pipeline.reporter.stage(f"{how.name}, seed {seed}")
    key = {
        "start": start.done.sha256,
        "states": states[1].sha256,
        "method": asdict(how),
        "steps": steps,
        "rate": plan.cross_rate,
        "word_dropout": plan.word_dropout,
        "labelled_only": attempt.labelled_only,
        "seed": seed,
        "precision": plan.precision,
        **plan.later_options(),
    }
    # These methods have the teacher read along: each further text would cost passes of the teacher.
    labelled_only = attempt.labelled_only or how.reads_teacher
    first = facing(start.student, len(tuned.each))

    def make(folder: Path) -> Mapping[str, Any]:
        student = copy.deepcopy(first).to(best_device())
        curve = Curve(pipeline.reporter)
        begun = time.perf_counter()
        own = distil(
            student,
            tuned.heads,
            tuned.teacher,
            goal.lesson(start.vocabulary, states[0], labelled_only),
            how,
            Course(steps, seed, plan.precision),
            Rates(
                student=plan.cross_rate,
                word_dropout=plan.word_dropout,
                label_smoothing=plan.label_smoothing,
                average_steps=plan.average_steps,
            ),
            checkpointed(folder, curve.progress),
        )
        took = time.perf_counter() - begun
        student.cpu()
        save_tensors({"student": student.state_dict(), "heads": own.state_dict()}, folder / "student.pt")
        found = goal.float_accuracy(Trained(student, start.vocabulary, own, start.done))
        return {"accuracy": found, "losses": curve.points, "training_s": round(took, 1)}

    done = pipeline.stage("crossed", key, make)
    kept = load_tensors(done.folder / "student.pt")
    student, own = first, Heads(goal.tasks, first.shape.teacher_width)
    student.load_state_dict(kept["student"])
    own.load_state_dict(kept["heads"])
    say(pipeline.reporter, f"{how.name}, float", done.record["accuracy"]["test"])
    if found := done.record["accuracy"].get("validation"):
        say(pipeline.reporter, f"{how.name}, float, validation texts", found)
    return Trained(student.eval(), start.vocabulary, own.requires_grad_(False), done)


def say(reporter: Reporter, who: str, scores: Mapping[str, float]) -> None:
    """Show an accuracy by task."""
    reporter.result(who, ", ".join(f"{name} {value:.2%}" for name, value in scores.items()))
