"""A student that ranks a catalogue of written items, the model that runs start from: what is its own.

It is taught by public text alone. Its vectors are of unit length, and its head is the teacher's own
parameter.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.compression.catalogue_text import asked_names, made_texts, placed, table_words
from fedbert.ei_bert.compression.goal import Pool, Targets, Trained
from fedbert.ei_bert.compression.pipeline import Pipeline, checkpointed
from fedbert.ei_bert.compression.plan import CataloguePlan
from fedbert.ei_bert.compression.public_text import PublicText
from fedbert.ei_bert.compression.stages import load_tensors, save_tensors
from fedbert.ei_bert.compression.token_pruning import pruned_vocabulary
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import fast_math
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching import cross_distillation as distillation
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.course import Course
from fedbert.ei_bert.teaching.progress import TaskProgress
from fedbert.ei_bert.teaching.teacher import Teacher, sentence_vectors
from fedbert.randomness import Purpose, generator

# How much a name, and a title, weighs in the importance of tokens beside a request. Names are few, and each
# is ranked at every request; titles are many, so every fourth is read, at less weight.
_NAME_WEIGHT, _TITLE_WEIGHT, _TITLES_EVERY = 20.0, 0.8, 4
# How often a name stands among the texts: once, the few names would hardly be met.
_NAMES_OFTEN = 8
# New texts take words from so many of the most attended tokens, whatever the student's size.
_TEXT_WORDS, _SHORTEST_WORD = 7_000, 3
# Share of the readings in the role of an item: most of a name's and a title's, few of another text's.
_ITEM_SHARE_OF_NAMES, _ITEM_SHARE_OF_TEXTS = 0.75, 0.2
_NAMES_OFTEN_HEAD = 10
_SIZING_NAMES = 8
# Which texts calibrate the activations: enough of each kind to see its extremes, in under a second.
_CALIBRATION_REQUESTS_EVERY, _CALIBRATION_SENTENCES_EVERY, _CALIBRATION_NAMES = 40, 200, 96
# A step of the cross-distillation takes most of a second, and a whole one has some hundred.
_CHECKPOINT_EVERY = 50
# What a token takes beside its embedding: its line of the vocabulary, about.
_LINE_BYTES = 8


@dataclass(frozen=True)
class CatalogueGoal:
    """The goal of a catalogue; see `goal.Goal` for the methods that are not explained here."""

    public: PublicText
    teacher: Teacher
    plan: CataloguePlan
    manifest_room_bytes: int = 7_000

    def __post_init__(self) -> None:
        """Say what the precision comes to."""
        object.__setattr__(self, "plan", self.plan.decided())

    @property
    def token_bytes(self) -> int:
        """About what one more token takes: its embedding, and its line of the vocabulary."""
        architecture = self.plan.architecture
        return (architecture.embedding or architecture.width) * self.plan.embedding_bits // 8 + _LINE_BYTES

    def key(self) -> dict[str, Any]:
        """Return what identifies teacher and data."""
        return {"data": self.public.sources, "teacher": self.teacher.sha256}

    # --- texts ---

    def texts(self) -> list[str]:
        """Return requests, general sentences, names and titles."""
        public = self.public
        return [*public.requests, *public.sentences, *public.names, *public.titles]

    def checks(self) -> Sequence[str]:
        """Return the validation requests."""
        return self.public.checks

    def ranked(self) -> tuple[list[str], list[float]]:
        """Return the texts that rank the tokens, and their weights."""
        public = self.public
        plain, titles = [*public.requests, *public.sentences], public.titles[::_TITLES_EVERY]
        weights = [1.0] * len(plain) + [_NAME_WEIGHT] * len(public.names) + [_TITLE_WEIGHT] * len(titles)
        texts = [*plain, *public.names, *titles]
        return placed(texts, weights, self.teacher.vocabulary) if self._by_place else (texts, weights)

    @property
    def _by_place(self) -> bool:
        """Whether the vocabulary's own order counts: words alone, without a text, receive no attention."""
        return self.plan.pruning == "frequency"

    def ranked_key(self) -> dict[str, Any]:
        """Return whether the vocabulary's own order counts."""
        return {"by_place": self._by_place}

    def pool(self, importance: NDArray[np.float64]) -> Pool:
        """Return requests, sentences, names, titles, single words, and texts made of all these."""
        public, plan, teacher = self.public, self.plan, self.teacher
        size = min(_TEXT_WORDS, len(teacher.vocabulary))
        common = pruned_vocabulary(teacher.vocabulary, importance, self.texts(), size, teacher.rules)
        common_words = [token for token in common if token.isalpha() and len(token) >= _SHORTEST_WORD]
        words = table_words(teacher.vocabulary) if plan.word_texts else common_words
        counts = (plan.varied_texts, plan.remixed_texts, plan.word_texts)
        made = made_texts(public, teacher, common_words, counts, plan.seed)
        names = [*public.names] * _NAMES_OFTEN
        texts = [*public.requests, *public.sentences, *names, *public.titles, *words, *made]
        share = np.full(len(texts), _ITEM_SHARE_OF_TEXTS)
        named = len(public.requests) + len(public.sentences)
        share[named : named + len(names) + len(public.titles)] = _ITEM_SHARE_OF_NAMES
        return Pool(texts, share)

    def pool_key(self) -> dict[str, Any]:
        """Return the settings on which the pool depends."""
        plan = self.plan
        made = {"varied_texts": plan.varied_texts, "remixed": plan.remixed_texts, "words": plan.word_texts}
        return {**made, "seed": plan.seed, "pruning": plan.pruning, "names_often": _NAMES_OFTEN}

    def lesson(self, start: Trained, targets: Targets, teacher: Teacher) -> distillation.Lesson:
        """Return what the cross-distillation reads: requests, sentences, names, some of the pool, and texts
        made to ask for the names that no request asks for."""
        plan, public = self.plan, self.public
        fixed = len(public.requests) + len(public.sentences) + len(public.names)
        draw = generator(plan.seed, Purpose.SAMPLE, streams.CROSS_TEXTS)
        others = draw.permutation(len(targets.pool.texts) - fixed)[: plan.cross_texts]
        chosen = np.concatenate([np.arange(fixed), fixed + others])
        texts = [targets.pool.texts[index] for index in chosen.tolist()]
        stock, share = targets.vectors[torch.from_numpy(chosen)], targets.pool.item_share[chosen]
        asked = None
        made, items = asked_names(public, self.teacher, plan.asked_texts, plan.seed)
        if made:
            asked = distillation.Asked(len(texts), items)
            texts += made
            stock = torch.cat([stock, sentence_vectors(self.teacher, made).half()])
            share = np.concatenate([share, np.zeros(len(made))])
        below = len(teacher.body.layers) - 1
        return distillation.Lesson(
            rows=self.teacher.tokens_of(start.vocabulary).rows(texts),
            teacher_layers=CachedLayers(teacher.body, teacher.tokens.rows(texts), below),
            stock=stock.float(),
            request_items=public.request_items,
            names=fixed - len(public.names),
            choices=public.public_items,
            item_share=share,
            asked=asked,
        )

    # --- start ---

    def targets(self, texts: Sequence[str], progress: TaskProgress) -> Tensor:
        """Return the teacher's sentence vectors, of unit length."""
        with fast_math(self.plan.precision):
            return sentence_vectors(self.teacher, texts).half()

    def shape(self, vocabulary: int) -> StudentShape:
        """Return the shape of a student that gives unit vectors, with an adapter for items."""
        plan = self.plan
        return StudentShape(
            **plan.architecture.sizes(),
            vocabulary=vocabulary,
            adapter=plan.adapter,
            dim=plan.dim,
            teacher_width=self.teacher.width,
        )

    def head(self, targets: Targets | None) -> nn.Parameter:
        """Return the principal directions of requests and names: they lose least of the teacher's vectors."""
        if targets is None:
            return nn.Parameter(torch.eye(self.teacher.width, self.plan.dim))
        public, vectors = self.public, targets.vectors.float()
        named = len(public.requests) + len(public.sentences)
        names = vectors[named : named + len(public.names)]
        return nn.Parameter(principal_directions(vectors[: len(public.requests)], names, self.plan.dim))

    # --- files ---

    def sized(self, student: Student, vocabulary: tuple[str, ...]) -> Artefact:
        """Return the student's files without a manifest; few texts calibrate it, as ranges take no room."""
        rows = self.teacher.tokens_of(vocabulary).rows(self.public.names[:_SIZING_NAMES])
        ranges = calibrate(student, [torch.from_numpy(padded(rows))])
        model = onnx_bytes(student, ranges, quantisation=self._quantisation())
        return build_artefact(model, vocabulary, {})

    def model(self, trained: Trained) -> bytes:
        """Return the trained student as an ONNX file, calibrated on requests, sentences and names."""
        public, tokens = self.public, self.teacher.tokens_of(trained.vocabulary)
        some = [
            *public.requests[::_CALIBRATION_REQUESTS_EVERY],
            *public.sentences[::_CALIBRATION_SENTENCES_EVERY],
        ]
        rows = [tokens.rows(some), tokens.rows(public.names[:_CALIBRATION_NAMES], "item")]
        ranges = calibrate(trained.student, [torch.from_numpy(padded(part)) for part in rows])
        return onnx_bytes(trained.student, ranges, quantisation=self._quantisation())

    def _quantisation(self) -> Quantisation:
        return Quantisation(embedding_bits=self.plan.embedding_bits)


