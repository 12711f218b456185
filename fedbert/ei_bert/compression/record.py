"""Parts of a compression's record that a report reads: forms of quantisation, probes, confusions, tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.any_heads import kinds
from fedbert.ei_bert.artefact.artefact import Artefact, download_bytes, memory_bytes, parts
from fedbert.ei_bert.artefact.heads import Head, read_head
from fedbert.ei_bert.artefact.latency import latency
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.coverage import coverage
from fedbert.ei_bert.compression.goal import Trained
from fedbert.ei_bert.compression.probe import compare, teacher_encoder
from fedbert.ei_bert.compression.rows import (
    ConfusionRow,
    Described,
    FormRow,
    ProbeRow,
    SizesRow,
    VocabularyRow,
)
from fedbert.ei_bert.compression.tasks_goal import TasksGoal
from fedbert.ei_bert.compression.tasks_stages import TaskPipeline, Tuned
from fedbert.ei_bert.compression.token_pruning import agreement, importance, spelling
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.tasks import Task

FLOAT_BYTES = 4
# As many pairs of labels as a page shows at a glance.
_CONFUSIONS = 12
_PROBE_SEED = 0


def int8_heads(artefact: Artefact) -> dict[str, Head]:
    """Return the artefact's heads that label texts, by task."""
    heads = artefact.heads
    return {name: read_head(heads[name], name) for name, kind in kinds(artefact).items() if kind == "labels"}


def int8_accuracy(artefact: Artefact, tasks: Sequence[Task], threads: int = 1) -> dict[str, float]:
    """Return the artefact's accuracy on the test texts of each task, by the runtime that a phone has."""
    encoder, heads = Int8Encoder(artefact, threads), int8_heads(artefact)
    return {
        task.name: float(
            (heads[task.name].logits(encoder.vectors(task.test.texts)).argmax(1) == task.test.labels).mean()
        )
        for task in tasks
    }


def forms(goal: TasksGoal, trained: Trained) -> list[FormRow]:
    """Return bytes and accuracy of one trained student in float and in each form of quantisation."""
    accuracy = goal.float_accuracy(trained)["test"]
    size = FLOAT_BYTES * sum(p.numel() for p in trained.student.parameters())
    rows: list[FormRow] = [{"form": "float", "bytes": size, "memory_bytes": size, "accuracy": accuracy}]
    for embedding, weight in ((8, 8), (4, 8), (8, 4), (4, 4)):
        chosen = Quantisation(embedding_bits=embedding, weight_bits=weight)
        artefact = goal.artefact(trained, {}, chosen)
        rows.append(
            {
                "form": f"{embedding}-bit embeddings, {weight}-bit weights",
                "bytes": artefact.total_bytes,
                "memory_bytes": memory_bytes(artefact),
                "download_bytes": download_bytes(artefact),
                "accuracy": int8_accuracy(artefact, goal.tasks),
            }
        )
    return rows


def probes(pipeline: TaskPipeline, agnostic: Trained, held_out: Sequence[Task]) -> list[ProbeRow]:
    """Return what linear probes on `held_out` keep of the published teacher's accuracy, student in int8."""
    pipeline.reporter.stage("probes")
    artefact, teacher = pipeline.goal.artefact(agnostic, {}), pipeline.goal.teacher
    rows: list[ProbeRow] = []
    for task in held_out:

        def make(_: Path, task: Task = task) -> Mapping[str, Any]:
            encode = Int8Encoder(artefact, 1).vectors
            found = compare(encode, teacher_encoder(teacher), task, _PROBE_SEED)
            return {
                "set": task.name,
                "teacher": found.teacher.accuracy,
                "student": found.student.accuracy,
                "retention": found.retention,
                "low": found.low,
                "high": found.high,
            }

        key = {
            "student": artefact.sha256,
            "teacher": teacher.sha256,
            "data": task.sha256,
            "seed": _PROBE_SEED,
        }
        rows.append(cast(ProbeRow, pipeline.stage("probe", key, make).record))
        pipeline.reporter.result(task.name, f"{rows[-1]['retention']:.2%} of the teacher's accuracy")
    return rows


