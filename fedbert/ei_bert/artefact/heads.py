"""Plug-in heads: one small int8 matrix a task on the frozen encoder's vectors, a safetensors file of its own.

A file holds `weight` int8 `[dim, class]`, `scale` and `bias` float32 `[class]`, and in its metadata `labels`
(JSON, in class order) and `task`: ``logits = vector @ (weight * scale) + bias``. A new task needs only a new
head: a multinomial logistic regression on vectors that stay as they are. Works without torch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from fedbert.ei_bert.artefact.tensor_file import tensor_file
from fedbert.ei_bert.model import streams
from fedbert.errors import FedbertError, invalid
from fedbert.randomness import Purpose, generator

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""What `choose_strength` tries: the inverse weight of the penalty, from a strong one to a mild one."""
# Few folds of some texts choose the penalty: each of six strengths costs a fit for every fold.
_FOLDS = 3
_CHOICE_TEXTS = 3_000
# A head is multiplied in float, so its weights may take all 8 bits.
_LIMIT = 127
# Where a regression ends: weights are rounded to int8 afterwards, so further digits would be lost.
_MOST_STEPS, _LEAST_GAIN = 500, 1e-4
# A feature varies if its spread is more than the rounding of float32.
_ROUNDING = 1e-7
_DTYPES: dict[str, np.dtype[Any]] = {
    "weight": np.dtype(np.int8),
    "scale": np.dtype(np.float32),
    "bias": np.dtype(np.float32),
}


