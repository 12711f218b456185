"""Widens a student that is there: a linear layer on hashed n-grams beside each head, in four bits a value.

The deep part is not trained again; on request its values are rounded to four bits, which makes room. The wide
part learns the labels of the training texts by itself. That both err on different texts is what it is worth:
a wide part that was taught the deep one's answers repeats its errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fedbert.ei_bert.artefact.artefact import MODEL, VOCABULARY, Artefact, build_artefact, deep_alone
from fedbert.ei_bert.artefact.n_grams import n_grams
from fedbert.ei_bert.artefact.wide import Wide, buckets_within, quantise_wide, wide_bytes
from fedbert.ei_bert.compression.rival_models import Lesson, hard, learn, pooled
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.ei_bert.model.requantise import requantised
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.tasks import Part, Task
from fedbert.errors import FedbertError, invalid
from fedbert.randomness import Purpose, generator

WIDENED = "student, widened"
"""Name of a widened student's accuracy by task among the scores of its manifest."""
WEIGHTS = tuple(step / 10 for step in range(21))
"""What the wide part's logits may be multiplied by before they are added."""
# Chosen on CLINC150's validation texts, as the rivals' are: rate, passes, and share of n-grams unseen a step.
_COURSE, _UNSEEN = (0.03, 14), 0.2
MANIFEST_ROOM_BYTES = 1_500
"""Bytes by which the manifest may grow."""


@dataclass(frozen=True)
class Widening:
    """What a student is widened by.

    `wide_bytes` None takes what `budget_bytes` leaves. `weight` None is chosen on validation texts.
    `quantisation` None leaves the deep part as it is. `lessons`, by task, are in place of the labels.
    """

    budget_bytes: int
    wide_bytes: int | None = None
    quantisation: Quantisation | None = None
    weight: float | None = None
    lessons: Mapping[str, Lesson] | None = None
    taught_by: str = "labels"
    seed: int = 0
    command: str = ""


@dataclass(frozen=True)
class Widened:
    """The widened student, its `weight` and buckets, and mean validation accuracy by weight (empty if the
    weight was given). `validation` is the widened student's accuracy by task that has validation texts.
    """

    artefact: Artefact
    weight: float
    buckets: int
    tried: Mapping[float, float]
    validation: Mapping[str, float]


