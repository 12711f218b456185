"""A cheap search over student shapes: each fills the byte budget, is pre-distilled a little, and is timed.

The loss after a few hundred steps ranks shapes as longer training does for most of them, at a small part of
the cost; it is not the accuracy after all stages.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fedbert.ei_bert.artefact.latency import batch_speed
from fedbert.ei_bert.compression.goal import Targets, Trained
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.plan import Architecture, TaskPlan
from fedbert.ei_bert.compression.rows import ShapeRow
from fedbert.ei_bert.compression.stages import Done
from fedbert.ei_bert.compression.tasks_goal import Inputs, TasksGoal
from fedbert.ei_bert.compression.tasks_stages import TaskPipeline
from fedbert.ei_bert.teaching.course import Course, Hooks
from fedbert.ei_bert.teaching.pretraining import Reading, pretrain
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.task_distillation import student_states
from fedbert.ei_bert.teaching.tuning import Heads
from fedbert.errors import FedbertError

SHAPES = (
    Architecture(layers=4, width=128, heads=4, inner=512),
    Architecture(layers=3, width=144, heads=6, inner=576),
    Architecture(layers=3, width=128, heads=4, inner=512),
    Architecture(layers=2, width=192, heads=6, inner=640, embedding=128),
    Architecture(layers=3, width=192, heads=6, inner=768, embedding=96),
    Architecture(layers=2, width=160, heads=5, inner=640),
    Architecture(layers=2, width=128, heads=4, inner=512, embedding=80),
    Architecture(layers=2, width=96, heads=3, inner=384, embedding=64),
    Architecture(layers=2, width=80, heads=5, inner=320, embedding=48),
    Architecture(layers=3, width=256, heads=8, inner=1024, embedding=128, shared=True),
    Architecture(layers=2, width=312, heads=3, inner=1248, embedding=128, shared=True),
    Architecture(layers=2, width=128, heads=4, inner=512, embedding=64, shared=True),
)
# Texts that no shape learns from, by which all are compared: at most so many, and at most a fifth.
_HELD_OUT, _HELD_OUT_PART = 2_000, 5
# A step reads some 250 texts of a dozen tokens. Not more are made than about half of what a search reads.
_MADE_A_STEP = 120
_TIMED_TOKENS = 16
_SEED = 0


def search_shapes(
    inputs: Inputs,
    plan: TaskPlan,
    steps: int,
    work: Path,
    reporter: Reporter,
    threads: int,
    shapes: Sequence[Architecture] = SHAPES,
) -> list[ShapeRow]:
    """Return one row a shape that fits: shape, bytes, loss (1 - mean cosine on texts held out), texts/s,
    seconds.

    `plan` gives the budget and all else but the architecture. The row of least loss is `chosen`. Shapes that
    cannot fit are left out; raises FedbertError if none fits. A short search has fewer
    texts made than the plan says.
    """
    plan = replace(plan, remixed_texts=min(plan.remixed_texts, steps * _MADE_A_STEP))
    base = Pipeline(TasksGoal(inputs, plan), work, reporter, threads)
    found = base.importance()
    targets = base.targets(found[0])
    rows = []
    for architecture in shapes:
        goal = TasksGoal(inputs, replace(plan, architecture=architecture))
        try:
            tried = _tried(Pipeline(goal, work, reporter, threads), found, targets, steps)
            rows.append(dict(tried.record))
        except FedbertError as error:
            if "budget_bytes" not in str(error):
                raise
            reporter.result("left out", str(error))
    if not rows:
        raise FedbertError(
            f"budget_bytes(={plan.budget_bytes}) must have room for one of {len(shapes)} shapes; raise it"
        )
    best = min(row["loss"] for row in rows)
    ranked = sorted(rows, key=lambda row: float(row["loss"]))
    return [cast(ShapeRow, {**row, "chosen": row["loss"] == best}) for row in ranked]


def _tried(
    pipeline: TaskPipeline, found: tuple[NDArray[np.float64], Done], targets: Targets, steps: int
) -> Done:
    goal, plan = pipeline.goal, pipeline.goal.plan
    pipeline.reporter.stage(f"shape {asdict(plan.architecture)}")

    def make(_: Path) -> Mapping[str, Any]:
        vocabulary = pipeline.vocabulary(found[0])
        student = pipeline.new_student(vocabulary, _SEED)
        texts, vectors = targets.pool.texts, targets.vectors.float()
        tokens = goal.teacher.tokens_of(vocabulary)
        order = np.random.default_rng(_SEED).permutation(len(texts))
        count = min(_HELD_OUT, len(texts) // _HELD_OUT_PART)
        held, learnt = order[:count], order[count:]
        rows = tokens.rows([texts[index] for index in learnt.tolist()])
        reading = Reading(rows, vectors[torch.from_numpy(learnt)], np.zeros(len(learnt)))
        begun = time.process_time()
        course = Course(steps, _SEED, plan.precision)
        pretrain(student, reading, course, plan.pretrain_rate, Hooks(pipeline.reporter.progress))
        seconds = time.process_time() - begun
        made = student_states(student, tokens, [texts[index] for index in held.tolist()])
        loss = 1.0 - float(functional.cosine_similarity(made, vectors[torch.from_numpy(held)]).mean())
        # Trained files are a little larger than new ones; the budget holds for what would be shipped.
        trained = Trained(student, vocabulary, Heads(goal.tasks, goal.teacher.width), found[1])
        kept, artefact = pipeline.fitted(
            trained, found[0], lambda some: goal.artefact(some, {}), plan.budget_bytes
        )
        return {
            "shape": {**asdict(plan.architecture), "vocabulary": len(kept.vocabulary)},
            "bytes": artefact.total_bytes,
            "loss": round(loss, 5),
            "texts_per_s": batch_speed(artefact, _TIMED_TOKENS),
            "seconds": round(seconds, 1),
        }

    key = {
        **goal.key(),
        "tokens": found[1].sha256,
        "vectors": targets.done.sha256,
        "architecture": asdict(plan.architecture),
        "budget": plan.budget_bytes,
        "bits": [plan.embedding_bits, plan.weight_bits],
        "steps": steps,
        "precision": plan.precision,
    }
    return pipeline.stage("shape", key, make)
