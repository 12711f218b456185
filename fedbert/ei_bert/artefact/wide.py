"""The wide part of a head: an int4 linear layer on hashed n-grams, whose logits are added to the head's.

A file of its own holds, as safetensors, `codes` uint8 (two values -7 .. 7 a byte, bucket by bucket, the first
in the low half), `scale` and `bias` float32 `[class]`, and in its metadata `task` and `buckets`: ``logits =
n-grams @ (codes * scale) + bias``. Classes are in the order of the head's labels. A text's logits are the
same bits alone and in any batch. Works without torch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from fedbert.ei_bert.artefact.n_grams import n_grams_of
from fedbert.ei_bert.artefact.nibbles import LIMIT, packed_codes, unpacked_codes
from fedbert.ei_bert.artefact.tensor_file import tensor_file
from fedbert.errors import FedbertError, invalid


@dataclass(frozen=True)
class Wide:
    """A task's wide part: `packed` uint8 `[ceil(buckets * class / 2)]`, `scale` and `bias` `[class]`."""

    task: str
    buckets: int
    packed: NDArray[np.uint8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def classes(self) -> int:
        """How many labels the task has."""
        return len(self.bias)

    @cached_property
    def codes(self) -> NDArray[np.int8]:
        """The values -7 .. 7, int8 `[bucket, class]`, unpacked when they are first asked for."""
        return unpacked_codes(self.packed, self.buckets, len(self.scale))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the n-grams of `texts` say, `[text, class]`."""
        out = np.empty((len(texts), len(self.scale)), np.float32)
        # A row at a time: the same product alone and in a batch, and no float copy of all codes in memory.
        for row, text in enumerate(texts):
            places, values = n_grams_of(text, self.buckets)
            out[row] = (values @ self.codes[places].astype(np.float32)) * self.scale + self.bias
        return out


def quantise_wide(weight: ArrayLike, bias: ArrayLike, task: str) -> Wide:
    """Return the float layer `weight` `[bucket, class]`, `bias` `[class]` in four bits, one scale a class.

    Raises FedbertError if the shapes do not fit or a value is not finite.
    """
    matrix, offset = np.asarray(weight, np.float64), np.asarray(bias, np.float32)
    if matrix.ndim != 2 or not len(matrix) or matrix.shape[1:] != offset.shape:
        raise FedbertError(
            f"wide part of {task}: weight{list(matrix.shape)} and bias{list(offset.shape)} must be "
            "[bucket, class] and [class]"
        )
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise FedbertError(f"wide part of {task}: weight and bias must be finite; train it again")
    scale = (np.maximum(np.abs(matrix).max(0), 1e-8) / LIMIT).astype(np.float32)
    codes = np.rint(matrix / scale).clip(-LIMIT, LIMIT).astype(np.int8)
    return Wide(task, len(matrix), packed_codes(codes), scale, offset)


def wide_bytes(wide: Wide) -> bytes:
    """Return `wide` as a safetensors file; equal ones give equal bytes."""
    tensors: list[tuple[str, NDArray[Any]]] = [
        ("scale", wide.scale),
        ("bias", wide.bias),
        ("codes", wide.packed),
    ]
    return tensor_file(tensors, {"buckets": str(wide.buckets), "task": wide.task})


def read_wide(content: bytes, where: str) -> Wide:
    """Return the wide part of a safetensors file.

    Raises FedbertError in one line, beginning with the task `where`, for what is none.
    """
    wrong = f"wide part of {where}:"
    tensors, task, buckets = rows_of_wide(content, where, "buckets")
    codes, scale, bias = tensors["codes"], tensors["scale"], tensors["bias"]
    if buckets < 1 or scale.shape != bias.shape or len(codes) != -(-buckets * len(scale) // 2):
        raise FedbertError(
            f"{wrong} {len(codes)} bytes of codes must be of {buckets} buckets for {len(scale)} classes, two "
            "a byte; fetch it again"
        )
    return Wide(task, buckets, codes, scale, bias)


def rows_of_wide(
    content: bytes, where: str, count: str, more: tuple[str, ...] = ()
) -> tuple[dict[str, NDArray[Any]], str, int]:
    """Return the tensors of a wide part's file, its task, and the number that its metadata call `count`.

    Each tensor is a row: `codes` and those of `more` uint8, `scale` > 0 and `bias` finite float32. Raises
    FedbertError for another file.
    """
    wrong = f"wide part of {where}:"
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        notes = json.loads(content[8 : 8 + size])["__metadata__"]
        task, found = str(notes["task"]), int(notes[count])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FedbertError(f"{wrong} not a safetensors file of one ({error}); fetch it again") from error
    kinds = {**dict.fromkeys(("codes", *more), np.uint8), "scale": np.float32, "bias": np.float32}
    for name, dtype in kinds.items():
        if name not in tensors or tensors[name].dtype != dtype or tensors[name].ndim != 1:
            raise FedbertError(f"{wrong} tensor {name} must be a row of {np.dtype(dtype)}; fetch it again")
    scale, bias = tensors["scale"], tensors["bias"]
    if not (np.isfinite(scale).all() and np.isfinite(bias).all() and (scale > 0).all()):
        raise FedbertError(f"{wrong} scale must be > 0, scale and bias finite; fetch it again")
    return tensors, task, found


def file_bytes(buckets: int, classes: int, task: str) -> int:
    """Return the bytes of the file of a wide part of that shape."""
    zero = np.zeros(classes, np.float32)
    return len(wide_bytes(Wide(task, buckets, np.zeros(-(-buckets * classes // 2), np.uint8), zero, zero)))


def buckets_within(budget_bytes: int, classes: dict[str, int]) -> int:
    """Return how many buckets each task may have if all are alike; `classes` are by task.

    Raises FedbertError if the budget has no room for one.
    """
    fixed = sum(file_bytes(0, count, task) for task, count in classes.items())
    found = max(2 * (budget_bytes - fixed) // sum(classes.values()), 0)
    # Sizes are written in digits and padded: a larger header may take some bytes more.
    while found > 0 and sum(file_bytes(found, count, task) for task, count in classes.items()) > budget_bytes:
        found -= 1
    if found < 1:
        least = fixed + sum(classes.values())
        raise invalid("bytes", budget_bytes, f"have room for a bucket of each task, {least} bytes or more")
    return found
