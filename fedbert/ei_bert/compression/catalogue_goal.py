"""The compression of the model that runs start from: teacher and public text in, artefact and server folder
out.

1. token pruning, 2. the teacher's vectors of public text, 3. pre-distillation, 4. cross-distillation on
public requests and the catalogue's names, 5. int8 export. Each stage has a folder of its own (`stages`), so
that a stopped run goes on where it was. Students of classification tasks have a pipeline of their own
(`task_pipeline`).
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import BUDGET_BYTES, Artefact, build_artefact, save_artefact
from fedbert.ei_bert.artefact.card import write_card
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.plan import Architecture
from fedbert.ei_bert.compression.public_text import PublicText, load_public_text, varied
from fedbert.ei_bert.compression.scores import zero_shot
from fedbert.ei_bert.compression.stages import Done, load_tensors, run_stage, save_tensors
from fedbert.ei_bert.compression.token_pruning import METHODS as RANKINGS
from fedbert.ei_bert.compression.token_pruning import Method as Ranking
from fedbert.ei_bert.compression.token_pruning import (
    importance,
    pruned_vocabulary,
    smallest_size,
    spelling,
    teacher_rows,
)
from fedbert.ei_bert.compression.vocabulary_fit import check_budget, fit_vocabulary, trimmed
from fedbert.ei_bert.model.bert import best_device, fast_math, mean_pool
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, StudentShape, start_student
from fedbert.ei_bert.model.tokenizer import Tokens, padded
from fedbert.ei_bert.teaching import cross_distillation as distillation
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.progress import Reporter
from fedbert.ei_bert.teaching.server_models import write_server_folder
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher, sentence_vectors, sorted_batches
from fedbert.errors import FedbertError, invalid
from fedbert.machine import Precision, checked_precision, precision_used
from fedbert.randomness import Purpose, generator

_MANIFEST_ROOM = 7_000
"""Bytes kept free for the manifest."""
_NAMES_OFTEN = 8
_TEXT_WORDS = 7_000
"""New texts take words from so many of the most attended tokens, whatever the student's size."""


@dataclass(frozen=True)
class Plan:
    """Everything that shapes the student and its training, data and teacher apart."""

    budget_bytes: int = BUDGET_BYTES
    dim: int = 96
    layers: int = 4
    width: int = 128
    heads: int = 4
    inner: int = 512
    embedding: int = 0
    shared: bool = False
    adapter: int = 512
    embedding_bits: int = 8
    pruning: Ranking = "attention"
    varied_texts: int = 120_000
    pretrain_steps: int = 4_000
    pretrain_rate: float = 2e-3
    cross_steps: int = 400
    cross_texts: int = 12_000
    seed: int = 0
    precision: Precision = "auto"

    def check(self) -> None:
        """Raise FedbertError if the sizes do not fit each other."""
        if self.pruning not in RANKINGS:
            raise invalid("pruning", self.pruning, f"be one of {', '.join(RANKINGS)}")
        checked_precision(self.precision)
        Architecture(self.layers, self.width, self.heads, self.inner, self.embedding, self.shared)

    def fast(self) -> "Plan":
        """Return the plan of a trial run: the same stages in some minutes, and a poor student."""
        return replace(self, varied_texts=2_000, pretrain_steps=300, cross_steps=30, cross_texts=2_000)

    def shape(self, vocabulary: int, teacher_width: int) -> StudentShape:
        """Return the student's shape with so many tokens."""
        return StudentShape(
            vocabulary=vocabulary,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            inner=self.inner,
            adapter=self.adapter,
            dim=self.dim,
            teacher_width=teacher_width,
            embedding=0 if self.embedding == self.width else self.embedding,
            shared=self.shared,
        )

    @property
    def token_bytes(self) -> int:
        """About what one more token takes: its embedding, its scale or so, and its line of the vocabulary."""
        return (self.embedding or self.width) * self.embedding_bits // 8 + 8


