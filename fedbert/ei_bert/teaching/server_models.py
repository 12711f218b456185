"""Teacher and float student in the server's hands, and the federated step of cross-distillation.

The step is the one that trained release 0, with the fleet's aggregate in place of labels: the student's item
vectors move to where users' words for the item lie, it also learns from the teacher, and anchors on public
text hold the vectors of texts where they were. A teacher with a learning rate follows the same words and
learns from the student; one without stays, and its vectors of items are computed once.

What learning changes, weights and optimisers' moments, is a value: a `ModelState` goes in, another comes out,
and a state that was saved goes on as if it had never been away.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fedbert.ei_bert.artefact.artefact import VOCABULARY, Artefact, build_artefact, load_artefact
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.bert import fast_math, mean_pool
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.ei_bert.model.student import Student
from fedbert.ei_bert.model.tokenizer import Role, padded
from fedbert.ei_bert.teaching.cached import CachedLayers
from fedbert.ei_bert.teaching.calibrated import UpperCalibration
from fedbert.ei_bert.teaching.cross_distillation import by_parts
from fedbert.ei_bert.teaching.model_state import (
    TEACHER_STAYS,
    Learning,
    LearningRates,
    ModelState,
)
from fedbert.ei_bert.teaching.server_folder import read_server_folder, restore
from fedbert.ei_bert.teaching.server_losses import Aims, Views, student_losses, teacher_loss
from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher, sorted_batches
from fedbert.errors import FedbertError
from fedbert.randomness import Draws, Purpose, draws

# Items and anchors a step. The teacher is the slower by far, so it sees few items, and half the anchors.
_ITEMS_A_STEP, _TEACHER_ITEMS_A_STEP, _ANCHORS, _ANCHORS_A_STEP = 320, 48, 512, 64
# Public requests without an item, beside those with one: a quarter as many keep other texts in place.
_OTHERS_SHARE = 4
# Texts, and half as many names: a release is made each round, so calibration must be cheap.
_CALIBRATION_TEXTS = 192
_CHUNK = 512
"""Texts whose frozen layers are computed together, always the same ones: the bits depend on it."""
# Fewer rows than this are not worth a batch of their own; more than four batches save no padding.
_ROWS_A_PART, _MOST_PARTS = 16, 4
# An item that nobody clicked is sampled too, now and then: it must not drift unseen.
_LEAST_ODDS = 0.02
_STUDENT_TOKENS, _TEACHER_TOKENS = 4_096, 2_048


def training_draws(seed: int, rounds: int = 1_000) -> Draws:
    """Return all random numbers that the models of a run of `rounds` rounds need, without its seed."""
    updates = range(streams.SERVER_ROUND, streams.SERVER_ROUND + rounds + 1)
    return draws(seed, Purpose.TRAINING, [streams.SERVER_ANCHORS, *updates])


@dataclass(frozen=True)
class ServerTexts:
    """All texts that a server knows: the catalogue's names `items`, and `public` texts.

    `public_items` `[text]` are the items that public texts ask for, -1 for none; None if it is not known.
    """

    items: Sequence[str]
    public: Sequence[str]
    public_items: NDArray[np.integer[Any]] | None = None

    def with_item_first(self) -> list[str]:
        """Return the public texts, those that ask for an item first, with some of the others."""
        texts = list(self.public)
        if self.public_items is None:
            return texts
        pairs = list(zip(texts, self.public_items.tolist(), strict=True))
        asking = [text for text, item in pairs if item >= 0]
        others = [text for text, item in pairs if item < 0]
        return [*asking, *others[: max(len(asking) // _OTHERS_SHARE, _ANCHORS - len(asking), 0)]]


class ServerModels:
    """Use `load`. Vectors are float32 of unit length in the shared space of width `dim`."""

    def __init__(
        self,
        student: Student,
        teacher: Teacher,
        artefact: Artefact,
        texts: ServerTexts,
        training: Draws,
        threads: int,
        precision: str = "auto",
        rates: LearningRates = TEACHER_STAYS,
    ) -> None:
        item_texts, public_texts = texts.items, texts.with_item_first()
        self._precision = precision
        self._student, self._teacher, self._artefact = student, teacher, artefact
        self._training, self._threads = training, threads
        self._tokens = teacher.tokens_of(tuple(artefact.files[VOCABULARY].decode().splitlines()))
        draw = training.generator(streams.SERVER_ANCHORS)
        picked = draw.permutation(len(public_texts))[:_ANCHORS].tolist()
        anchors = [public_texts[index] for index in picked]
        top, upper = student.shape.layers - 1, len(teacher.body.layers) - 1
        item_rows, anchor_rows = self._tokens.rows(item_texts, "item"), self._tokens.rows(anchors)
        self._items = CachedLayers(student.body, item_rows, top, _CHUNK)
        self._anchors = CachedLayers(student.body, anchor_rows, top, _CHUNK)
        # The teacher is asked for few of a large catalogue's items, and at random: each is computed alone.
        self._together = _CHUNK if len(item_texts) <= _CHUNK else 1
        names = teacher.tokens.rows(item_texts)
        self._teacher_items = CachedLayers(teacher.body, names, upper, self._together)
        self._teacher_anchors = CachedLayers(teacher.body, teacher.tokens.rows(anchors), upper, _CHUNK)
        self._fixed = torch.from_numpy(np.zeros((len(item_texts), student.shape.dim), np.float32))
        self._fixed_known = np.zeros(len(item_texts), np.bool_)
        # Every release is calibrated on the same texts: its ranges then change with its weights alone.
        half = _CALIBRATION_TEXTS // 2
        read = [
            torch.from_numpy(padded(rows))
            for rows in (anchor_rows[:_CALIBRATION_TEXTS], item_rows[:half])
            if rows
        ]
        # A layer that is passed several times learns at every pass.
        self._calibration = UpperCalibration(student, read, 0 if student.shape.shared else top)
        self._learning = Learning(student, teacher, rates)
        self.start: ModelState = self._learning.take()
        torch.set_num_threads(threads)
        # Where release 0 has them: anchors and items of little trust are held there in every later round.
        with torch.no_grad():
            self._anchor_start = self._student_top(self._anchors, np.arange(len(anchors)))
            if self._learning.teaches:
                self._teacher_start = self._teacher_top(self._teacher_anchors, np.arange(len(anchors)))
            self._item_start = self._all_items()

    @classmethod
    def load(
        cls,
        model: Path | Artefact,
        server_folder: Path,
        teacher: str | None,
        texts: ServerTexts,
        training: Draws | None = None,
        threads: int = 2,
        precision: str = "auto",
        rates: LearningRates = TEACHER_STAYS,
    ) -> "ServerModels":
        """Load what only the server has of `model`, an artefact or its folder, from `server_folder`.

        Public texts serve as anchors and for calibration. `training` (`training_draws`) is all that the
        models ever draw from. Raises FedbertError for missing, foreign or mismatched files.
        """
        torch.set_num_threads(threads)
        artefact = load_artefact(model) if isinstance(model, Path) else model
        student_state, teacher_state = read_server_folder(server_folder, artefact)
        loaded = load_teacher(teacher)
        student = restore(artefact, student_state, teacher_state, loaded)
        return cls(student, loaded, artefact, texts, training or training_draws(0), threads, precision, rates)

    def _hold(self, state: ModelState) -> None:
        # Bits depend on the number of threads, which other code of this process may have changed.
        torch.set_num_threads(self._threads)
        self._learning.put(state)

    @property
    def dim(self) -> int:
        """Width of the shared space."""
        return self._student.shape.dim

    @property
    def items_together(self) -> bool:
        """Whether the catalogue is small enough for the teacher's vectors of all items to be computed."""
        return self._together > 1

    @property
    def teacher_stays(self) -> bool:
        """Whether no update moves the teacher."""
        return not self._learning.teaches

    @cached_property
    def teacher_digest(self) -> str:
        """The SHA-256 of what the teacher and the head were loaded from, in hexadecimal."""
        found = hashlib.sha256(self._teacher.sha256.encode())
        self._hold(self.start)
        for weight in (*self._teacher.body.layers[-1].parameters(), self._student.head):
            found.update(weight.detach().numpy().tobytes())
        return found.hexdigest()

    def teacher_items(self) -> NDArray[np.float32]:
        """Return the vectors of all items by a teacher that stays, `[item, dim]`, computed once."""
        self._hold(self.start)
        return self._teacher_fixed(np.arange(len(self._fixed))).numpy()

    def take_teacher_items(self, vectors: NDArray[np.float32]) -> None:
        """Take what `teacher_items` of equal models has returned."""
        self._fixed.copy_(torch.from_numpy(np.array(vectors)))
        self._fixed_known[:] = True

    def item_vectors(self, state: ModelState) -> NDArray[np.float32]:
        """Return the float student's vectors of the catalogue's names, `[item, dim]`."""
        self._hold(state)
        with torch.no_grad():
            return self._all_items().numpy()

    def student_vectors(
        self, state: ModelState, texts: Sequence[str], role: Role = "text"
    ) -> NDArray[np.float32]:
        """Return the float student's vectors of `texts`, `[text, dim]`."""
        self._hold(state)
        out = torch.empty(len(texts), self.dim)
        with torch.inference_mode():
            for chosen, ids in sorted_batches(self._tokens.rows(texts, role), _STUDENT_TOKENS):
                out[torch.from_numpy(chosen)] = self._student(ids)[1]
        return out.numpy()

    def teacher_vectors(
        self, state: ModelState, texts: Sequence[str], role: Role = "text"
    ) -> NDArray[np.float32]:
        """Return the tuned teacher's vectors of `texts` in the shared space, `[text, dim]`; it knows no
        roles.
        """
        self._hold(state)
        out = torch.empty(len(texts), self.dim)
        with torch.inference_mode(), fast_math(self._precision):
            for chosen, ids in sorted_batches(self._teacher.tokens.rows(texts, role), _TEACHER_TOKENS):
                pooled = mean_pool(self._teacher.body(ids), ids)
                out[torch.from_numpy(chosen)] = functional.normalize(
                    (pooled @ self._student.head).float(), dim=-1
                )
        return out.numpy()

    def update(
        self,
        state: ModelState,
        round_: int,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        steps: int = 8,
    ) -> tuple[ModelState, float]:
        """Return the state whose items have moved towards `targets` `[item, dim]` (unit vectors of users'
        words), trusted by `weights` in 0..1, and the student's loss in the last step.

        Deterministic for one seed and one number of threads. A catalogue of more than 320 items is sampled by
        weight, 320 a step. Raises FedbertError for shapes or values that cannot be.
        """
        count = len(self._items)
        if targets.shape != (count, self.dim) or weights.shape != (count,):
            raise FedbertError(
                f"targets{targets.shape} and weights{weights.shape} must be [{count}, {self.dim}], [{count}]"
            )
        if not (np.isfinite(targets).all() and (weights >= 0).all() and (weights <= 1).all()):
            raise FedbertError("targets must be finite and weights within 0..1")
        self._hold(state)
        self._learning.begin()
        # Of unit length again: whoever sums and rounds unit vectors is a little off.
        goal = functional.normalize(torch.from_numpy(np.array(targets, np.float32)), dim=-1)
        trust = torch.from_numpy(np.array(weights, np.float32))
        # A stream for each round: a run that is resumed draws what an unbroken one would have drawn.
        draw = self._training.generator(streams.SERVER_ROUND + round_)
        student_loss = 0.0
        for _ in range(steps):
            items = _sample(draw, trust.numpy(), _ITEMS_A_STEP)
            student_loss = self._step(draw, items, goal, trust)
        return self._learning.take(), student_loss

    def export(self, state: ModelState) -> Artefact:
        """Return the student as an artefact: calibrated on fixed public texts, int8, with its manifest."""
        self._hold(state)
        ranges = self._calibration.ranges()
        vocabulary = tuple(self._artefact.files[VOCABULARY].decode().splitlines())
        manifest = {key: value for key, value in self._artefact.manifest.items() if key != "files"}
        bits = Quantisation(embedding_bits=manifest.get("quantisation", {}).get("embedding_bits", 8))
        return build_artefact(onnx_bytes(self._student, ranges, bits), vocabulary, manifest)

    def _student_top(self, cached: CachedLayers, chosen: NDArray[np.intp]) -> Tensor:
        top = self._student.shape.layers - 1

        def run(part: NDArray[np.intp]) -> Tensor:
            x, ids = cached.get(chosen[part])
            pooled = mean_pool(self._student.body.run(x, ids, top, top + 1), ids)
            return self._student.finish(pooled, ids[:, 0] == self._student.shape.item_token)[1]

        return by_parts(cached.lengths[chosen], run, _parts(chosen))

    def _teacher_top(self, cached: CachedLayers, chosen: NDArray[np.intp]) -> Tensor:
        last = len(self._teacher.body.layers)

        def run(part: NDArray[np.intp]) -> Tensor:
            x, ids = cached.get(chosen[part])
            return mean_pool(self._teacher.body.run(x, ids, last - 1, last), ids)

        pooled = by_parts(cached.lengths[chosen], run, _parts(chosen))
        return functional.normalize(pooled @ self._student.head, dim=-1)

    def _all_items(self) -> Tensor:
        # In the chunks in which the layers below were computed: their bits depend on it.
        count = len(self._items)
        parts = [
            self._student_top(self._items, np.arange(low, min(low + _CHUNK, count)))
            for low in range(0, count, _CHUNK)
        ]
        return torch.cat(parts)

    def _teacher_fixed(self, chosen: NDArray[np.intp]) -> Tensor:
        """Return the vectors of items `chosen` by a teacher that does not learn; each is computed once."""
        together = self._together
        for chunk in np.unique(chosen[~self._fixed_known[chosen]] // together).tolist():
            rows = np.arange(chunk * together, min((chunk + 1) * together, len(self._fixed)))
            with torch.no_grad():
                self._fixed[torch.from_numpy(rows)] = self._teacher_top(self._teacher_items, rows)
            self._fixed_known[rows] = True
        return self._fixed[torch.from_numpy(chosen)]

    def _step(self, draw: np.random.Generator, items: NDArray[np.intp], goal: Tensor, trust: Tensor) -> float:
        """Do one step of each model that learns on `items`, against the other held fixed; return the
        student's loss.
        """
        # Sorted, since the order of rows decides the bits of their sum.
        chosen = torch.from_numpy(items)
        some = np.sort(draw.permutation(len(items))[:_TEACHER_ITEMS_A_STEP])
        anchors = np.sort(draw.permutation(len(self._anchors))[:_ANCHORS_A_STEP])
        mine, held = self._student_top(self._items, items), self._student_top(self._anchors, anchors)
        teaches = self._learning.teaches
        if teaches:
            theirs = self._teacher_top(self._teacher_items, items[some])
        else:
            theirs = self._teacher_fixed(items[some])
        views = Views(mine, held, theirs)
        aims = Aims(
            items=goal[chosen],
            trust=trust[chosen],
            shared=torch.from_numpy(some),
            item_start=self._item_start[chosen],
            anchor_start=self._anchor_start[torch.from_numpy(anchors)],
        )
        student_loss, held_loss = student_losses(views, aims)
        taught = None
        if teaches:
            near = anchors[: _ANCHORS_A_STEP // 2]
            start = self._teacher_start[torch.from_numpy(near)]
            taught = teacher_loss(views, aims, self._teacher_top(self._teacher_anchors, near), start)
        self._learning.step(student_loss, held_loss, taught)
        return float(student_loss.detach())


def _parts(chosen: NDArray[np.intp]) -> int:
    """Return into how many batches of like length so many rows are worth splitting, 1 to 4."""
    return max(1, min(_MOST_PARTS, len(chosen) // _ROWS_A_PART))


def _sample(draw: np.random.Generator, weights: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    count = len(weights)
    if count <= most:
        return np.arange(count)
    odds = weights.astype(np.float64) + _LEAST_ODDS
    return np.sort(draw.choice(count, most, replace=False, p=odds / odds.sum()))
