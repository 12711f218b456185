"""A whole compression for a catalogue: all stages, the scores, the artefact and the server's folder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact, save_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.catalogue_goal import CatalogueGoal, cross_distil, round_to_half
from fedbert.ei_bert.compression.goal import Trained
from fedbert.ei_bert.compression.one_space import Space, check_space, turned
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.scores import zero_shot
from fedbert.ei_bert.compression.token_pruning import spelling
from fedbert.ei_bert.model.bert import mean_pool
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.server_folder import write_server_folder
from fedbert.ei_bert.teaching.teacher import Teacher, sorted_batches
from fedbert.errors import FedbertError

# Tokens a pass when models are only asked: the teacher is the wider one.
_STUDENT_TOKENS, _TEACHER_TOKENS = 4_096, 2_048
_WEIGHT_BITS = 8

Scores = dict[str, float]


@dataclass(frozen=True)
class Compressed:
    """What a compression made, and the seconds that it took."""

    artefact: Artefact
    seconds: float


@dataclass(frozen=True)
class Places:
    """Where the artefact and the server's files go, and where the stages are kept."""

    output: Path
    server_output: Path
    work: Path


def compress_catalogue(
    goal: CatalogueGoal,
    places: Places,
    reporter: Reporter,
    command: str = "simulations/compress.py",
    threads: int = 2,
    space: Space | None = None,
) -> Compressed:
    """Make the artefact and the server's files in `places`, in the space of another student if one is given.

    The stages are picked up by the next call with the same inputs. Raises FedbertError.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    if space is not None:
        check_space(space.artefact, goal.plan.dim)
    pipeline = Pipeline(goal, places.work, reporter, threads)
    pipeline.check_budget()
    found = pipeline.importance()
    scores = {"teacher, untuned": _said(reporter, "teacher", _teacher_scores(goal, goal.teacher, None))}
    targets = pipeline.targets(found[0])
    start = pipeline.pretrain(found, targets, goal.plan.seed)
    scores["student, pre-trained"] = _said(reporter, "student", _student_scores(goal, start))
    crossed, guide = cross_distil(pipeline, start, targets)
    scores["teacher, tuned"] = _said(reporter, "teacher", _teacher_scores(goal, guide, crossed.student.head))
    round_to_half(crossed.student, guide)
    limit = goal.plan.budget_bytes - goal.manifest_room_bytes
    trained, _ = pipeline.fitted(
        crossed, found[0], lambda some: goal.sized(some.student, some.vocabulary), limit
    )
    scores["student, float"] = _said(reporter, "student", _student_scores(goal, trained))
    reporter.stage("int8 export")
    model = goal.model(trained)
    scores["student, int8"] = _said(reporter, "student, int8", _int8_scores(goal, trained, model))
    artefact = build_artefact(model, trained.vocabulary, _manifest(goal, trained, scores, command))
    if space is not None:
        reporter.stage(f"space of {space.name}")
        artefact = turned(artefact, trained.student, space, goal.public, guide, command).artefact
    if artefact.total_bytes > goal.plan.budget_bytes:
        raise FedbertError(
            f"the artefact has {artefact.total_bytes} bytes, the limit is {goal.plan.budget_bytes}; "
            "raise --budget-bytes"
        )
    save_artefact(artefact, places.output)
    earlier = pipeline.reused_cpu_s
    took = None if earlier is None else time.process_time() - cpu_begun + earlier
    write_card(artefact, places.output, took)
    write_server_folder(places.server_output, artefact, trained.student, guide)
    return Compressed(artefact, time.perf_counter() - begun)


def _student_scores(goal: CatalogueGoal, trained: Trained) -> Scores:
    """Return the float student's scores on public validation requests over all names."""
    tokens, public = goal.teacher.tokens_of(trained.vocabulary), goal.public

    def vectors(rows: Sequence[list[int]]) -> Tensor:
        out = torch.empty(len(rows), goal.plan.dim)
        with torch.inference_mode():
            for chosen, ids in sorted_batches(rows, _STUDENT_TOKENS):
                out[torch.from_numpy(chosen)] = trained.student(ids)[1]
        return out

    texts, names = vectors(tokens.rows(public.checks)), vectors(tokens.rows(public.names, "item"))
    return zero_shot(texts, names, public.check_items).as_dict()


def _teacher_scores(goal: CatalogueGoal, teacher: Teacher, head: Tensor | None) -> Scores:
    """Return the teacher's scores, by its own vectors or through `head`."""

    def vectors(texts: Sequence[str]) -> Tensor:
        rows = teacher.tokens.rows(texts)
        out = torch.empty(len(rows), teacher.width)
        with torch.inference_mode():
            for chosen, ids in sorted_batches(rows, _TEACHER_TOKENS):
                out[torch.from_numpy(chosen)] = mean_pool(teacher.body(ids), ids)
        made = out if head is None else out @ head.detach()
        return nn.functional.normalize(made, dim=-1)

    texts, names = vectors(goal.public.checks), vectors(goal.public.names)
    return zero_shot(texts, names, goal.public.check_items).as_dict()


def _int8_scores(goal: CatalogueGoal, trained: Trained, model: bytes) -> Scores:
    """Return the scores of the int8 student as a phone runs it."""
    trial = build_artefact(model, trained.vocabulary, _described(goal, trained))
    encoder = Int8Encoder(trial, torch.get_num_threads())
    both = encoder.encode(goal.public.checks), encoder.encode(goal.public.names, "item")
    unit = [part / np.linalg.norm(part.astype(np.float32), axis=1, keepdims=True) for part in both]
    return zero_shot(unit[0], unit[1], goal.public.check_items).as_dict()


def _said(reporter: Reporter, who: str, scores: Scores) -> Scores:
    reporter.result(who, f"top-1 {scores['top_1']:.4f}, nDCG@10 {scores['ndcg_at_10']:.4f} over all names")
    return scores


def _described(goal: CatalogueGoal, trained: Trained) -> dict[str, Any]:
    return {"shape": trained.student.shape.as_dict(), "text_rules": asdict(goal.teacher.rules)}


def _manifest(
    goal: CatalogueGoal, trained: Trained, scores: Mapping[str, Scores], command: str
) -> dict[str, Any]:
    public, plan, shape = goal.public, goal.plan, trained.student.shape
    unknown, mean = spelling(trained.vocabulary, public.checks, goal.teacher.rules)
    weights = sum(p.numel() for p in trained.student.parameters())
    return {
        **_described(goal, trained),
        "model": "EI-BERT student, int8",
        # Head and projection fold into one matrix: a phone has no parameter of the head.
        "parameters": weights - shape.teacher_width * shape.dim,
        "teacher": {"name": goal.teacher.name, "sha256": goal.teacher.sha256},
        "trained_on": {"public_text_only": True, "tasks": {}},
        "quantisation": {"embedding_bits": plan.embedding_bits, "weight_bits": _WEIGHT_BITS},
        "training": {
            "public_text_only": True,
            "sources_sha256": public.sources,
            "requests": len(public.requests),
            "public_intents": len(public.public_items),
            "sentences": len(public.sentences),
            "names": len(public.names),
            "titles": len(public.titles),
            "texts_made_from_these": plan.varied_texts + plan.remixed_texts + plan.word_texts,
            "plan": plan.record(),
        },
        "scores": {
            "set": f"{len(public.checks)} public validation requests, {len(public.names)} names",
            **scores,
        },
        "unknown_token_share": round(unknown, 6),
        "tokens_per_request": round(mean, 2),
        "command": command,
    }
