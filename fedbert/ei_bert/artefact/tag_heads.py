"""Heads that tag words by the states of a word and its neighbours, and by the word's letters, in int8.

    z = (state - middle) / spread
    inner = relu([z of the word, of its neighbours] @ near + sum of words[feature] + inner_bias)
    scores = inner @ weight + bias

`near`, `words` and `weight` are int8, with a scale a column. The tags of a text are those of the highest sum
of scores among the sequences that BIO allows (`bio.best_tags`). Works without torch; `tag_fit` does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.bio import OUTSIDE, best_tags, misplaced, steps
from fedbert.ei_bert.artefact.kind_files import checked_notes, head_file_bytes, head_tensors
from fedbert.ei_bert.artefact.word_features import word_features
from fedbert.ei_bert.artefact.word_states import Sentences, WordStates
from fedbert.errors import FedbertError

# As `heads`: a head is multiplied in float, so its weights may take all 8 bits.
_LIMIT = 127
_FORBIDDEN = -1e30
# Bounds the memory of a batch of words, whose states stand side by side in it.
_WORDS_AT_ONCE = 8_192
_TENSORS: dict[str, tuple[type[np.generic], tuple[str, ...]]] = {
    "middle": (np.float32, ("dim",)),
    "spread": (np.float32, ("dim",)),
    "near": (np.int8, ("near", "inner")),
    "near_scale": (np.float32, ("inner",)),
    "words": (np.int8, ("bucket", "inner")),
    "words_scale": (np.float32, ("inner",)),
    "inner_bias": (np.float32, ("inner",)),
    "weight": (np.int8, ("inner", "tag")),
    "scale": (np.float32, ("tag",)),
    "bias": (np.float32, ("tag",)),
}


@dataclass(frozen=True)
class Matrix:
    """An int8 matrix `[row, column]` in -127 .. 127 with a float32 scale a column."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]

    def floats(self) -> NDArray[np.float64]:
        """Return what the matrix stands for."""
        return self.values.astype(np.float64) * self.scale


def quantised(matrix: NDArray[np.floating[Any]]) -> Matrix:
    """Return `matrix` `[row, column]` in int8, each value off by half its column's scale at most."""
    scale = (np.maximum(np.abs(matrix).max(0), 1e-8) / _LIMIT).astype(np.float32)
    return Matrix(np.rint(matrix / scale).clip(-_LIMIT, _LIMIT).astype(np.int8), scale)


