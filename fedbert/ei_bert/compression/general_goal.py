"""A task-agnostic student, frozen when it is used: it learns the published teacher's vectors of general texts
and nothing else. Its heads come later, one for each task that someone has (`compress.py add-head`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedbert.ei_bert.artefact.artefact import Artefact, build_artefact
from fedbert.ei_bert.compression.general_text import by_place, sampled, whole_words, word_groups
from fedbert.ei_bert.compression.goal import Pool, Targets, Trained
from fedbert.ei_bert.compression.plan import GeneralPlan
from fedbert.ei_bert.compression.pooled_student import no_head, pooled_shape, teacher_states
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation, calibrate
from fedbert.ei_bert.model.student import Student, StudentShape
from fedbert.ei_bert.model.tokenizer import padded
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher
from fedbert.ei_bert.teaching.progress import TaskProgress
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError

# Activation ranges settle with some hundred texts; each one costs a pass for every size that is tried.
_CALIBRATION_TEXTS = 512
_HELD_OUT = 1_000
# What the published order of the vocabulary counts beside the given texts: as many occurrences as these.
_PLACE_SHARE = 1.0


@dataclass(frozen=True)
class GeneralTexts:
    """What a general encoder reads. `requests` are read whole, of `sentences` as many as the plan says.

    `never` are test texts: no text that is made may be one. `sources` are the hashes of the texts' files.
    """

    requests: tuple[str, ...]
    sentences: tuple[str, ...]
    never: tuple[str, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class GeneralGoal:
    """The goal of a general encoder; see `goal.Goal` for the methods that are not explained here."""

    teacher: Teacher | OutsideTeacher
    given: GeneralTexts
    plan: GeneralPlan
    manifest_room_bytes: int = 8_000
    token_bytes: int = 60
    """Less than a token of the largest preset takes: one round of trimming is then mostly enough."""

    def __post_init__(self) -> None:
        """Say what the precision comes to; raises FedbertError without a text, or for one of no vector."""
        if not self.texts():
            raise FedbertError("general_text must hold a sentence; give --general-text FILE or --data FILE")
        if isinstance(self.teacher, OutsideTeacher):
            self.teacher.check([*self.given.requests, *self.given.sentences])
        object.__setattr__(self, "plan", self.plan.decided())

    def key(self) -> dict[str, Any]:
        """Return what identifies teacher and texts."""
        plan = self.plan
        chosen = {"general_sentences": plan.general_sentences, "seed": plan.seed}
        return {"teacher": self.teacher.sha256, "general": dict(self.given.sources), **chosen}

    # --- texts ---

    @cached_property
    def _texts(self) -> list[str]:
        some = sampled(self.given.sentences, self.plan.general_sentences, self.plan.seed)
        return list(dict.fromkeys([*self.given.requests, *some]))

    def texts(self) -> list[str]:
        """Return requests and the sentences that were drawn, each once."""
        return self._texts

    @cached_property
    def held_out(self) -> list[str]:
        """Sentences that were not drawn, a thousand at most: what the student is measured on."""
        seen = set(self._texts)
        return [text for text in dict.fromkeys(self.given.sentences) if text not in seen][:_HELD_OUT]

    def checks(self) -> Sequence[str]:
        """Return the same."""
        return self.texts()

    def ranked(self) -> tuple[list[str], list[float] | None]:
        """Return the texts, and words of a published teacher's vocabulary weighted by their place."""
        texts = self.texts()
        if isinstance(self.teacher, OutsideTeacher):
            return texts, None
        words, share = by_place(self.teacher.vocabulary)
        scale = _PLACE_SHARE * sum(len(text.split()) for text in texts) / share.sum()
        return [*texts, *words], [1.0] * len(texts) + (share * scale).tolist()

    def ranked_key(self) -> Mapping[str, Any]:
        """Return nothing: the weights are always the same."""
        return {}

    def pool(self, importance: NDArray[np.float64]) -> Pool:
        """Return the texts, texts made of them, groups of near words, and single words.

        A teacher of vectors alone can say nothing of a text that is made: then it is the texts alone.
        """
        texts, plan, vocabulary = self.texts(), self.plan, self.teacher.vocabulary
        if isinstance(self.teacher, OutsideTeacher):
            return Pool(texts, np.zeros(len(texts)))
        near = neighbours(self.teacher, texts)
        groups = np.zeros(len(texts), np.int64)
        made, _ = remixed(texts, groups, plan.remixed_texts, plan.seed, near, self.given.never)
        words = [vocabulary[place] for place in whole_words(vocabulary)]
        whole = [*texts, *made, *word_groups(self.teacher, plan.word_texts, plan.seed), *words]
        return Pool(whole, np.zeros(len(whole)))

    def pool_key(self) -> Mapping[str, Any]:
        """Return how many texts are made."""
        return {"remixed": self.plan.remixed_texts, "words": self.plan.word_texts}

    # --- start ---

    def targets(self, texts: Sequence[str], progress: TaskProgress) -> Tensor:
        """Return the teacher's pooled states, float16 `[text, width]`."""
        if isinstance(self.teacher, OutsideTeacher):
            return self.teacher.vectors_of(texts)
        return teacher_states(self.teacher, texts, self.plan.precision, progress)

    def shape(self, vocabulary: int) -> StudentShape:
        """Return the shape of a student that gives pooled states to heads."""
        return pooled_shape(self.plan.architecture, vocabulary, self.teacher.width)

    def head(self, targets: Targets | None) -> nn.Parameter:
        """Return no head: each task brings its own."""
        return no_head(self.teacher.width)

    # --- files ---

    def sized(self, student: Student, vocabulary: tuple[str, ...]) -> Artefact:
        """Return the student's files without a manifest."""
        return build_artefact(self._model(student, vocabulary), vocabulary, {})

    def artefact(self, trained: Trained, manifest: Mapping[str, Any]) -> Artefact:
        """Return the files of a trained student."""
        described = {"shape": trained.student.shape.as_dict(), "text_rules": asdict(self.teacher.rules)}
        model = self._model(trained.student, trained.vocabulary)
        return build_artefact(model, trained.vocabulary, {**described, **manifest})

    def _model(self, student: Student, vocabulary: tuple[str, ...]) -> bytes:
        texts = self.texts()
        some = texts[:: max(len(texts) // _CALIBRATION_TEXTS, 1)]
        rows = self.teacher.tokens_of(vocabulary).rows(some)
        ranges = calibrate(student, [torch.from_numpy(padded(rows))])
        quantisation = Quantisation(
            embedding_bits=self.plan.embedding_bits, weight_bits=self.plan.weight_bits
        )
        return onnx_bytes(student, ranges, quantisation=quantisation)
