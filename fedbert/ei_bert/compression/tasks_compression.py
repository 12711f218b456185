"""A whole compression for tasks: all stages over the seeds, the artefact, and the record for the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, save_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.compression.ablation import ablation
from fedbert.ei_bert.compression.aims import aims
from fedbert.ei_bert.compression.ensemble import teacher_seeds, tune_together
from fedbert.ei_bert.compression.goal import Targets, Trained
from fedbert.ei_bert.compression.head_room import room_bytes
from fedbert.ei_bert.compression.kind_rows import with_sets
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.record import (
    FLOAT_BYTES,
    confusion,
    forms,
    int8_accuracy,
    int8_heads,
    manifest,
    probes,
    sizes,
    vocabulary_record,
)
from fedbert.ei_bert.compression.rivals import (
    MADE_TEXTS,
    compare_rivals,
    lessons,
    parts_alone,
    student,
)
from fedbert.ei_bert.compression.rows import (
    Compared,
    CompressionRecord,
    Described,
    Rivals,
    StageRow,
)
from fedbert.ei_bert.compression.stages import Done
from fedbert.ei_bert.compression.tasks_goal import TasksGoal
from fedbert.ei_bert.compression.tasks_stages import (
    Attempt,
    States,
    TaskPipeline,
    Tuned,
    cross_distil,
    pruned_accuracy,
    say,
    tuned_states,
)
from fedbert.ei_bert.compression.tasks_widening import check_wide_room, widened
from fedbert.ei_bert.compression.widening import WIDENED
from fedbert.ei_bert.compression.widening_record import wide_stage
from fedbert.ei_bert.model.bert import Body
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.sets import AnySet
from fedbert.ei_bert.teaching.splits import leaked
from fedbert.ei_bert.teaching.task_distillation import side_by_side
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.tuning import joined


@dataclass(frozen=True)
class Places:
    """Folders: of the artefact, of the stages' files, and of the float student as `transformers` reads it."""

    output: Path
    work: Path
    transformers_output: Path | None = None


@dataclass(frozen=True)
class Asked:
    """What a compression is asked for beside its goal.

    Tuning and pre-distillation are done once, with the first seed, or once for each of `whole_seeds`;
    cross-distillation and what follows once for each seed. `held_out` are tasks on which the frozen
    task-agnostic student is probed (`probe.compare`). `others` are sets of other kinds than labels of texts:
    their heads are fitted on the finished student, and the budget has room for them.
    """

    title: str = "model"
    seeds: Sequence[int] = (0,)
    whole_seeds: bool = False
    with_ablation: bool = False
    with_rivals: bool = False
    held_out: Sequence[Task] = ()
    others: Sequence[AnySet] = ()
    command: str = "simulations/compress.py"


@dataclass(frozen=True)
class _Start:
    """What a seed starts from, and what each stage until then came to: one for all, or each its own."""

    importance: tuple[Any, Done]
    published: Targets
    tuned: Tuned
    states: States
    agnostic: Trained
    pruned: Mapping[str, float]


@dataclass(frozen=True)
class _Made:
    """What one seed made: the float student, its artefact without a manifest, and its int8 accuracy."""

    trained: Trained
    artefact: Artefact
    accuracy: Mapping[str, float]