@dataclass(frozen=True)
class Head:
    """A task's int8 head. `weight` `[dim, class]` in -127 .. 127, `scale` and `bias` float32 `[class]`."""

    task: str
    labels: tuple[str, ...]
    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def dim(self) -> int:
        """Width of the vectors that the head reads."""
        return len(self.weight)

    def logits(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the logits `[text, class]` of `vectors` `[text, dim]`.

        Raises FedbertError if the vectors have another width.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise FedbertError(
                f"head {self.task}: vectors{list(vectors.shape)} must be [text, {self.dim}]; "
                "a head belongs to the encoder that it was fitted on"
            )
        # In double precision, so that a text's rounded logits do not depend on what else is in the batch.
        products = vectors.astype(np.float64) @ self.weight.astype(np.float64)
        return (products * self.scale + self.bias).astype(np.float32)


def quantise_head(weight: ArrayLike, bias: ArrayLike, labels: Sequence[str], task: str) -> Head:
    """Return the float head `weight` `[dim, class]`, `bias` `[class]` as int8, with one scale a class.

    Raises FedbertError if the shapes do not fit the labels or a value is not finite.
    """
    matrix, offset = np.asarray(weight, np.float64), np.asarray(bias, np.float32)
    if matrix.ndim != 2 or matrix.shape[1:] != offset.shape or offset.shape != (len(labels),):
        raise FedbertError(
            f"head {task}: weight{list(matrix.shape)} and bias{list(offset.shape)} must be "
            f"[dim, {len(labels)}] and [{len(labels)}], one column a label"
        )
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise FedbertError(f"head {task}: weight and bias must be finite; train it again at a smaller rate")
    scale = (np.maximum(np.abs(matrix).max(0), 1e-8) / _LIMIT).astype(np.float32)
    whole = np.rint(matrix / scale).clip(-_LIMIT, _LIMIT).astype(np.int8)
    return Head(task, tuple(map(str, labels)), whole, scale, offset)


def head_bytes(head: Head) -> bytes:
    """Return `head` as a safetensors file; equal heads give equal bytes."""
    tensors = [(name, np.asarray(getattr(head, name), _DTYPES[name])) for name in ("scale", "bias", "weight")]
    labels = json.dumps(head.labels, ensure_ascii=False)
    return tensor_file(tensors, {"labels": labels, "task": head.task})


def read_head(content: bytes, where: str) -> Head:
    """Return the head of a safetensors file.

    Raises FedbertError in one line, beginning with `where`, for what is no head.
    """
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        notes = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        raise FedbertError(f"head {where}: not a safetensors file ({error}); fetch it again") from error
    for name, dtype in _DTYPES.items():
        if name not in tensors or tensors[name].dtype != dtype:
            found = tensors[name].dtype if name in tensors else "nothing"
            raise FedbertError(f"head {where}: tensor {name} must be {dtype}, found {found}; fetch it again")
    try:
        labels = json.loads(notes["labels"])
        task = str(notes["task"])
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ValueError("labels are no list of names")
    except (KeyError, ValueError, TypeError) as error:
        raise FedbertError(f"head {where}: metadata must hold labels and task ({error})") from error
    weight, scale, bias = tensors["weight"], tensors["scale"], tensors["bias"]
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise FedbertError(f"head {where}: labels must be at least 2 different names, found {len(labels)}")
    if weight.ndim != 2 or any(x.shape != (len(labels),) for x in (weight[0], scale, bias)):
        raise FedbertError(
            f"head {where}: weight{list(weight.shape)}, scale{list(scale.shape)} and bias{list(bias.shape)} "
            f"must be [dim, class], [class] and [class] for {len(labels)} labels"
        )
    if not (np.isfinite(scale).all() and np.isfinite(bias).all() and (scale > 0).all()):
        raise FedbertError(f"head {where}: scale must be > 0, scale and bias finite; fetch it again")
    return Head(task, tuple(labels), weight, scale, bias)


def fit_linear(
    vectors: ArrayLike, labels: ArrayLike, classes: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight `[dim, class]` and bias `[class]` of a logistic regression on `vectors` `[text, dim]`.

    The features are standardised first, and that is folded into weight and bias. `strength` > 0 is the
    inverse weight of the squared penalty. Every class 0 .. `classes` - 1 must be in `labels` `[text]`.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = np.asarray(vectors, np.float32), np.asarray(labels, np.int64)
    middle = x.mean(0, dtype=np.float64)
    # A feature that never changes says nothing: it is left as it is instead of being blown up.
    spread = x.std(0, dtype=np.float64)
    spread = np.where(spread > _ROUNDING * (np.abs(middle) + 1.0), spread, 1.0)
    model = LogisticRegression(C=strength, max_iter=_MOST_STEPS, tol=_LEAST_GAIN)
    model.fit(((x - middle) / spread).astype(np.float32), y)
    weight, bias = model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64)
    if classes == 2:
        # Two classes come as one column, the second against the first.
        weight, bias = np.hstack([-weight, weight]) / 2.0, np.concatenate([-bias, bias]) / 2.0
    weight = weight / spread[:, None]
    return weight, bias - middle @ weight


def choose_strength(vectors: ArrayLike, labels: ArrayLike, seed: int) -> float:
    """Return the one of `STRENGTHS` of most accuracy over three folds of `vectors` `[text, dim]`.

    Of equal ones the strongest penalty is returned. At most 3,000 texts are used, drawn by `seed`, of every
    class alike. With a class of a single text nothing can be held out, and the middle strength is returned.
    """
    from sklearn.model_selection import StratifiedKFold

    x, y = np.asarray(vectors, np.float32), np.asarray(labels, np.int64)
    draw = generator(seed, Purpose.SAMPLE, streams.PENALTY_TEXTS)
    order = draw.permutation(len(y))
    if len(y) > _CHOICE_TEXTS:
        order = order[np.sort(np.argsort(rank_in_class(y[order]), kind="stable")[:_CHOICE_TEXTS])]
    x, y = x[order], y[order]
    classes = int(y.max()) + 1
    folds = min(_FOLDS, int(np.bincount(y, minlength=classes).min()))
    if folds < 2:
        return STRENGTHS[len(STRENGTHS) // 2]
    # By accuracy, as that is what is asked for: cross-entropy would choose a milder penalty and lose a point.
    hits = np.zeros(len(STRENGTHS), np.int64)
    for train, test in StratifiedKFold(folds).split(x, y):
        for index, strength in enumerate(STRENGTHS):
            weight, bias = fit_linear(x[train], y[train], classes, strength)
            hits[index] += ((x[test] @ weight + bias).argmax(1) == y[test]).sum()
    return STRENGTHS[int(hits.argmax())]


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many earlier texts have the same label, `[text]`."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    rank = np.arange(len(labels)) - np.repeat(starts, np.diff(starts, append=len(labels)))
    out = np.empty(len(labels), np.int64)
    out[order] = rank
    return out


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the probabilities `[text, class]` of `logits`; each row sums to 1."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True), np.float64)


def fit_head(
    vectors: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    task: str,
    seed: int,
    strength: float | None = None,
) -> Head:
    """Return a task's head from frozen `vectors` `[text, dim]`; `labels` `[text]` are indices into `names`.

    `strength` is chosen by cross-validation if it is None (`choose_strength`). Raises FedbertError if a label
    has no text or there are fewer than two.
    """
    x, y = np.asarray(vectors, np.float32), np.asarray(labels, np.int64)
    if x.ndim != 2 or x.shape[:1] != y.shape:
        raise FedbertError(
            f"head {task}: vectors{list(x.shape)} and labels{list(y.shape)} must be of one text each"
        )
    if len(names) < 2:
        raise FedbertError(f"head {task}: labels must be of at least 2 classes, found {len(names)}")
    if len(y) and not (y.min() >= 0 and y.max() < len(names)):
        raise invalid("labels", int(y.max()), f"be within 0..{len(names) - 1}")
    counts = np.bincount(y, minlength=len(names))
    if (counts == 0).any():
        missing = names[int(counts.argmin())]
        raise FedbertError(f"head {task}: label {missing!r} has no text; add texts or drop the label")
    if not np.isfinite(x).all():
        raise FedbertError(f"head {task}: vectors must be finite; check the encoder")
    chosen = choose_strength(x, y, seed) if strength is None else strength
    if not chosen > 0:
        raise invalid("strength", chosen, "be > 0")
    weight, bias = fit_linear(x, y, len(names), chosen)
    head = quantise_head(weight, bias, names, task)
    # What rounding does to the logits of the mean vector can be undone: it is the same for every text.
    lost = x.mean(0, dtype=np.float64) @ (weight - head.weight * head.scale.astype(np.float64))
    return replace(head, bias=(bias + lost).astype(np.float32))
