"""Fits a tagging head on the frozen states of words, with torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fedbert.ei_bert.artefact.tag_heads import (
    TagHead,
    quantised,
    side_by_side,
    standardised,
    surroundings,
    tag_places,
)
from fedbert.ei_bert.artefact.word_features import word_features
from fedbert.ei_bert.artefact.word_states import Sentences, WordStates
from fedbert.ei_bert.model import streams
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, generator

# Chosen on the validation texts of SNIPS.
_INNER, _BUCKETS, _REACH = 64, 1_024, 1
_EPOCHS, _BATCH, _RATE, _DECAY, _DROPPED = 20, 256, 2e-3, 1e-4, 0.1
# A feature varies if its spread is more than the rounding of float32.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class _Read:
    """What a training reads: standardised states, the places of words' neighbours, features, tags, and the
    rows of the words that are read.
    """

    states: NDArray[np.float32]
    places: NDArray[np.int64]
    features: NDArray[np.int64]
    tags: NDArray[np.int64]
    rows: NDArray[np.intp]


class _Tagger(nn.Module):
    """The head as floats."""

    def __init__(self, near: int, tags: int) -> None:
        super().__init__()
        self.near = nn.Linear(near, _INNER)
        self.words = nn.EmbeddingBag(_BUCKETS, _INNER, mode="sum")
        self.out = nn.Linear(_INNER, tags)
        nn.init.zeros_(self.words.weight)

    def forward(self, near: Tensor, features: Tensor) -> Tensor:
        """Return the scores `[word, tag]`."""
        scores: Tensor = self.out(functional.relu(self.near(near) + self.words(features)))
        return scores


def fit_tag_head(
    found: WordStates,
    sentences: Sentences,
    tags: Sequence[Sequence[str]],
    names: Sequence[str],
    task: str,
    seed: int,
) -> TagHead:
    """Return a task's head from the frozen states of the words of `sentences` and their `tags`.

    `names` are the tags in class order. AdamW with a cosine fall, on the words that are read. `seed` decides
    the first weights, what is dropped and the order of words. Raises FedbertError if no word is read.
    """
    rows = np.flatnonzero(found.read)
    if not len(rows):
        raise FedbertError(f"head {task}: no word of its texts is read by the encoder; check column text")
    middle = found.states[rows].mean(0, dtype=np.float64).astype(np.float32)
    spread = found.states[rows].std(0, dtype=np.float64)
    spread = np.where(spread > _ROUNDING * (np.abs(middle) + 1.0), spread, 1.0).astype(np.float32)
    read = _Read(
        standardised(found, middle, spread),
        surroundings(found, _REACH),
        word_features(sentences, _BUCKETS),
        tag_places(tags, names),
        rows,
    )
    tagger = _trained(read, len(names), seed)
    floats = {name: value.detach().numpy() for name, value in tagger.named_parameters()}
    return TagHead(
        task=task,
        tags=tuple(names),
        middle=middle,
        spread=spread,
        near=quantised(floats["near.weight"].T),
        words=quantised(floats["words.weight"]),
        inner_bias=floats["near.bias"].copy(),
        out=quantised(floats["out.weight"].T),
        bias=floats["out.bias"].copy(),
    )


def blank_tag_head(task: str, names: Sequence[str], dim: int) -> TagHead:
    """Return a head of zeros for states of `dim` features: it takes as many bytes as a fitted one."""
    inner, tags = np.zeros(_INNER, np.float32), np.zeros(len(names), np.float32)
    rows = dim * (2 * _REACH + 1)
    return TagHead(
        task=task,
        tags=tuple(names),
        middle=np.zeros(dim, np.float32),
        spread=np.ones(dim, np.float32),
        near=quantised(np.zeros((rows, _INNER))),
        words=quantised(np.zeros((_BUCKETS, _INNER))),
        inner_bias=inner,
        out=quantised(np.zeros((_INNER, len(names)))),
        bias=tags,
    )


def _trained(read: _Read, names: int, seed: int) -> _Tagger:
    rows, near = read.rows, read.places.shape[1] * read.states.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tagger = _Tagger(near, names)
        optimiser = torch.optim.AdamW(tagger.parameters(), lr=_RATE, weight_decay=_DECAY)
        batches = max(len(rows) // _BATCH, 1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _EPOCHS * batches)
        draw = generator(seed, Purpose.TRAINING, streams.TAG_EPOCH)
        for _ in range(_EPOCHS):
            for some in np.array_split(draw.permutation(rows), batches):
                near_states = torch.from_numpy(side_by_side(read.states, read.places[some]))
                bags, wanted = torch.from_numpy(read.features[some]), torch.from_numpy(read.tags[some])
                scores = tagger(functional.dropout(near_states, _DROPPED), bags)
                loss = functional.cross_entropy(scores, wanted)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    return tagger.eval()