def compress_tasks(
    goal: TasksGoal, places: Places, reporter: Reporter, asked: Asked = Asked(), threads: int = 2
) -> CompressionRecord:
    """Run all stages, write the artefact of the first seed and return the record of the compression.

    Raises FedbertError for a budget that no student fits, and for a folder that cannot be written.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    budget_bytes = goal.plan.budget_bytes
    goal = _with_room(goal, asked.others)
    pipeline = Pipeline(goal, places.work, reporter, threads)
    pipeline.check_budget(budget_bytes - goal.plan.budget_bytes)
    check_wide_room(goal.plan, goal.tasks)
    own = asked.seeds if asked.whole_seeds else asked.seeds[:1]
    starts = [_start(pipeline, seed) for seed in own]
    made = [_made(pipeline, starts[at % len(starts)], seed) for at, seed in enumerate(asked.seeds)]
    start, first = starts[0], made[0]
    described = _described(goal, starts, made, asked)
    taught_by = start.tuned.done.record["accuracy"]["test"]
    whole = manifest(described, goal, first.trained, first.accuracy, taught_by)
    trained, artefact = _fitted(pipeline, start, first.trained, whole)
    described["stages"][-1]["bytes"] = artefact.total_bytes
    if goal.plan.wide_bytes:
        reporter.stage("wide part")
        deep = [artefact, *(one.artefact for one in made[1:])]
        wide = widened(goal, deep, asked.seeds, goal.plan.budget_bytes + goal.plan.wide_bytes)
        described["stages"].append(wide_stage(wide))
        for one in wide:
            say(reporter, "widened", one.artefact.manifest["scores"][WIDENED])
        artefact = wide[0].artefact
    quantisation = forms(goal, first.trained)
    mistaken = confusion(goal, artefact, start.tuned)
    tokens = vocabulary_record(goal, first.trained.vocabulary, start.importance[0])
    compared = _comparisons(pipeline, start, asked)
    if asked.with_rivals:
        compared["rivals"] = _rivals(pipeline, start, artefact, asked)
    # What a run from nothing takes: earlier stages count with the time that they took.
    seconds = round(time.perf_counter() - begun + pipeline.reused_s, 1)
    if (earlier := pipeline.reused_cpu_s) is not None:
        described["cpu_seconds"] = round(time.process_time() - cpu_begun + earlier, 1)
    if asked.others:
        reporter.stage("heads of other kinds")
        artefact, compared["kinds"] = with_sets(artefact, goal.teacher, asked.others, asked.seeds[0])
    save_artefact(artefact, places.output, entropy_coded=goal.plan.entropy_coded)
    write_card(artefact, places.output, described.get("cpu_seconds"))
    if places.transformers_output is not None:
        from fedbert.ei_bert.hf import save_transformers

        heads, rules = int8_heads(artefact), goal.teacher.rules
        save_transformers(trained.student, trained.vocabulary, heads, places.transformers_output, rules=rules)
    record: CompressionRecord = {
        **described,
        **compared,
        "quantisation": quantisation,
        "confusion": mistaken,
        "vocabulary": tokens,
        "seconds": seconds,
        **sizes(artefact),
        "budget_bytes": budget_bytes,
        "plan": {**described["plan"], "budget_bytes": budget_bytes},
    }
    record["targets"] = aims(record, replace(goal.plan, budget_bytes=budget_bytes))
    return record


def _with_room(goal: TasksGoal, others: Sequence[AnySet]) -> TasksGoal:
    """Return `goal` with a budget that leaves room for the wide part and for the heads of `others`."""
    room = goal.plan.wide_bytes
    room += sum(room_bytes(each, goal.plan.architecture.width) for each in others)
    if not room:
        return goal
    return replace(goal, plan=replace(goal.plan, budget_bytes=goal.plan.budget_bytes - room))


def _comparisons(pipeline: TaskPipeline, start: _Start, asked: Asked) -> Compared:
    found: Compared = {}
    if asked.held_out:
        found["probe"] = probes(pipeline, start.agnostic, asked.held_out)
    if asked.with_ablation:
        steps = pipeline.goal.plan.ablation_steps
        found["ablation"] = ablation(pipeline, start.agnostic, start.tuned, start.states, asked.seeds, steps)
    return found


def _rivals(pipeline: TaskPipeline, start: _Start, artefact: Artefact, asked: Asked) -> Rivals:
    """Return the first seed's student beside rivals that the tuned teacher taught, and its own parts."""
    pipeline.reporter.stage("rivals")
    goal, count = pipeline.goal, len(joined(pipeline.goal.tasks)[0]) + MADE_TEXTS
    texts, which = goal.task_texts[0][:count], goal.task_texts[1][:count]
    rows = {text: row for row, text in enumerate(texts)}

    def logits(some: Sequence[str], task: str) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = start.tuned.heads[task](
                side_by_side(start.states[0], torch.tensor([rows[text] for text in some]))
            ).numpy()
        return found

    given = lessons(goal.tasks, texts, which, logits)
    mine, who = student(asked.title, artefact), f"{goal.teacher.name}, tuned"
    parts = parts_alone(EiBert(artefact, budget_bytes=artefact.total_bytes))
    found = compare_rivals(mine, goal.teacher, goal.tasks, (who, given), asked.seeds[0], parts)
    for row in found["rows"]:
        say(pipeline.reporter, row["rival"], row["accuracy"])
    return found


def _start(pipeline: TaskPipeline, seed: int) -> _Start:
    goal = pipeline.goal
    tuned = tune_together(pipeline, teacher_seeds(seed, goal.plan.teachers))
    found = pipeline.importance()
    published, states = pipeline.targets(found[0]), tuned_states(pipeline, tuned)
    start = pipeline.pretrain(found, published, seed)
    pruned = pruned_accuracy(pipeline, tuned, start.vocabulary)
    say(pipeline.reporter, "teacher, pruned", pruned)
    agnostic = replace(start, heads=goal.probed(start))
    return _Start(found, published, tuned, states, agnostic, pruned)


