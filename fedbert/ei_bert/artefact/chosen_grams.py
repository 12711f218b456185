"""The wide part of a head that was added later: an int4 linear layer on n-grams that were chosen.

N-grams (`n_grams`) are hashed into so large a space that chosen ones rarely meet others, and their places are
stored: most n-grams of a language say nothing of a task, and in a space of as many buckets as the file has
values they would fall on those that do. A value is ``1 + log(count)``; words and characters each are a row of
unit length.

A file holds, as safetensors, `gaps` uint8 (from each place to the next; 255 is a step on the way, at which
no n-gram is), `codes` uint8 (two values -7 .. 7 a byte, n-gram by n-gram), `scale` float32 `[column]` and
`bias` float32 `[class]`, in its metadata `task` and `space`: ``logits = values @ (codes * scale) + bias``.
Two classes have one column, which is the second's and with the opposite sign the first's. A text's logits are
the same bits alone and in any batch. Works without torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedbert.ei_bert.artefact.n_grams import Bags, count_vectorizers, gram_counts
from fedbert.ei_bert.artefact.nibbles import LIMIT, packed_codes, unpacked_codes
from fedbert.ei_bert.artefact.tensor_file import tensor_file
from fedbert.ei_bert.artefact.wide import rows_of_wide
from fedbert.errors import FedbertError

KINDS = 2
"""Kinds of n-grams, each with places of its own: words and their pairs, characters within words."""
_STEP = 255


@dataclass(frozen=True)
class ChosenGrams:
    """A task's wide part: `gaps` and `packed` uint8, `scale` float32 `[column]`, `bias` `[class]`.

    `space` is the number of places of each kind of n-gram, a power of two.
    """

    task: str
    space: int
    gaps: NDArray[np.uint8]
    packed: NDArray[np.uint8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def classes(self) -> int:
        """How many labels the task has."""
        return len(self.bias)

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """The places of the n-grams, `[gram]`, rising; characters' lie behind words'."""
        return _places(self.gaps)

    @cached_property
    def codes(self) -> NDArray[np.int8]:
        """The values -7 .. 7, int8 `[gram, column]`, unpacked when they are first asked for."""
        return unpacked_codes(self.packed, len(self.places), len(self.scale))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the n-grams of `texts` say, `[text, class]`."""
        out = np.empty((len(texts), self.classes), np.float32)
        # A row at a time: the same product alone and in a batch.
        for row, text in enumerate(texts):
            said = np.zeros(len(self.scale), np.float32)
            for kind, (found, counts) in enumerate(gram_counts(text, self.space)):
                places = (found + kind * self.space).astype(np.int32)
                grams = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
                known = self.places[grams] == places
                said += _of_unit_length(counts[known]) @ self.codes[grams[known]].astype(np.float32)
            out[row] = self._of_columns(said)
        return out

    def logits_of(self, values: Bags) -> NDArray[np.float32]:
        """Return the logits of `values` `[text, gram]`, within rounding those of `logits`."""
        return self._of_columns(np.asarray(values @ self.codes.astype(np.float32), np.float32))

    def _of_columns(self, said: NDArray[np.float32]) -> NDArray[np.float32]:
        columns = said * self.scale
        both = np.concatenate([-columns, columns], axis=-1) if self.classes == 2 else columns
        return np.asarray(both + self.bias, np.float32)


def columns_of(classes: int) -> int:
    """Return how many columns the layer of a task has."""
    return 1 if classes == 2 else classes


def counted(texts: Sequence[str], space: int) -> Bags:
    """Return how often each n-gram stands in `texts`, `[text, place]`, of both kinds side by side."""
    from scipy import sparse

    return sparse.hstack([reader.transform(texts) for reader in count_vectorizers(space)], format="csr")