def wide_layer(
    lesson: Lesson, buckets: int, seed: int, beside: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight `[bucket, class]` and bias `[class]` of a linear layer that learnt `lesson`.

    At each step it does not see a fifth of the n-grams, another one each time. While it learns, the logits
    `beside` `[text, class]` are added to its own.
    """
    texts, wanted = lesson
    bags, goal = n_grams(texts, buckets), torch.from_numpy(wanted)
    given = None if beside is None else torch.from_numpy(beside)
    weight = torch.zeros(buckets, wanted.shape[1], requires_grad=True)
    bias = torch.zeros(wanted.shape[1], requires_grad=True)
    draw = generator(seed, Purpose.TRAINING, streams.WIDE_UNSEEN)

    def loss(rows: NDArray[np.intp]) -> torch.Tensor:
        some = bags[rows]
        seen = draw.random(len(some.data)) >= _UNSEEN
        some.data = (some.data * seen / (1 - _UNSEEN)).astype(np.float32)
        logits = pooled(some, weight) + bias
        return functional.cross_entropy(logits if given is None else logits + given[rows], goal[rows])

    learn([weight, bias], loss, len(texts), _COURSE, seed)
    return weight.detach().numpy(), bias.detach().numpy()


def chosen_weight(
    deep: Sequence[NDArray[np.float32]],
    wide: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    weights: Sequence[float] = WEIGHTS,
) -> tuple[float, dict[float, float]]:
    """Return the weight of most accuracy on validation texts, and the mean accuracy over tasks by weight.

    `deep`, `wide` are logits `[text, class]` and `labels` `[text]`, by task. Each weight's accuracy is the
    mean with its neighbours', since one of a few thousand texts decides between them; of equal ones the
    smallest is returned.
    """
    tried = {
        weight: float(
            np.mean(
                [
                    ((one + weight * other).argmax(1) == each).mean()
                    for one, other, each in zip(deep, wide, labels, strict=True)
                ]
            )
        )
        for weight in weights
    }
    found = np.array(list(tried.values()))
    near = np.array([found[max(place - 1, 0) : place + 2].mean() for place in range(len(found))])
    return weights[int(near.argmax())], tried


def widen(artefact: Artefact, tasks: Sequence[Task], asked: Widening) -> Widened:
    """Return `artefact` with a wide part for each of `tasks`, whose heads it has, within the budget.

    One weight holds for all tasks; it is chosen on those that have validation texts. Raises FedbertError if
    none has and no weight is given, and for a budget without room.
    """
    judged = [task for task in tasks if len(task.validation)]
    if asked.weight is None and not judged:
        raise FedbertError(
            "data must have texts of split validation, on which the weight of the wide part is chosen; add "
            "some or give --weight"
        )
    base = _base(artefact, asked.quantisation)
    left = asked.budget_bytes - base.total_bytes - MANIFEST_ROOM_BYTES
    room = left if asked.wide_bytes is None else asked.wide_bytes
    if room > left:
        raise invalid(
            "bytes",
            room,
            f"be at most {left}, which the deep part leaves of budget_bytes {asked.budget_bytes}",
            "give fewer, or --embedding-bits 4",
        )
    buckets = buckets_within(room, {task.name: len(task.labels) for task in tasks})
    layers = {
        task.name: wide_layer((asked.lessons or {}).get(task.name) or hard(task), buckets, asked.seed)
        for task in tasks
    }
    deep = EiBert(base, budget_bytes=asked.budget_bytes)
    weight, tried = asked.weight or 0.0, dict[float, float]()
    if asked.weight is None:
        weight, tried = chosen_weight(
            [deep.logits(task.validation.texts, task.name) for task in judged],
            [quantise_wide(*layers[task.name], task.name).logits(task.validation.texts) for task in judged],
            [task.validation.labels for task in judged],
        )
    wide = {
        name: quantise_wide(weight * matrix, weight * bias, name) for name, (matrix, bias) in layers.items()
    }
    made = _made(base, wide, _manifest(base, artefact, asked, weight, buckets))
    model = EiBert(made, budget_bytes=asked.budget_bytes)
    scored = {task.name: round(accuracy(model, task.name, task.test), 4) for task in tasks}
    validation = {task.name: accuracy(model, task.name, task.validation) for task in judged}
    manifest = dict(made.manifest)
    scores = dict(manifest.get("scores", {"set": "test texts of each task, accuracy"}))
    if before := scores.pop("student, int8", None):
        scores["deep part alone, as it was"] = before
    manifest["scores"] = {**scores, WIDENED: scored}
    made = _made(base, wide, manifest)
    if made.total_bytes > asked.budget_bytes:
        raise invalid(
            "bytes", room, f"leave {made.total_bytes - asked.budget_bytes} bytes more for the manifest"
        )
    return Widened(made, weight, buckets, tried, validation)


def accuracy(model: EiBert, task: str, part: Part) -> float:
    """Return the accuracy of `model` on a part of the texts of `task`."""
    return float((model.logits(part.texts, task).argmax(1) == part.labels).mean())


def _base(artefact: Artefact, quantisation: Quantisation | None) -> Artefact:
    if quantisation is None:
        return deep_alone(artefact)
    files = {**artefact.files, MODEL: requantised(artefact.files[MODEL], quantisation)}
    bits = {"embedding_bits": quantisation.embedding_bits, "weight_bits": quantisation.weight_bits}
    manifest = {
        **artefact.manifest,
        "quantisation": {**artefact.manifest.get("quantisation", {}), **bits},
    }
    return _made(replace(artefact, files=files), {}, manifest)


def _made(base: Artefact, wide: Mapping[str, Wide], manifest: Mapping[str, object]) -> Artefact:
    vocabulary = tuple(base.files[VOCABULARY].decode().splitlines())
    parts = {name: wide_bytes(each) for name, each in wide.items()}
    return build_artefact(base.files[MODEL], vocabulary, manifest, base.heads, parts)


def _manifest(
    base: Artefact, deep: Artefact, asked: Widening, weight: float, buckets: int
) -> dict[str, object]:
    said: dict[str, object] = {
        "buckets": buckets,
        "weight": weight,
        "taught_by": asked.taught_by,
        "seed": asked.seed,
    }
    if asked.command:  # else the command that made the deep part made this, too
        said |= {"deep_sha256": deep.sha256, "command": asked.command}
    return {**base.manifest, "wide": said}
