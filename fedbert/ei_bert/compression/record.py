"""A whole compression for tasks: all stages over the seeds, the artefact, and the record that the report
reads.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedbert.ei_bert.artefact.artefact import Artefact, download_bytes, memory_bytes, parts, save_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.artefact.heads import Head, read_head
from fedbert.ei_bert.artefact.latency import latency
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.ablation import ablation
from fedbert.ei_bert.compression.aims import aims
from fedbert.ei_bert.compression.pipeline import Inputs, TaskPipeline, Trained
from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.compression.probe import compare, teacher_encoder
from fedbert.ei_bert.compression.token_pruning import agreement, importance, spelling
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.ei_bert.teaching.methods import METHODS
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.ei_bert.teaching.tuning import pooled_states

_CONFUSIONS = 12
_FLOAT_BYTES = 4
_PROBE_SEED = 0


def compress_tasks(
    inputs: Inputs,
    plan: TaskPlan,
    output: Path,
    work: Path,
    reporter: Reporter,
    title: str = "model",
    seeds: Sequence[int] = (0,),
    with_ablation: bool = False,
    command: str = "simulations/compress.py",
    threads: int = 2,
    transformers_output: Path | None = None,
    held_out: Sequence[Task] = (),
) -> dict[str, Any]:
    """Run all stages, write the artefact of the first seed to `output` and return the record of the
    compression.

    `held_out` are tasks on which the frozen task-agnostic student is probed (`probe.compare`);
    `transformers_output` also gets the float student of the first seed, as `transformers` reads it.
    Pre-distillation is done once, with the first seed; cross-distillation and what follows once for each
    seed.
    """
    begun = time.perf_counter()
    pipeline = TaskPipeline(inputs, plan, work, reporter, threads)
    pipeline.check_budget()
    heads, tuning = pipeline.tune()
    published, tuned = pipeline.states(None), pipeline.states(tuning)
    found = pipeline.importance()
    start = pipeline.pretrain(found, published, seeds[0])
    probed = pipeline.probed(start)
    agnostic = replace(start, heads=probed)
    first = pipeline.float_accuracy(agnostic)["test"]
    pruned = pipeline.pruned(start.vocabulary, heads, tuning)
    reporter.result("teacher, pruned", ", ".join(f"{name} {value:.2%}" for name, value in pruned.items()))
    lost = len(inputs.teacher.vocabulary) - len(start.vocabulary)
    trained, artefacts, scores = [], [], []
    for seed in seeds:
        crossed = pipeline.cross_distil(start, heads, tuned, seed)
        one, artefact = pipeline.export(crossed, {})
        trained.append(one)
        artefacts.append(artefact)
        scores.append(int8_accuracy(artefact, inputs.tasks))
        reporter.result("int8", ", ".join(f"{name} {value:.2%}" for name, value in scores[-1].items()))
    student = trained[0].student
    float_bytes = _FLOAT_BYTES * sum(p.numel() for p in student.parameters())
    crossed_scores = [one.done.record["accuracy"]["test"] for one in trained]
    teacher_bytes = _FLOAT_BYTES * sum(p.numel() for p in inputs.teacher.body.parameters())
    record: dict[str, Any] = {
        "title": title,
        "command": command,
        "seeds": list(seeds),
        "budget_bytes": plan.budget_bytes,
        "tasks": [
            {
                "name": task.name,
                "labels": len(task.labels),
                "train": len(task.train),
                "validation": len(task.validation),
                "test": len(task.test),
            }
            for task in inputs.tasks
        ],
        "teacher": {
            "name": inputs.teacher.name,
            "sha256": inputs.teacher.sha256,
            "parameters": sum(p.numel() for p in inputs.teacher.body.parameters()),
            "bytes": teacher_bytes,
            "accuracy": tuning.record["accuracy"]["test"],
        },
        "stages": [
            {"stage": "tuning of the teacher", "bytes": teacher_bytes, "seconds": tuning.seconds},
            {
                "stage": "states of the teacher",
                "bytes": teacher_bytes,
                "seconds": published[1].seconds + tuned[1].seconds,
            },
            {
                "stage": "token pruning",
                "bytes": teacher_bytes - _FLOAT_BYTES * inputs.teacher.width * lost,
                "accuracy": {name: [value] for name, value in pruned.items()},
                "seconds": found[1].seconds,
                "note": "float; the tuned teacher reading the kept tokens alone",
            },
            {
                "stage": "pre-distillation",
                "bytes": float_bytes,
                "accuracy": {name: [value] for name, value in first.items()},
                "seconds": start.done.seconds,
                "note": "float; a linear probe of the frozen student, which knows no task",
            },
            {
                "stage": plan.method,
                "bytes": float_bytes,
                "accuracy": _over_seeds(crossed_scores),
                "seconds": trained[0].done.seconds,
                "note": "float",
            },
            {
                "stage": "quantisation",
                "bytes": artefacts[0].total_bytes,
                "accuracy": _over_seeds(scores),
                "note": "as shipped: all files",
            },
        ],
        "quantisation": forms(pipeline, trained[0]),
        "losses": {
            "pre-distillation": start.done.record["losses"],
            plan.method: trained[0].done.record["losses"],
        },
        "confusion": confusion(pipeline, artefacts[0], heads),
        "vocabulary": _vocabulary(pipeline, trained[0].vocabulary, found[0]),
        "plan": asdict(pipeline.plan),
    }
    if held_out:
        record["probe"] = probes(pipeline, agnostic, held_out)
    if with_ablation:
        record["ablation"] = ablation(pipeline, start, heads, tuned, seeds, plan.ablation_steps)
    # What a run from nothing takes: earlier stages count with the time that they took.
    record["seconds"] = round(time.perf_counter() - begun + pipeline.reused_s, 1)
    artefact = pipeline.export(trained[0], _manifest(record, pipeline, trained[0], scores[0]))[1]
    save_artefact(artefact, output, entropy_coded=plan.entropy_coded)
    write_card(artefact, output)
    if transformers_output is not None:
        from fedbert.ei_bert.hf import save_transformers

        rules, heads_there = inputs.teacher.rules, int8_heads(artefact)
        save_transformers(
            trained[0].student, trained[0].vocabulary, heads_there, transformers_output, rules=rules
        )
    record |= {
        "total_bytes": artefact.total_bytes,
        "download_bytes": download_bytes(artefact),
        "memory_bytes": memory_bytes(artefact),
        "sha256": artefact.sha256,
        "parts": parts(artefact),
        "latency": latency(artefact),
    }
    return record | {"targets": aims(record, plan)}


def _over_seeds(scores: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [one[name] for one in scores] for name in scores[0]}


def int8_heads(artefact: Artefact) -> dict[str, Head]:
    """Return the artefact's heads by task."""
    return {name: read_head(body, name) for name, body in artefact.heads.items()}


