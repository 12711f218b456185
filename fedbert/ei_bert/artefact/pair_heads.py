"""Heads that label pairs of texts: one int8 matrix on what two vectors have in common and where they differ.

The features are `[u, v, |u - v|, u * v]` of the two texts' vectors at unit length (Reimers and Gurevych 2019,
"Sentence-BERT"; the product is of Conneau et al. 2017, "InferSent"). Each text is encoded once, however many
pairs it is in. Works without torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedbert.ei_bert.artefact.heads import Head, fit_head
from fedbert.ei_bert.artefact.kind_files import checked_notes, head_file_bytes, head_tensors
from fedbert.errors import FedbertError

BLOCKS = 4
_LEAST_NORM = 1e-12
_TENSORS: dict[str, tuple[type[np.generic], tuple[str, ...]]] = {
    "weight": (np.int8, ("feature", "class")),
    "scale": (np.float32, ("class",)),
    "bias": (np.float32, ("class",)),
}


@dataclass(frozen=True)
class PairHead:
    """A task of pairs: its int8 matrix on the features of two vectors."""

    matrix: Head

    @property
    def task(self) -> str:
        """The task's name."""
        return self.matrix.task

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels' names, in class order."""
        return self.matrix.labels

    @property
    def dim(self) -> int:
        """Width of the vectors that the head reads."""
        return self.matrix.dim // BLOCKS

    def logits(
        self, first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]
    ) -> NDArray[np.float32]:
        """Return the logits `[pair, class]` of the vectors `[pair, dim]` of both texts.

        Raises FedbertError if the vectors have another width.
        """
        if first.shape[1:] != (self.dim,):
            raise FedbertError(
                f"head {self.task}: vectors{list(first.shape)} must be [pair, {self.dim}]; "
                "a head belongs to the encoder that it was fitted on"
            )
        return self.matrix.logits(pair_features(first, second))


def pair_features(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return `[u, v, |u - v|, u * v]` of vectors `[pair, dim]` at unit length, `[pair, 4 * dim]`."""
    u, v = (
        (x / np.maximum(np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True), _LEAST_NORM))
        for x in (first, second)
    )
    return np.concatenate([u, v, np.abs(u - v), u * v], 1).astype(np.float32)


def encoded_once(
    encode: Callable[[Sequence[str]], NDArray[np.float32]], first: Sequence[str], second: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors `[pair, dim]` of both texts of each pair; `encode` sees every text once."""
    place = {text: index for index, text in enumerate(dict.fromkeys([*first, *second]))}
    vectors = encode(list(place))
    return vectors[[place[text] for text in first]], vectors[[place[text] for text in second]]


def fit_pair_head(
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    labels: ArrayLike,
    names: Sequence[str],
    task: str,
    seed: int,
) -> PairHead:
    """Return the head of a task from the vectors `[pair, dim]` of both texts of each pair.

    `labels` `[pair]` are indices into `names`. Raises FedbertError as `heads.fit_head`.
    """
    return PairHead(fit_head(pair_features(first, second), labels, names, task, seed))


def pair_head_bytes(head: PairHead) -> bytes:
    """Return `head` as a safetensors file; equal heads give equal bytes."""
    matrix = head.matrix
    tensors: dict[str, NDArray[Any]] = {"weight": matrix.weight, "scale": matrix.scale, "bias": matrix.bias}
    return head_file_bytes({"kind": "pairs", "task": head.task, "labels": list(head.labels)}, tensors)


def read_pair_head(content: bytes, where: str) -> PairHead:
    """Return the head of a file; raises FedbertError in one line, beginning with `where`, if it is none."""
    task, labels = checked_notes(content, where)
    found = head_tensors(content, _TENSORS, where)
    rows, columns = found["weight"].shape
    if rows % BLOCKS or columns != len(labels):
        raise FedbertError(
            f"head {where}: weight[{rows}, {columns}] must be of {BLOCKS} blocks of rows and "
            f"{len(labels)} columns; fetch it again"
        )
    return PairHead(Head(task, labels, found["weight"], found["scale"], found["bias"]))
