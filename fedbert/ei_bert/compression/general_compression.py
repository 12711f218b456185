"""A whole compression of a general encoder: its stages, what it keeps of its teacher, the artefact."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact, save_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.compression.general_goal import GeneralGoal
from fedbert.ei_bert.compression.goal import Targets, Trained
from fedbert.ei_bert.compression.pipeline import Pipeline
from fedbert.ei_bert.compression.probe import Comparison, Encode, compare, teacher_encoder
from fedbert.ei_bert.compression.token_pruning import spelling
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.tasks import Task

Scores = dict[str, Any]


@dataclass(frozen=True)
class MadeGeneral:
    """What a compression made, its probes, and its seconds, those of earlier stages among them."""

    artefact: Artefact
    probes: tuple[Comparison, ...]
    seconds: float


def compress_general(
    goal: GeneralGoal,
    output: Path,
    work: Path,
    reporter: Reporter,
    held_out: Sequence[Task] = (),
    command: str = "simulations/compress.py",
    threads: int = 2,
) -> MadeGeneral:
    """Make the artefact of `output`: tokens, the teacher's vectors, pre-distillation, int8.

    `held_out` are sets that the student is probed on; it reads none of their texts. `work` keeps the stages;
    they are picked up by the next call with the same inputs. Raises FedbertError.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    if isinstance(goal.teacher, OutsideTeacher):
        # Said before the training: a probe asks for the vectors of these, too.
        goal.teacher.check(
            [text for task in held_out for part in (task.train, task.test) for text in part.texts]
        )
    pipeline = Pipeline(goal, work, reporter, threads)
    pipeline.check_budget()
    found = pipeline.importance()
    targets = pipeline.targets(found[0])
    start = pipeline.pretrain(found, targets, goal.plan.seed)
    reporter.stage("quantisation and export")
    limit = goal.plan.budget_bytes - goal.manifest_room_bytes
    trained, plain = pipeline.fitted(start, found[0], lambda some: goal.artefact(some, {}), limit)
    student = EiBert(plain, threads, goal.plan.budget_bytes)
    kept, texts = _agreement(goal, targets, student)
    reporter.result("mutual cosines", f"correlate {kept:.4f} with the teacher's, {texts}")
    probes = _probes(pipeline, student, held_out)
    scores = _scores(probes, kept, texts)
    artefact = goal.artefact(trained, _manifest(goal, targets, trained, scores, command))
    save_artefact(artefact, output)
    earlier = pipeline.reused_cpu_s
    write_card(artefact, output, None if earlier is None else time.process_time() - cpu_begun + earlier)
    return MadeGeneral(artefact, probes, round(time.perf_counter() - begun + pipeline.reused_s, 1))


def mutual_correlation(one: NDArray[np.floating[Any]], two: NDArray[np.floating[Any]]) -> float:
    """Return Pearson's correlation of the cosines of all pairs of texts by two encoders, -1 .. 1.

    `one` and `two` are `[text, dim]`, each of its own width, of three texts or more. It is 1 where one
    encoder's cosines follow from the other's, whatever the widths.
    """
    pairs = np.triu_indices(len(one), 1)
    cosines = []
    for each in (one, two):
        whole = np.asarray(each, np.float64)
        unit = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        cosines.append((unit @ unit.T)[pairs])
    return float(np.corrcoef(*cosines)[0, 1])


def _agreement(goal: GeneralGoal, targets: Targets, student: EiBert) -> tuple[float, str]:
    """Return the correlation with the teacher's cosines, and in words on which texts."""
    if len(goal.held_out) > 2:
        texts, kind = goal.held_out, "sentences that it did not read"
        theirs = goal.targets(texts, lambda *_: None)
    else:
        count = min(len(targets.pool.texts), 1_000)
        texts, kind = list(targets.pool.texts[:count]), "texts that it read"
        theirs = targets.vectors[:count]
    return mutual_correlation(student.encode(texts), theirs.float().numpy()), f"{len(texts):,} {kind}"


def _probes(
    pipeline: Pipeline[GeneralGoal], student: EiBert, held_out: Sequence[Task]
) -> tuple[Comparison, ...]:
    found = []
    for task in held_out:
        pipeline.reporter.stage(f"probe {task.name}")
        teacher = probed_teacher(pipeline, task)
        made = compare(student.encode, teacher, task, pipeline.goal.plan.seed, words=True)
        assert made.words is not None
        pipeline.reporter.result(
            task.name,
            f"student {made.student.accuracy:.4f}, teacher {made.teacher.accuracy:.4f}, "
            f"TF-IDF {made.words.accuracy:.4f}, kept {made.retention:.4f}",
        )
        found.append(made)
    return tuple(found)


def probed_teacher(pipeline: Pipeline[GeneralGoal], task: Task) -> Encode:
    """Return the teacher's vectors of a held-out set, a stage of its own: students of all sizes share it."""
    teacher = pipeline.goal.teacher
    texts = list(dict.fromkeys([*task.train.texts, *task.test.texts]))

    def make(folder: Path) -> Mapping[str, Any]:
        if isinstance(teacher, OutsideTeacher):
            found = teacher.vectors_of(texts).float().numpy()
        else:
            found = teacher_encoder(teacher)(texts)
        with (folder / "vectors.npy").open("wb") as handle:
            np.save(handle, found)
        return {"texts": len(texts)}

    done = pipeline.stage("probed", {"teacher": teacher.sha256, "task": task.sha256}, make)
    vectors = np.load(done.folder / "vectors.npy")
    place = {text: row for row, text in enumerate(texts)}
    return lambda some: vectors[[place[text] for text in some]]


def _scores(probes: Sequence[Comparison], kept: float, texts: str) -> Scores:
    near = f"mutual cosines of {texts} correlate {kept:.4f} with the teacher's"
    if not probes:
        return {"set": near, "student, int8": {"correlation of cosines": round(kept, 4)}}
    rows = {
        "teacher": {each.task: round(each.teacher.accuracy, 4) for each in probes},
        "student, int8": {each.task: round(each.student.accuracy, 4) for each in probes},
        "TF-IDF, linear": {
            each.task: round(each.words.accuracy, 4) for each in probes if each.words is not None
        },
    }
    return {"set": f"linear probes on test texts of sets that it did not read; {near}", **rows}


def _manifest(
    goal: GeneralGoal, targets: Targets, trained: Trained, scores: Mapping[str, Any], command: str
) -> dict[str, Any]:
    plan = goal.plan
    unknown, _ = spelling(trained.vocabulary, goal.checks(), goal.teacher.rules)
    weights = sum(p.numel() for p in trained.student.parameters())
    projection = sum(p.numel() for p in trained.student.project.parameters())
    record = trained.done.record
    return {
        "model": "EI-BERT general encoder, int8",
        # The projection to the teacher's width is for the training alone.
        "parameters": weights - projection,
        "teacher": {"name": goal.teacher.name, "sha256": goal.teacher.sha256},
        "trained_on": {
            # Training texts of sets that runs keep private may be among its texts.
            "public_text_only": False,
            "tasks": {},
            "sentences": len(goal.texts()),
            "made_texts": [len(targets.pool.texts) - len(goal.texts())],
            "sources_sha256": dict(goal.given.sources),
        },
        "quantisation": {"embedding_bits": plan.embedding_bits, "weight_bits": plan.weight_bits},
        "training": {
            "plan": plan.record(),
            "last_loss": record["losses"][-1][1] if record["losses"] else None,
        },
        "scores": dict(scores),
        "unknown_token_share": round(unknown, 6),
        "seed": plan.seed,
        "command": command,
    }