def int8_accuracy(artefact: Artefact, tasks: Sequence[Task], threads: int = 1) -> dict[str, float]:
    """Return the artefact's accuracy on the test texts of each task, by the runtime that a phone has."""
    encoder, heads = Int8Encoder(artefact, threads), int8_heads(artefact)
    return {
        task.name: float(
            (heads[task.name].logits(encoder.vectors(task.test.texts)).argmax(1) == task.test.labels).mean()
        )
        for task in tasks
    }


def forms(pipeline: TaskPipeline, trained: Trained) -> list[dict[str, Any]]:
    """Return bytes and accuracy of one trained student in float and in each form of quantisation."""
    accuracy = pipeline.float_accuracy(trained)["test"]
    size = _FLOAT_BYTES * sum(p.numel() for p in trained.student.parameters())
    rows: list[dict[str, Any]] = [
        {"form": "float", "bytes": size, "memory_bytes": size, "accuracy": accuracy}
    ]
    for embedding, weight in ((8, 8), (4, 8), (8, 4), (4, 4)):
        chosen = Quantisation(embedding_bits=embedding, weight_bits=weight)
        artefact = pipeline.quantised(trained, chosen)
        rows.append(
            {
                "form": f"{embedding}-bit embeddings, {weight}-bit weights",
                "bytes": artefact.total_bytes,
                "memory_bytes": memory_bytes(artefact),
                "download_bytes": download_bytes(artefact),
                "accuracy": int8_accuracy(artefact, pipeline.inputs.tasks),
            }
        )
    return rows