@dataclass(frozen=True)
class TagHead:
    """A tagging task's head; see the module's formula. `near` has a block of rows for each place in it."""

    task: str
    tags: tuple[str, ...]
    middle: NDArray[np.float32]
    spread: NDArray[np.float32]
    near: Matrix
    words: Matrix
    inner_bias: NDArray[np.float32]
    out: Matrix
    bias: NDArray[np.float32]

    @property
    def dim(self) -> int:
        """Width of the states that the head reads."""
        return len(self.middle)

    @property
    def reach(self) -> int:
        """How many words before, and behind, are read."""
        return (len(self.near.values) // self.dim - 1) // 2

    def logits(self, found: WordStates, sentences: Sentences) -> NDArray[np.float32]:
        """Return the scores `[word, tag]` of the words of `sentences`, whose states are `found`.

        Raises FedbertError if the states have another width.
        """
        if found.states.shape[1] != self.dim:
            raise FedbertError(
                f"head {self.task}: states of {found.states.shape[1]} must be of {self.dim}; "
                "a head belongs to the encoder that it was fitted on"
            )
        states = standardised(found, self.middle, self.spread)
        features = word_features(sentences, len(self.words.values))
        places, count = surroundings(found, self.reach), len(found.states)
        near, words, out = self.near.floats(), self.words.floats(), self.out.floats()
        scores = np.empty((count, len(self.tags)), np.float32)
        for low in range(0, count, _WORDS_AT_ONCE):
            some = slice(low, low + _WORDS_AT_ONCE)
            inner = (
                side_by_side(states, places[some]).astype(np.float64) @ near
                + words[features[some]].sum(1)
                + self.inner_bias
            )
            # Rounded, as in `heads`: what a word gets must not depend on what else is in the batch.
            rounded = np.maximum(inner, 0.0).astype(np.float32).astype(np.float64)
            scores[some] = rounded @ out + self.bias
        return scores

    def tagged(self, found: WordStates, sentences: Sentences) -> list[list[str]]:
        """Return a tag for each word of `sentences`: an allowed sequence, `O` for words that are not read."""
        scores = self.logits(found, sentences)
        unread = np.where([tag == OUTSIDE for tag in self.tags], 0.0, _FORBIDDEN).astype(np.float32)
        scores = np.where(found.read[:, None], scores, unread)
        between = steps(self.tags)
        return [[self.tags[tag] for tag in best_tags(scores[own], between)] for own in found.texts()]


def standardised(
    found: WordStates, middle: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the states less `middle` over `spread`, `[word + 1, dim]`; zeros for words that are not read.

    The last row is of zeros: that of words beyond a text.
    """
    out = np.zeros((len(found.states) + 1, len(middle)), np.float32)
    np.subtract(found.states, middle, out=out[:-1], where=found.read[:, None])
    out[:-1] /= spread
    return out


def surroundings(found: WordStates, reach: int) -> NDArray[np.int64]:
    """Return the rows of each word and of the `reach` words before and behind it, `[word, place]`.

    The places are the word, the one before, the one behind, the second before, and so on; -1 stands for words
    beyond the text.
    """
    text = np.repeat(np.arange(len(found.lengths)), found.lengths)
    count, row = len(text), np.arange(len(text))
    parts = [row]
    for away in range(1, reach + 1):
        for shift in (-away, away):
            place = row + shift
            inside = (place >= 0) & (place < count)
            inside[inside] = text[place[inside]] == text[inside]
            parts.append(np.where(inside, place, -1))
    return np.stack(parts, 1)


def side_by_side(states: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the states at `places` `[word, place]`, `[word, place * dim]`."""
    return states[places].reshape(len(places), -1)


def tag_head_bytes(head: TagHead) -> bytes:
    """Return `head` as a safetensors file; equal heads give equal bytes."""
    tensors: dict[str, NDArray[Any]] = {
        "middle": head.middle,
        "spread": head.spread,
        "near": head.near.values,
        "near_scale": head.near.scale,
        "words": head.words.values,
        "words_scale": head.words.scale,
        "inner_bias": head.inner_bias,
        "weight": head.out.values,
        "scale": head.out.scale,
        "bias": head.bias,
    }
    return head_file_bytes({"kind": "tags", "task": head.task, "labels": list(head.tags)}, tensors)


def read_tag_head(content: bytes, where: str) -> TagHead:
    """Return the head of a file; raises FedbertError in one line, beginning with `where`, if it is none."""
    task, tags = checked_notes(content, where)
    found = head_tensors(content, _TENSORS, where)
    wrong = [tag for tag in tags if (at := misplaced([tag])) is not None and at[1].startswith("be ")]
    if wrong or OUTSIDE not in tags:
        raise FedbertError(f"head {where}: its labels must be O, B-NAME and I-NAME; fetch it again")
    dim = len(found["middle"])
    if len(found["weight"].T) != len(tags) or len(found["near"]) % dim or len(found["near"]) // dim % 2 == 0:
        raise FedbertError(
            f"head {where}: near[{len(found['near'])}, ...] must be of an odd number of states of {dim}, and "
            f"weight[..., {len(found['weight'].T)}] of {len(tags)} tags; fetch it again"
        )
    if not (found["spread"] > 0).all():
        raise FedbertError(f"head {where}: spread must be > 0; fetch it again")
    return TagHead(
        task=task,
        tags=tags,
        middle=found["middle"],
        spread=found["spread"],
        near=Matrix(found["near"], found["near_scale"]),
        words=Matrix(found["words"], found["words_scale"]),
        inner_bias=found["inner_bias"],
        out=Matrix(found["weight"], found["scale"]),
        bias=found["bias"],
    )


def tag_places(tags: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the places in `names` of all words' tags, `[word]`."""
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[tag] for own in tags for tag in own], np.int64)