def confusion(goal: TasksGoal, artefact: Artefact, tuned: Tuned) -> dict[str, list[ConfusionRow]]:
    """Return the pairs of labels that the student mistakes more often than the tuned teacher, most first."""
    bert = EiBert(artefact, budget_bytes=artefact.total_bytes)
    out: dict[str, list[ConfusionRow]] = {}
    for task in goal.tasks:
        states = tuned.states(goal.teacher.tokens.rows(task.test.texts), goal.plan.precision)
        with torch.inference_mode():
            theirs = tuned.heads[task.name](states).argmax(-1).numpy()
        mine = bert.logits(task.test.texts, task.name).argmax(1)
        count, true = len(task.labels), task.test.labels
        tables = [np.zeros((count, count), np.int64) for _ in range(2)]
        for table, predicted in zip(tables, (theirs, mine), strict=True):
            np.add.at(table, (true, predicted), 1)
            np.fill_diagonal(table, 0)
        more = tables[1] - tables[0]
        order = np.argsort(-more, axis=None, kind="stable")[:_CONFUSIONS]
        out[task.name] = [
            {
                "true": task.labels[row],
                "predicted": task.labels[column],
                "teacher": int(tables[0][row, column]),
                "student": int(tables[1][row, column]),
            }
            for row, column in (divmod(int(place), count) for place in order)
            if more[row, column] > 0
        ]
    return out


def sizes(artefact: Artefact) -> SizesRow:
    """Return what an artefact takes on disk, to download and in memory, and how long a text takes."""
    return {
        "total_bytes": artefact.total_bytes,
        "download_bytes": download_bytes(artefact),
        "memory_bytes": memory_bytes(artefact),
        "sha256": artefact.sha256,
        "parts": parts(artefact),
        "latency": latency(artefact),
    }


def vocabulary_record(goal: TasksGoal, kept: tuple[str, ...], found: NDArray[np.float64]) -> VocabularyRow:
    """Return how the kept tokens write the test texts, and how far another ranking would keep the same."""
    teacher = goal.teacher
    texts = [text for task in goal.tasks for text in task.test.texts]
    unknown, mean = spelling(kept, texts, teacher.rules)
    same = importance("frequency", teacher, *goal.ranked())
    return {
        "size": len(kept),
        "unknown_share": unknown,
        "tokens_per_text": mean,
        "tokens_per_text_teacher": spelling(teacher.vocabulary, texts, teacher.rules)[1],
        "agreement": {"frequency": agreement(found, same, len(kept))},
        "coverage": coverage(goal, kept, found),
    }


def manifest(
    described: Described,
    goal: TasksGoal,
    trained: Trained,
    student: Mapping[str, float],
    teacher: Mapping[str, float],
) -> dict[str, Any]:
    """Return what the artefact says of itself: where it comes from, what it saw, how good it is.

    `student` and `teacher` are the accuracies of the artefact and of the tuned teacher that taught it, by
    task; the record's are means over seeds.
    """
    inputs, plan = goal.inputs, goal.plan
    return {
        "model": f"EI-BERT student of tasks, {described['title']}",
        "parameters": sum(p.numel() for p in trained.student.parameters()),
        "teacher": {"name": inputs.teacher.name, "sha256": inputs.teacher.sha256},
        "trained_on": {
            "public_text_only": False,
            "tasks": {task.name: task.sha256 for task in inputs.tasks},
            "sentences": len(inputs.sentences),
            "sources_sha256": dict(inputs.sources),
            "made_texts": [plan.remixed_texts, plan.cross_texts],
        },
        "method": asdict(plan.how),
        "quantisation": {
            "embedding_bits": plan.embedding_bits,
            "weight_bits": plan.weight_bits,
            "entropy_coded": plan.entropy_coded,
        },
        "scores": {
            "set": "test texts of each task, accuracy",
            "teacher, tuned": {name: round(value, 4) for name, value in teacher.items()},
            "student, int8": {name: round(value, 4) for name, value in student.items()},
        },
        "precision": plan.precision,
        "seed": described["seeds"][0],
        "command": described["command"],
    }
