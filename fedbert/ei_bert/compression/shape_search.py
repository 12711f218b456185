"""A cheap search over student shapes: each fills the byte budget, is pre-distilled a little, and is timed.

The loss after a few hundred steps ranks shapes as longer training does for most of them, at a small part of
the cost; it is not the accuracy after all stages.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.artefact.latency import batch_speed
from fedbert.ei_bert.compression.pipeline import MANIFEST_ROOM, Inputs, TaskPipeline, Trained
from fedbert.ei_bert.compression.plan import Architecture, TaskPlan
from fedbert.ei_bert.compression.stages import Done, run_stage
from fedbert.ei_bert.model.tokenizer import Tokens
from fedbert.ei_bert.teaching.cross_distillation import pretrain
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.task_distillation import student_states
from fedbert.ei_bert.teaching.tuning import Heads
from fedbert.errors import FedbertError
from fedbert.machine import Precision

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
_HELD_OUT = 2_000
_TIMED_TOKENS = 16


def search_shapes(
    inputs: Inputs,
    budget_bytes: int,
    steps: int,
    work: Path,
    reporter: Reporter,
    threads: int,
    shapes: Sequence[Architecture] = SHAPES,
    precision: Precision = "auto",
) -> list[dict[str, Any]]:
    """Return one row a shape that fits: shape, bytes, loss (1 - mean cosine on texts held out), texts/s,
    seconds.

    The row of least loss is `chosen`. Shapes that cannot fit are left out; raises FedbertError if none fits.
    `precision` is that of `fast_math`.
    """
    plan = TaskPlan(budget_bytes=budget_bytes, precision=precision)
    base = TaskPipeline(inputs, plan, work, reporter, threads)
    states, found = base.states(None), base.importance()
    rows = []
    for architecture in shapes:
        pipeline = TaskPipeline(inputs, replace(plan, architecture=architecture), work, reporter, threads)
        try:
            rows.append(dict(_tried(pipeline, found, states, steps).record))
        except FedbertError as error:
            if "budget_bytes" not in str(error):
                raise
            reporter.result("left out", str(error))
    if not rows:
        raise FedbertError(
            f"budget_bytes(={budget_bytes}) must have room for one of {len(shapes)} shapes; raise it"
        )
    best = min(row["loss"] for row in rows)
    return [
        {**row, "chosen": row["loss"] == best} for row in sorted(rows, key=lambda row: float(row["loss"]))
    ]


def _tried(
    pipeline: TaskPipeline, found: tuple[np.ndarray, Done], states: tuple[Tensor, Done], steps: int
) -> Done:
    plan = pipeline.plan
    pipeline.reporter.stage(f"shape {asdict(plan.architecture)}")

    def make(_: Path) -> Mapping[str, Any]:
        vocabulary = pipeline.vocabulary(found[0])
        student = pipeline.new_student(vocabulary, 0)
        texts = pipeline.general_texts()
        tokens = Tokens(vocabulary, rules=pipeline.inputs.teacher.rules)
        order = np.random.default_rng(0).permutation(len(texts))
        held, learnt = order[: min(_HELD_OUT, len(texts) // 5)], order[min(_HELD_OUT, len(texts) // 5) :]
        rows = tokens.rows([texts[index] for index in learnt.tolist()])
        begun = time.process_time()
        pretrain(
            student,
            rows,
            states[0][torch.from_numpy(learnt)].float(),
            np.zeros(len(learnt)),
            steps,
            0,
            top_rate=plan.pretrain_rate,
            progress=pipeline.reporter.progress,
            precision=plan.precision,
        )
        seconds = time.process_time() - begun
        made = student_states(student, tokens, [texts[index] for index in held.tolist()])
        goal = states[0][torch.from_numpy(held)].float()
        heads = Heads(pipeline.inputs.tasks, pipeline.inputs.teacher.width)
        # Trained files are a little larger than new ones; the budget holds for what would be shipped.
        kept, artefact = pipeline.export(Trained(student, vocabulary, heads, found[1]), {})
        return {
            "shape": {**asdict(plan.architecture), "vocabulary": len(kept.vocabulary)},
            "bytes": artefact.total_bytes,
            "loss": round(1.0 - float(functional.cosine_similarity(made, goal).mean()), 5),
            "texts_per_s": batch_speed(artefact, _TIMED_TOKENS),
            "seconds": round(seconds, 1),
        }

    inputs = {
        **pipeline.inputs.key(),
        "tokens": found[1].sha256,
        "states": states[1].sha256,
        "architecture": asdict(plan.architecture),
        "budget": plan.budget_bytes - MANIFEST_ROOM,
        "steps": steps,
        "precision": plan.precision,
    }
    return run_stage(pipeline.work, "shape", inputs, make)