def principal_directions(requests: Tensor, names: Tensor, dim: int) -> Tensor:
    """Return the `dim` leading directions, `[width, dim]`, of requests and names `[text, width]`."""
    basis = torch.cat([requests, names.repeat(_NAMES_OFTEN_HEAD, 1)])
    directions: Tensor = torch.linalg.svd(basis, full_matrices=False)[2][:dim]
    return directions.T.contiguous()


def cross_distil(
    pipeline: Pipeline[CatalogueGoal], start: Trained, targets: Targets
) -> tuple[Trained, Teacher]:
    """Return student and teacher after they learnt from public requests and from each other."""
    goal, plan = pipeline.goal, pipeline.goal.plan
    pipeline.reporter.stage("cross-distillation")
    teacher = replace(goal.teacher, body=copy.deepcopy(goal.teacher.body))
    student = copy.deepcopy(start.student)

    def make(folder: Path) -> dict[str, Any]:
        lesson = goal.lesson(start, targets, teacher)
        course = Course(plan.cross_steps, plan.seed, plan.precision)
        hooks = checkpointed(folder, pipeline.reporter.progress, _CHECKPOINT_EVERY)
        distillation.cross_distil(student, teacher, lesson, course, hooks=hooks)
        layer = teacher.body.layers[-1].state_dict()
        save_tensors({"student": student.state_dict(), "teacher": layer}, folder / "models.pt")
        return {"steps": plan.cross_steps}

    chosen = {"cross_steps": plan.cross_steps, "cross_texts": plan.cross_texts, "seed": plan.seed}
    chosen |= {"asked_texts": plan.asked_texts}
    key = {**goal.key(), **chosen, "precision": plan.precision, "start": start.done.sha256}
    done = pipeline.stage("crossed", key, make)
    kept = load_tensors(done.folder / "models.pt")
    student.load_state_dict(kept["student"])
    teacher.body.layers[-1].load_state_dict(kept["teacher"])
    return Trained(student, start.vocabulary, nn.ModuleDict(), done), teacher


def round_to_half(student: Student, teacher: Teacher) -> None:
    """Round student and tuned layer to float16, as they are shipped to servers, before the export."""
    with torch.no_grad():
        for module in (student, teacher.body.layers[-1]):
            for value in module.state_dict().values():
                value.copy_(value.half().float())