PLANS = {
    "default": Plan(),
    "small": Plan(
        budget_bytes=1_000_000,
        layers=2,
        width=128,
        heads=4,
        inner=512,
        embedding=80,
        adapter=256,
        varied_texts=30_000,
        pretrain_steps=1_500,
        cross_steps=300,
    ),
    "tiny": Plan(
        budget_bytes=500_000,
        layers=2,
        width=80,
        heads=5,
        inner=320,
        embedding=48,
        adapter=128,
        varied_texts=30_000,
        pretrain_steps=1_500,
        cross_steps=300,
    ),
}


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
    plan.check()
    # Stages and the manifest name what was computed in, not who left it to the processor.
    plan = replace(plan, precision=precision_used(plan.precision))
    torch.set_num_threads(threads)
    public = load_public_text(data, general_text)
    guide = load_teacher(teacher)
    run = _Run(plan, public, guide, work, reporter)
    run.prune()
    scores: dict[str, Any] = {"teacher, untuned": run.teacher_scores(None)}
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
    write_card(artefact, output)
    write_server_folder(server_output, artefact, run.student, guide)
    return Compressed(artefact, time.perf_counter() - begun)


class _Run:
    """One passage through the stages; each sets what the next one needs."""

    student: Student
    vocabulary: tuple[str, ...]
    importance: NDArray[np.float64]
    taught: Done
    pretrained: Done
    pool: list[str]
    targets: Tensor
    item_share: NDArray[np.float64]

    def __init__(
        self, plan: Plan, public: PublicText, teacher: Teacher, work: Path, reporter: Reporter
    ) -> None:
        self.plan, self.public, self.teacher, self.work, self.reporter = plan, public, teacher, work, reporter
        self.stock = {key: value.clone() for key, value in teacher.body.layers[-1].state_dict().items()}

    def _inputs(self, *names: str, **more: Any) -> dict[str, Any]:
        """Return what a stage's outcome depends on: data, teacher, some settings of the plan, earlier
        stages.
        """
        plan = {name: getattr(self.plan, name) for name in names}
        return {"data": self.public.sources, "teacher": self.teacher.sha256, **plan, **more}

    def prune(self) -> None:
        """Stage 1: rank tokens by what they matter and keep as many as the budget allows."""
        self.reporter.stage("token pruning")
        public, how = self.public, self.plan.pruning

        texts = [*public.requests, *public.sentences, *public.names, *public.titles]
        smallest = smallest_size(self.teacher.vocabulary, texts, self.teacher.rules)
        room = self.plan.budget_bytes - _MANIFEST_ROOM

        def used(vocabulary: tuple[str, ...]) -> int:
            self.vocabulary = vocabulary
            self.start(pca=False)
            return self._used()

        self.importance = np.zeros(len(self.teacher.vocabulary))
        check_budget(self._kept(smallest), lambda some: used(some) + _MANIFEST_ROOM, self.plan.budget_bytes)

        def make(folder: Path) -> dict[str, Any]:
            plain, titles = [*public.requests, *public.sentences], public.titles[::4]
            weights = [1.0] * len(plain) + [20.0] * len(public.names) + [0.8] * len(titles)
            found = importance(how, self.teacher, [*plain, *public.names, *titles], weights)
            with (folder / "importance.npy").open("wb") as handle:
                np.save(handle, found)
            return {"method": how}

        done = run_stage(self.work, "run-tokens", self._inputs("pruning"), make)
        self.importance = np.load(done.folder / "importance.npy")
        size = fit_vocabulary(self._kept, smallest, used, room)
        self.vocabulary = self._kept(size)
        unknown, mean = spelling(self.vocabulary, public.checks, self.teacher.rules)
        self.reporter.result(
            "vocabulary", f"{len(self.vocabulary)} tokens, {unknown:.2%} [UNK], {mean:.1f} tokens a request"
        )

    def _kept(self, size: int) -> tuple[str, ...]:
        public = self.public
        texts = [*public.requests, *public.sentences, *public.names, *public.titles]
        return pruned_vocabulary(self.teacher.vocabulary, self.importance, texts, size, self.teacher.rules)

    def _used(self) -> int:
        """Return how many bytes the student in hand takes, manifest apart."""
        ids = torch.from_numpy(
            padded(Tokens(self.vocabulary, rules=self.teacher.rules).rows(self.public.names[:8]))
        )
        model = onnx_bytes(self.student, calibrate(self.student, [ids]), quantisation=self._quantisation())
        return build_artefact(model, self.vocabulary, {}).total_bytes

    def _quantisation(self) -> Quantisation:
        return Quantisation(embedding_bits=self.plan.embedding_bits)

    def trim(self) -> None:
        """Drop the least attended tokens until the trained student fits.

        A new student's file is smaller than a trained one's: its biases are equal, and equal constants are
        stored once. So the size is settled here.
        """
        while (over := self._used() - self.plan.budget_bytes + _MANIFEST_ROOM) > 0:
            kept = self._kept(len(self.vocabulary) - (over // self.plan.token_bytes + 1))
            self.student = trimmed(self.student, self.vocabulary, kept)
            self.vocabulary = kept
            self.reporter.result("trimmed vocabulary", f"{len(kept)} tokens")

    def teach(self) -> None:
        """Stage 2: the pool of texts and the teacher's vector of each."""
        self.reporter.stage("teacher's vectors")
        public, plan = self.public, self.plan
        common = self._kept(min(_TEXT_WORDS, len(self.teacher.vocabulary)))
        words = [token for token in common if token.isalpha() and len(token) > 2]
        basis = [*public.requests, *public.requests, *public.sentences, *public.names * 10]
        made = varied(basis, public.names, words, plan.varied_texts, plan.seed)
        names = [*public.names] * _NAMES_OFTEN
        self.pool = [*public.requests, *public.sentences, *names, *public.titles, *words, *made]
        named = len(public.requests) + len(public.sentences)
        self.item_share = np.full(len(self.pool), 0.2)
        self.item_share[named : named + len(names) + len(public.titles)] = 0.75

        def make(folder: Path) -> dict[str, Any]:
            with fast_math(plan.precision):
                save_tensors(sentence_vectors(self.teacher, self.pool).half(), folder / "vectors.pt")
            return {"texts": len(self.pool)}

        inputs = self._inputs("varied_texts", "seed", "pruning", "precision", names_often=_NAMES_OFTEN)
        self.taught = run_stage(self.work, "run-texts", inputs, make)
        self.targets = load_tensors(self.taught.folder / "vectors.pt").float()

    def start(self, pca: bool = True) -> None:
        """Make the untrained student; its head starts as principal directions of requests and names."""
        plan, width = self.plan, self.teacher.width
        head = torch.eye(width, plan.dim)
        if pca:
            named = len(self.public.requests) + len(self.public.sentences)
            names = self.targets[named : named + len(self.public.names)]
            basis = torch.cat([self.targets[: len(self.public.requests)], names.repeat(10, 1)])
            head = torch.linalg.svd(basis, full_matrices=False)[2][: plan.dim].T.contiguous()
        shape = plan.shape(len(self.vocabulary), width)
        chosen = torch.from_numpy(teacher_rows(self.teacher.vocabulary, self.vocabulary))
        words = self.teacher.word_vectors()[chosen]
        self.student = start_student(shape, words, nn.Parameter(head), plan.seed).eval()

    def pretrain(self) -> None:
        """Stage 3: the student learns the teacher's sentence vectors."""
        self.reporter.stage("pre-distillation")
        plan = self.plan

        def make(folder: Path) -> dict[str, Any]:
            self.student.to(best_device())
            checkpoint = folder / "checkpoint.pt"
            kept: dict[str, Any] = {"step": 0, "optimiser": None}
            if checkpoint.is_file():
                kept = load_tensors(checkpoint)
            if kept["step"]:
                self.student.load_state_dict(kept["student"])

            def save(step: int, optimiser: torch.optim.Optimizer) -> None:
                state = {
                    "step": step,
                    "student": self.student.state_dict(),
                    "optimiser": optimiser.state_dict(),
                }
                save_tensors(state, checkpoint)

            distillation.pretrain(
                self.student,
                Tokens(self.vocabulary, rules=self.teacher.rules).rows(self.pool),
                self.targets,
                self.item_share,
                plan.pretrain_steps,
                plan.seed,
                top_rate=plan.pretrain_rate,
                start=kept["step"],
                optimiser_state=kept["optimiser"],
                progress=self.reporter.progress,
                save=save,
                precision=plan.precision,
            )
            save_tensors(self.student.cpu().state_dict(), folder / "student.pt")
            return {"steps": plan.pretrain_steps}

        settings = ("budget_bytes", "embedding_bits", "pretrain_steps", "pretrain_rate", "seed", "precision")
        inputs = self._inputs(*settings, texts=self.taught.sha256, shape=self.student.shape.as_dict())
        self.pretrained = run_stage(self.work, "run-predistilled", inputs, make)
        self.student.load_state_dict(load_tensors(self.pretrained.folder / "student.pt"))

    def cross_distil(self) -> None:
        """Stage 4: student and teacher learn from public requests and from each other."""
        self.reporter.stage("cross-distillation")
        plan = self.plan

        def make(folder: Path) -> dict[str, Any]:
            lesson = self._lesson()
            progress = self.reporter.progress
            distillation.cross_distil(
                self.student,
                self.teacher,
                lesson,
                plan.cross_steps,
                plan.seed,
                progress=progress,
                precision=plan.precision,
            )
            layer = self.teacher.body.layers[-1].state_dict()
            save_tensors({"student": self.student.state_dict(), "teacher": layer}, folder / "models.pt")
            return {"steps": plan.cross_steps}

        inputs = self._inputs("cross_steps", "cross_texts", "seed", "precision", start=self.pretrained.sha256)
        done = run_stage(self.work, "run-crossed", inputs, make)
        kept = load_tensors(done.folder / "models.pt")
        self.student.load_state_dict(kept["student"])
        self.teacher.body.layers[-1].load_state_dict(kept["teacher"])

    def _lesson(self) -> distillation.Lesson:
        plan, public = self.plan, self.public
        fixed = len(public.requests) + len(public.sentences) + len(public.names)
        others = generator(plan.seed, Purpose.SAMPLE, 1).permutation(len(self.pool) - fixed)[
            : plan.cross_texts
        ]
        chosen = np.concatenate([np.arange(fixed), fixed + others])
        texts = [self.pool[index] for index in chosen.tolist()]
        return distillation.Lesson(
            rows=Tokens(self.vocabulary, rules=self.teacher.rules).rows(texts),
            teacher_layers=CachedLayers(
                self.teacher.body, self.teacher.tokens.rows(texts), len(self.teacher.body.layers) - 1
            ),
            stock=self.targets[torch.from_numpy(chosen)],
            request_items=public.request_items,
            names=fixed - len(public.names),
            choices=public.public_items,
            item_share=self.item_share[chosen],
        )

    def round_to_half(self) -> None:
        """Round student and tuned layer to float16, as they are shipped to servers, before the export."""
        with torch.no_grad():
            for module in (self.student, self.teacher.body.layers[-1]):
                for value in module.state_dict().values():
                    value.copy_(value.half().float())

    def student_scores(self) -> dict[str, float]:
        """Return the float student's scores on public validation requests over all names."""
        tokens = Tokens(self.vocabulary, rules=self.teacher.rules)

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
        public, tokens, shape = (
            self.public,
            Tokens(self.vocabulary, rules=self.teacher.rules),
            self.student.shape,
        )
        some = [*public.requests[::40], *public.sentences[::200]]
        calibration = [tokens.rows(some), tokens.rows(public.names[:96], "item")]
        ranges = calibrate(self.student, [torch.from_numpy(padded(rows)) for rows in calibration])
        model = onnx_bytes(self.student, ranges, quantisation=self._quantisation())
        trial = build_artefact(
            model, self.vocabulary, {"shape": shape.as_dict(), "text_rules": asdict(self.teacher.rules)}
        )
        encoder = Int8Encoder(trial, torch.get_num_threads())
        texts, names = encoder.encode(public.checks), encoder.encode(public.names, "item")
        unit = [
            part / np.linalg.norm(part.astype(np.float32), axis=1, keepdims=True) for part in (texts, names)
        ]
        scores["student, int8"] = self._said(
            "student, int8", zero_shot(unit[0], unit[1], public.check_items).as_dict()
        )
        unknown, mean = spelling(self.vocabulary, public.checks, self.teacher.rules)
        manifest: Mapping[str, Any] = {
            "model": "EI-BERT student, int8",
            "shape": shape.as_dict(),
            "text_rules": asdict(self.teacher.rules),
            "parameters": sum(p.numel() for p in self.student.parameters()) - shape.teacher_width * shape.dim,
            "teacher": {"name": self.teacher.name, "sha256": self.teacher.sha256},
            "trained_on": {"public_text_only": True, "tasks": {}},
            "quantisation": {"embedding_bits": self.plan.embedding_bits, "weight_bits": 8},
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
            "command": command,
        }
        artefact = build_artefact(model, self.vocabulary, manifest)
        if artefact.total_bytes > self.plan.budget_bytes:
            raise FedbertError(
                f"the artefact has {artefact.total_bytes} bytes, the limit is {self.plan.budget_bytes}; "
                "raise --budget-bytes"
            )
        return artefact
