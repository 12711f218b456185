"""The whole compression, stage by stage: teacher and public text in, artefact and server folder out.

1. token pruning, 2. the teacher's vectors of public text, 3. pre-training, 4. cross-distillation, 5. int8
export. What a stage makes is kept in a work folder named after everything that determines it, so that a
stopped run goes on where it was.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert import cross_distillation as distillation
from fedbert.ei_bert.artefact import BUDGET_BYTES, Artefact, build_artefact, save_artefact
from fedbert.ei_bert.bert import fast_math, mean_pool
from fedbert.ei_bert.cached import CachedLayers
from fedbert.ei_bert.export import onnx_bytes
from fedbert.ei_bert.public_text import PublicText, load_public_text, varied
from fedbert.ei_bert.quantisation import calibrate
from fedbert.ei_bert.runtime import Int8Encoder
from fedbert.ei_bert.scores import zero_shot
from fedbert.ei_bert.server_models import write_server_folder
from fedbert.ei_bert.student import Student, StudentShape, start_student
from fedbert.ei_bert.teacher import Teacher, load_teacher, sentence_vectors, sorted_batches
from fedbert.ei_bert.token_pruning import attention_received, pruned_vocabulary, spelling, teacher_rows
from fedbert.ei_bert.tokenizer import Tokens, padded
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, generator

_MANIFEST_ROOM = 7_000
"""Bytes kept free for the manifest."""
_NAMES_OFTEN = 8


@dataclass(frozen=True)
class Plan:
    """Everything that shapes the student and its training, data and teacher apart."""

    budget_bytes: int = BUDGET_BYTES
    dim: int = 96
    layers: int = 4
    width: int = 128
    inner: int = 512
    adapter: int = 512
    varied_texts: int = 120_000
    pretrain_steps: int = 4_000
    pretrain_rate: float = 2e-3
    cross_steps: int = 400
    cross_texts: int = 12_000
    seed: int = 0

    def fast(self) -> "Plan":
        """Return the plan of a trial run: the same stages in about two minutes, and a poor student."""
        return replace(self, varied_texts=2_000, pretrain_steps=300, cross_steps=30, cross_texts=2_000)


class Reporter(Protocol):
    """Shows how far the pipeline is."""

    def stage(self, name: str) -> None:
        """Begin the stage `name`."""

    def progress(self, done: int, total: int, loss: float) -> None:
        """Say that `done` of `total` steps of the stage are over."""

    def result(self, name: str, text: str) -> None:
        """Say what a stage came to."""


@dataclass(frozen=True)
class Compressed:
    """What the pipeline made."""

    artefact: Artefact
    seconds: float


def compress(
    output: Path,
    server_output: Path,
    data: Path,
    work: Path,
    reporter: Reporter,
    teacher: str | None = None,
    general_text: Path | None = None,
    plan: Plan | None = None,
    command: str = "simulations/compress.py",
    threads: int = 2,
) -> Compressed:
    """Make the artefact of `output` and the server's files in `server_output` from public text in `data`.

    `work` keeps checkpoints; they are picked up by the next call with the same inputs. Raises FedbertError.
    """
    plan, begun = plan or Plan(), time.perf_counter()
    torch.set_num_threads(threads)
    public = load_public_text(data, general_text)
    guide = load_teacher(teacher)
    key = json.dumps([asdict(plan), public.sources, guide.sha256], sort_keys=True)
    folder = work / hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FedbertError(
            f"{folder} cannot be made ({error.strerror}); give --work another folder"
        ) from error
    run = _Run(plan, public, guide, folder, reporter)
    scores: dict[str, Any] = {"teacher, untuned": run.teacher_scores(None)}
    run.prune()
    run.teach()
    run.start()
    run.pretrain()
    scores["student, pre-trained"] = run.student_scores()
    run.cross_distil()
    scores["teacher, tuned"] = run.teacher_scores(run.student.head)
    run.round_to_half()
    run.trim()
    scores["student, float"] = run.student_scores()
    artefact = run.export(scores, command)
    save_artefact(artefact, output)
    write_server_folder(server_output, artefact, run.student, guide)
    return Compressed(artefact, time.perf_counter() - begun)


class _Run:
    """One passage through the stages; each sets what the next one needs."""

    student: Student
    vocabulary: tuple[str, ...]
    importance: NDArray[np.float64]
    pool: list[str]
    targets: Tensor
    item_share: NDArray[np.float64]

    def __init__(
        self, plan: Plan, public: PublicText, teacher: Teacher, work: Path, reporter: Reporter
    ) -> None:
        self.plan, self.public, self.teacher, self.work, self.reporter = plan, public, teacher, work, reporter
        self.stock = {key: value.clone() for key, value in teacher.body.layers[-1].state_dict().items()}

    def prune(self) -> None:
        """Stage 1: rank tokens by attention received and keep as many as the budget allows."""
        self.reporter.stage("token pruning")
        public, file = self.public, self.work / "attention.npy"
        if file.is_file():
            importance = np.load(file)
        else:
            importance = attention_received(self.teacher, [*public.requests, *public.sentences])
            importance += 20.0 * attention_received(self.teacher, public.names)
            importance += 0.8 * attention_received(self.teacher, public.titles[::4])
            with file.open("wb") as handle:
                np.save(handle, importance)
        self.importance, size = importance, 2_000
        for _ in range(3):
            self.vocabulary = self._kept(size)
            self.start(pca=False)
            size += self._room() // (self.plan.width + 8)
        self.vocabulary = self._kept(size)
        unknown, mean = spelling(self.vocabulary, public.checks)
        self.reporter.result(
            "vocabulary", f"{len(self.vocabulary)} tokens, {unknown:.2%} [UNK], {mean:.1f} tokens a request"
        )

    def _kept(self, size: int) -> tuple[str, ...]:
        public = self.public
        texts = [*public.requests, *public.sentences, *public.names, *public.titles]
        return pruned_vocabulary(self.teacher.vocabulary, self.importance, texts, size)

    def _room(self) -> int:
        """Return how many bytes the student in hand leaves of the budget."""
        ids = torch.from_numpy(padded(Tokens(self.vocabulary).rows(self.public.names[:8])))
        model = onnx_bytes(self.student, calibrate(self.student, [ids]))
        used = build_artefact(model, self.vocabulary, {}).total_bytes
        return self.plan.budget_bytes - _MANIFEST_ROOM - used

    def trim(self) -> None:
        """Drop the least attended tokens until the trained student fits.

        A new student's file is smaller than a trained one's: its biases are equal, and equal constants are
        stored once. So the size is settled here.
        """
        while (room := self._room()) < 0:
            size = len(self.vocabulary) - (-room // (self.plan.width + 8) + 1)
            kept = self._kept(size)
            place = {token: index for index, token in enumerate(self.vocabulary)}
            state = self.student.state_dict()
            state["body.words.weight"] = state["body.words.weight"][[place[token] for token in kept]]
            head = nn.Parameter(self.student.head.detach().clone())
            self.vocabulary = kept
            self.student = Student(replace(self.student.shape, vocabulary=len(kept)), head)
            self.student.load_state_dict(state)
            self.student.eval()
            self.reporter.result("trimmed vocabulary", f"{len(kept)} tokens")

    def teach(self) -> None:
        """Stage 2: the pool of texts and the teacher's vector of each."""
        self.reporter.stage("teacher's vectors")
        public, plan = self.public, self.plan
        words = [token for token in self.vocabulary if token.isalpha() and len(token) > 2]
        basis = [*public.requests, *public.requests, *public.sentences, *public.names * 10]
        made = varied(basis, public.names, words, plan.varied_texts, plan.seed)
        names = [*public.names] * _NAMES_OFTEN
        self.pool = [*public.requests, *public.sentences, *names, *public.titles, *words, *made]
        named = len(public.requests) + len(public.sentences)
        self.item_share = np.full(len(self.pool), 0.2)
        self.item_share[named : named + len(names) + len(public.titles)] = 0.75
        file = self.work / "targets.pt"
        if file.is_file():
            self.targets = torch.load(file, weights_only=True).float()
            return
        with fast_math():
            self.targets = sentence_vectors(self.teacher, self.pool).float()
        _save(self.targets.half(), file)

    def start(self, pca: bool = True) -> None:
        """Make the untrained student; its head starts as principal directions of requests and names."""
        plan, width = self.plan, self.teacher.width
        head = torch.eye(width, plan.dim)
        if pca:
            named = len(self.public.requests) + len(self.public.sentences)
            names = self.targets[named : named + len(self.public.names)]
            basis = torch.cat([self.targets[: len(self.public.requests)], names.repeat(10, 1)])
            head = torch.linalg.svd(basis, full_matrices=False)[2][: plan.dim].T.contiguous()
        shape = StudentShape(
            vocabulary=len(self.vocabulary),
            layers=plan.layers,
            width=plan.width,
            heads=plan.width // 32,
            inner=plan.inner,
            adapter=plan.adapter,
            dim=plan.dim,
            teacher_width=width,
        )
        chosen = torch.from_numpy(teacher_rows(self.teacher.vocabulary, self.vocabulary))
        words = self.teacher.body.words.weight[chosen]
        self.student = start_student(shape, words, nn.Parameter(head), plan.seed).eval()

    def pretrain(self) -> None:
        """Stage 3: the student learns the teacher's sentence vectors."""
        self.reporter.stage("pre-training")
        file, begun, state = self.work / "pretrained.pt", 0, None
        if file.is_file():
            kept = torch.load(file, weights_only=True)
            self.student.load_state_dict(kept["student"])
            begun, state = kept["step"], kept["optimiser"]

        def save(step: int, optimiser: torch.optim.Optimizer) -> None:
            _save(
                {"step": step, "student": self.student.state_dict(), "optimiser": optimiser.state_dict()},
                file,
            )

        distillation.pretrain(
            self.student,
            Tokens(self.vocabulary).rows(self.pool),
            self.targets,
            self.item_share,
            self.plan.pretrain_steps,
            self.plan.seed,
            top_rate=self.plan.pretrain_rate,
            start=begun,
            optimiser_state=state,
            progress=self.reporter.progress,
            save=save,
        )

    def cross_distil(self) -> None:
        """Stage 4: student and teacher learn from public requests and from each other."""
        self.reporter.stage("cross-distillation")
        file, plan, public = self.work / "crossed.pt", self.plan, self.public
        if file.is_file():
            kept = torch.load(file, weights_only=True)
            self.student.load_state_dict(kept["student"])
            self.teacher.body.layers[-1].load_state_dict(kept["teacher"])
            return
        fixed = len(public.requests) + len(public.sentences) + len(public.names)
        others = generator(plan.seed, Purpose.SAMPLE, 1).permutation(len(self.pool) - fixed)[
            : plan.cross_texts
        ]
        chosen = np.concatenate([np.arange(fixed), fixed + others])
        texts = [self.pool[index] for index in chosen.tolist()]
        lesson = distillation.Lesson(
            rows=Tokens(self.vocabulary).rows(texts),
            teacher_layers=CachedLayers(
                self.teacher.body, self.teacher.tokens.rows(texts), len(self.teacher.body.layers) - 1
            ),
            stock=self.targets[torch.from_numpy(chosen)],
            request_items=public.request_items,
            names=fixed - len(public.names),
            choices=public.public_items,
            item_share=self.item_share[chosen],
        )
        distillation.cross_distil(
            self.student, self.teacher, lesson, plan.cross_steps, plan.seed, progress=self.reporter.progress
        )
        _save(
            {"student": self.student.state_dict(), "teacher": self.teacher.body.layers[-1].state_dict()}, file
        )

    def round_to_half(self) -> None:
        """Round student and tuned layer to float16, as they are shipped to servers, before the export."""
        with torch.no_grad():
            for module in (self.student, self.teacher.body.layers[-1]):
                for value in module.state_dict().values():
                    value.copy_(value.half().float())

    def student_scores(self) -> dict[str, float]:
        """Return the float student's scores on public validation requests over all names."""
        tokens = Tokens(self.vocabulary)

        def vectors(rows: list[list[int]]) -> Tensor:
            out = torch.empty(len(rows), self.plan.dim)
            with torch.inference_mode():
                for chosen, ids in sorted_batches(rows, 4_096):
                    out[torch.from_numpy(chosen)] = self.student(ids)[1]
            return out

        texts, names = (
            vectors(tokens.rows(self.public.checks)),
            vectors(tokens.rows(self.public.names, "item")),
        )
        return self._said("student", zero_shot(texts, names, self.public.check_items).as_dict())

    def teacher_scores(self, head: Tensor | None) -> dict[str, float]:
        """Return the teacher's scores, by its own vectors or through `head`."""

        def vectors(texts: tuple[str, ...]) -> Tensor:
            rows = self.teacher.tokens.rows(texts)
            out = torch.empty(len(rows), self.teacher.width)
            with torch.inference_mode():
                for chosen, ids in sorted_batches(rows, 2_048):
                    out[torch.from_numpy(chosen)] = mean_pool(self.teacher.body(ids), ids)
            made = out if head is None else out @ head.detach()
            return nn.functional.normalize(made, dim=-1)

        texts, names = vectors(self.public.checks), vectors(self.public.names)
        return self._said("teacher", zero_shot(texts, names, self.public.check_items).as_dict())

    def _said(self, who: str, scores: dict[str, float]) -> dict[str, float]:
        self.reporter.result(
            who, f"top-1 {scores['top_1']:.4f}, nDCG@10 {scores['ndcg_at_10']:.4f} over all names"
        )
        return scores

    def export(self, scores: dict[str, Any], command: str) -> Artefact:
        """Stage 5: calibrated int8, measured as a phone would run it, with a manifest that says so."""
        self.reporter.stage("int8 export")
        public, tokens, shape = self.public, Tokens(self.vocabulary), self.student.shape
        some = [*public.requests[::40], *public.sentences[::200]]
        calibration = [tokens.rows(some), tokens.rows(public.names[:96], "item")]
        ranges = calibrate(self.student, [torch.from_numpy(padded(rows)) for rows in calibration])
        model = onnx_bytes(self.student, ranges)
        trial = build_artefact(model, self.vocabulary, {"shape": shape.as_dict()})
        encoder = Int8Encoder(trial, torch.get_num_threads())
        begun = time.perf_counter()
        encoder.encode(public.requests)
        seconds = time.perf_counter() - begun
        texts, names = encoder.encode(public.checks), encoder.encode(public.names, "item")
        unit = [
            part / np.linalg.norm(part.astype(np.float32), axis=1, keepdims=True) for part in (texts, names)
        ]
        scores["student, int8"] = self._said(
            "student, int8", zero_shot(unit[0], unit[1], public.check_items).as_dict()
        )
        unknown, mean = spelling(self.vocabulary, public.checks)
        manifest: Mapping[str, Any] = {
            "model": "EI-BERT student, int8",
            "shape": shape.as_dict(),
            "parameters": sum(p.numel() for p in self.student.parameters()) - shape.teacher_width * shape.dim,
            "teacher": {"name": self.teacher.name, "sha256": self.teacher.sha256},
            "training": {
                "public_text_only": True,
                "sources_sha256": public.sources,
                "requests": len(public.requests),
                "public_intents": len(public.public_items),
                "sentences": len(public.sentences),
                "names": len(public.names),
                "titles": len(public.titles),
                "texts_made_from_these": self.plan.varied_texts,
                "plan": asdict(self.plan),
            },
            "scores": {
                "set": f"{len(public.checks)} public validation requests, {len(public.names)} names",
                **scores,
            },
            "unknown_token_share": round(unknown, 6),
            "tokens_per_request": round(mean, 2),
            "measured": {
                "texts_per_s": round(len(public.requests) / seconds),
                "threads": torch.get_num_threads(),
                "runtime": f"onnxruntime {onnxruntime.__version__}",
            },
            "command": command,
        }
        artefact = build_artefact(model, self.vocabulary, manifest)
        if artefact.total_bytes > self.plan.budget_bytes:
            raise FedbertError(
                f"the artefact has {artefact.total_bytes} bytes, the limit is {self.plan.budget_bytes}; "
                "raise --budget-bytes"
            )
        return artefact


def _save(value: object, file: Path) -> None:
    temporary = file.with_suffix(".part")
    try:
        torch.save(value, temporary)
        temporary.replace(file)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise FedbertError(
            f"{file} cannot be written ({error}); free space or give --work another folder"
        ) from error