def valued(counts: Bags, words: int) -> Bags:
    """Return the values of `counts` `[text, place]`, whose first `words` places are words'."""
    from scipy import sparse
    from sklearn.preprocessing import normalize

    logs = counts.copy()
    logs.data = 1 + np.log(logs.data)
    parts = [normalize(part) for part in (logs[:, :words], logs[:, words:])]
    return sparse.hstack(parts, format="csr")


def _of_unit_length(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    values = 1 + np.log(counts)
    return (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)


def quantise_grams(
    places: NDArray[np.int64], weight: ArrayLike, bias: ArrayLike, task: str, space: int
) -> ChosenGrams:
    """Return the float layer `weight` `[gram, column]` on the rising `places` in four bits, a scale a column.

    `bias` is `[class]`. Raises FedbertError if the shapes do not fit or a value is not finite.
    """
    matrix, offset = np.asarray(weight, np.float64), np.asarray(bias, np.float32)
    if matrix.shape != (len(places), columns_of(len(offset))):
        raise FedbertError(
            f"wide part of {task}: weight{list(matrix.shape)} must be of {len(places)} n-grams for "
            f"{len(offset)} classes"
        )
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise FedbertError(f"wide part of {task}: weight and bias must be finite; train it again")
    scale = (np.maximum(np.abs(matrix).max(0, initial=0), 1e-8) / LIMIT).astype(np.float32)
    codes = np.rint(matrix / scale).clip(-LIMIT, LIMIT).astype(np.int8)
    return ChosenGrams(task, space, _gaps(places), packed_codes(codes), scale, offset)


def _places(gaps: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.cumsum(gaps, dtype=np.int32)[gaps < _STEP]


def _gaps(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    way = np.diff(places, prepend=0)
    steps = way // _STEP
    gaps = np.full(len(places) + int(steps.sum()), _STEP, np.uint8)
    gaps[np.cumsum(steps + 1) - 1] = way % _STEP
    return gaps


def grams_bytes(wide: ChosenGrams) -> bytes:
    """Return `wide` as a safetensors file; equal ones give equal bytes."""
    tensors: list[tuple[str, NDArray[Any]]] = [
        ("scale", wide.scale),
        ("bias", wide.bias),
        ("gaps", wide.gaps),
        ("codes", wide.packed),
    ]
    return tensor_file(tensors, {"space": str(wide.space), "task": wide.task})


def gram_bytes(places: NDArray[np.int64], classes: int, task: str, space: int) -> int:
    """Return the bytes of the file of n-grams at these `places`."""
    columns, gaps = columns_of(classes), _gaps(places)
    packed = np.zeros(-(-len(places) * columns // 2), np.uint8)
    zero = np.zeros(columns, np.float32), np.zeros(classes, np.float32)
    return len(grams_bytes(ChosenGrams(task, space, gaps, packed, *zero)))


def grams_memory(wide: ChosenGrams) -> int:
    """Return the bytes of `wide` once loaded: its file's tensors, places and codes."""
    held = (wide.gaps, wide.packed, wide.scale, wide.bias, wide.places, wide.codes)
    return sum(each.nbytes for each in held)


def read_grams(content: bytes, where: str) -> ChosenGrams:
    """Return the wide part of a safetensors file of `grams_bytes`.

    Raises FedbertError in one line, beginning with the task `where`, for what is none.
    """
    tensors, task, space = rows_of_wide(content, where, "space", ("gaps",))
    codes, gaps, scale, bias = (tensors[name] for name in ("codes", "gaps", "scale", "bias"))
    places = _places(gaps)
    if (
        len(bias) < 2
        or len(scale) != columns_of(len(bias))
        or len(codes) != -(-len(places) * len(scale) // 2)
        or not len(places)
        or space < 1
        or not (np.diff(places) > 0).all()
        or places[-1] >= KINDS * space
    ):
        raise FedbertError(
            f"wide part of {where}: {len(codes)} bytes of codes must be of {len(places)} n-grams, rising in "
            f"{space} places of each kind, for {len(bias)} classes, two a byte; fetch it again"
        )
    return ChosenGrams(task, space, gaps, codes, scale, bias)