def probes(pipeline: TaskPipeline, agnostic: Trained, held_out: Sequence[Task]) -> list[Mapping[str, Any]]:
    """Return what linear probes on `held_out` keep of the published teacher's accuracy, student in int8."""
    pipeline.reporter.stage("probes")
    artefact, teacher = pipeline.quantised(agnostic, pipeline.quantisation()), pipeline.inputs.teacher
    rows = []
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
        rows.append(pipeline.stage("probe", key, make).record)
        pipeline.reporter.result(task.name, f"{rows[-1]['retention']:.2%} of the teacher's accuracy")
    return rows


def confusion(pipeline: TaskPipeline, artefact: Artefact, heads: torch.nn.ModuleDict) -> dict[str, Any]:
    """Return the pairs of labels that the student mistakes more often than the tuned teacher, most first."""
    encoder, own, out = Int8Encoder(artefact), int8_heads(artefact), {}
    for task in pipeline.inputs.tasks:
        states = pooled_states(pipeline.tuned, task.test.texts, precision=pipeline.plan.precision)
        with torch.inference_mode():
            theirs = heads[task.name](states).argmax(-1).numpy()
        mine = own[task.name].logits(encoder.vectors(task.test.texts)).argmax(1)
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


def _vocabulary(pipeline: TaskPipeline, kept: tuple[str, ...], found: np.ndarray) -> dict[str, Any]:
    inputs = pipeline.inputs
    texts = [text for task in inputs.tasks for text in task.test.texts]
    unknown, mean = spelling(kept, texts, inputs.teacher.rules)
    same = importance("frequency", inputs.teacher, pipeline.basis())
    others = {"frequency": agreement(found, same, len(kept))}
    return {
        "size": len(kept),
        "unknown_share": unknown,
        "tokens_per_text": mean,
        "tokens_per_text_teacher": spelling(inputs.teacher.vocabulary, texts, inputs.teacher.rules)[1],
        "agreement": others,
    }


def _manifest(
    record: Mapping[str, Any], pipeline: TaskPipeline, trained: Trained, scores: Mapping[str, float]
) -> dict[str, Any]:
    inputs, plan = pipeline.inputs, pipeline.plan
    return {
        "model": f"EI-BERT student of tasks, {record['title']}",
        "parameters": sum(p.numel() for p in trained.student.parameters()),
        "teacher": {"name": inputs.teacher.name, "sha256": inputs.teacher.sha256},
        "trained_on": {
            "public_text_only": False,
            "tasks": {task.name: task.sha256 for task in inputs.tasks},
            "sentences": len(inputs.sentences),
            "sources_sha256": dict(inputs.sources),
            "made_texts": [plan.remixed_texts, plan.cross_texts],
        },
        "method": asdict(METHODS[plan.method]),
        "quantisation": {
            "embedding_bits": plan.embedding_bits,
            "weight_bits": plan.weight_bits,
            "entropy_coded": plan.entropy_coded,
        },
        "scores": {
            "set": "test texts of each task, accuracy",
            "teacher, tuned": {
                name: round(value, 4) for name, value in record["teacher"]["accuracy"].items()
            },
            "student, int8": {name: round(value, 4) for name, value in scores.items()},
        },
        "precision": plan.precision,
        "seed": record["seeds"][0],
        "command": record["command"],
    }