def _made(pipeline: TaskPipeline, start: _Start, seed: int) -> _Made:
    goal = pipeline.goal
    crossed = cross_distil(pipeline, start.agnostic, start.tuned, start.states, Attempt(seed))
    pipeline.reporter.stage("quantisation and export")
    trained, artefact = _fitted(pipeline, start, crossed, {})
    accuracy = int8_accuracy(artefact, goal.tasks)
    say(pipeline.reporter, "int8", accuracy)
    return _Made(trained, artefact, accuracy)


def _fitted(
    pipeline: TaskPipeline, start: _Start, trained: Trained, whole: Mapping[str, Any]
) -> tuple[Trained, Artefact]:
    goal = pipeline.goal
    return pipeline.fitted(
        trained, start.importance[0], lambda some: goal.artefact(some, whole), goal.plan.budget_bytes
    )


def _described(goal: TasksGoal, starts: Sequence[_Start], made: Sequence[_Made], asked: Asked) -> Described:
    """Return what was compressed, by which stages, at what cost in bytes and accuracy."""
    first, teacher = made[0].trained, goal.teacher
    student = starts[0].agnostic.done.record
    return {
        "title": asked.title,
        "command": asked.command,
        "seeds": list(asked.seeds),
        "whole_seeds": asked.whole_seeds,
        "budget_bytes": goal.plan.budget_bytes,
        "tasks": [
            {
                "name": task.name,
                "labels": len(task.labels),
                "train": len(task.train),
                "validation": len(task.validation),
                "test": len(task.test),
                "test_in_train": leaked(task.train.texts, task.test.texts),
                "test_in_any_train": leaked(joined(goal.tasks)[0], task.test.texts),
            }
            for task in goal.tasks
        ],
        "teacher": {
            "name": teacher.name,
            "sha256": teacher.sha256,
            "parameters": _float_bytes(teacher.body) // FLOAT_BYTES,
            "bytes": _float_bytes(teacher.body),
            "accuracy": {name: sum(each) / len(each) for name, each in _tuned(starts).items()},
            "each": [one.done.record["accuracy"]["test"] for one in starts[0].tuned.each],
        },
        "stages": _stages(goal, starts, made),
        "losses": {
            "pre-distillation": student["losses"],
            goal.plan.method: first.done.record["losses"],
        },
        "plan": asdict(goal.plan),
    }


def _tuned(starts: Sequence[_Start]) -> dict[str, list[float]]:
    return _over_seeds([start.tuned.done.record["accuracy"]["test"] for start in starts])


def _stages(goal: TasksGoal, starts: Sequence[_Start], made: Sequence[_Made]) -> list[StageRow]:
    teacher, start = goal.teacher, starts[0]
    before, after = _float_bytes(teacher.body), _float_bytes(made[0].trained.student)
    lost = len(teacher.vocabulary) - len(start.agnostic.vocabulary)
    probed = [goal.float_accuracy(one.agnostic)["test"] for one in starts]
    crossed = [one.trained.done.record["accuracy"] for one in made]
    learnt: StageRow = {
        "stage": goal.plan.method,
        "bytes": after,
        "accuracy": _over_seeds([found["test"] for found in crossed]),
        "note": "float",
    }
    if "validation" in crossed[0]:
        learnt["validation"] = _over_seeds([found["validation"] for found in crossed])
    rows: list[StageRow] = [
        _timed({"stage": "tuning of the teacher", "bytes": before}, *(one.done for one in start.tuned.each)),
        _timed({"stage": "states of the teacher", "bytes": before}, start.published.done, start.states[1]),
        _timed(
            {
                "stage": "token pruning",
                "bytes": before - FLOAT_BYTES * teacher.width * lost,
                "accuracy": _over_seeds([one.pruned for one in starts]),
                "note": "float; the tuned teacher reading the kept tokens alone",
            },
            start.importance[1],
        ),
        _timed(
            {
                "stage": "pre-distillation",
                "bytes": after,
                "accuracy": _over_seeds(probed),
                "note": "float; a linear probe of the frozen student, which knows no task",
            },
            start.agnostic.done,
        ),
        _timed(learnt, made[0].trained.done),
        {
            "stage": "quantisation",
            "bytes": made[0].artefact.total_bytes,
            "accuracy": _over_seeds([one.accuracy for one in made]),
            "note": "as shipped: all files",
        },
    ]
    return rows


def _timed(row: StageRow, *stages: Done) -> StageRow:
    """Return `row` with the seconds of `stages` together; those of the processor if all were counted."""
    timed: StageRow = {**row, "seconds": sum(done.seconds for done in stages)}
    if all(done.cpu_seconds is not None for done in stages):
        timed["cpu_seconds"] = sum(done.cpu_seconds or 0.0 for done in stages)
    return timed


def _float_bytes(model: Body | Student) -> int:
    return FLOAT_BYTES * sum(p.numel() for p in model.parameters())


def _over_seeds(scores: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [one[name] for one in scores] for name in scores[0]}
