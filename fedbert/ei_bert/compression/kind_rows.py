"""A student beside its teacher on sets of every kind: both frozen, with the same head."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.heads import fit_head
from fedbert.ei_bert.artefact.pair_heads import encoded_once, fit_pair_head
from fedbert.ei_bert.artefact.tag_fit import fit_tag_head
from fedbert.ei_bert.artefact.word_states import Sentences, WordStates, gathered
from fedbert.ei_bert.compression.rows import KindRow
from fedbert.ei_bert.compression.set_scores import (
    Counts,
    counts_of_labels,
    counts_of_tags,
    counts_on_test,
    figure,
    fit_set,
    metric_of,
)
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.pair_sets import PairSet
from fedbert.ei_bert.teaching.sets import AnySet, kind_of_set
from fedbert.ei_bert.teaching.tag_sets import TagSet
from fedbert.ei_bert.teaching.teacher import Teacher, sentence_vectors, sorted_batches
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, generator

Store = Callable[[NDArray[np.intp], NDArray[np.float32]], None]

_READ_TOKENS = 2_048
_DRAWS, _TAILS = 1_000, (2.5, 97.5)
_UNBOUNDED_BYTES = 10**12


def teacher_word_states(teacher: Teacher, sentences: Sentences) -> WordStates:
    """Return the teacher's states of words, as `Int8Encoder.word_states` gives those of a student."""
    rows, places = teacher.tokens.word_rows(sentences)

    def run(store: Store) -> None:
        with torch.inference_mode():
            for chosen, ids in sorted_batches(rows, _READ_TOKENS):
                store(chosen, teacher.body(ids).numpy())

    return gathered(places, teacher.width, run)


def teacher_counts(teacher: Teacher, found: AnySet, seed: int = 0) -> Counts:
    """Return the counts of the frozen teacher with the head that a student gets, on a set's test texts.

    Raises FedbertError for a set without test texts.
    """
    if not len(found.test):
        raise FedbertError(f"set {found.name}: must have test texts; add some or leave out column split")
    if isinstance(found, TagSet):
        states = partial(teacher_word_states, teacher)
        head = fit_tag_head(
            states(found.train.words), found.train.words, found.train.tags, found.tags, found.name, seed
        )
        return counts_of_tags(head.tagged(states(found.test.words), found.test.words), found.test.tags)

    def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(sentence_vectors(teacher, texts).numpy(), np.float32)

    if isinstance(found, PairSet):
        train = encoded_once(vectors, found.train.first, found.train.second)
        pairs = fit_pair_head(*train, found.train.labels, found.labels, found.name, seed)
        logits = pairs.logits(*encoded_once(vectors, found.test.first, found.test.second))
    else:
        own = fit_head(vectors(found.train.texts), found.train.labels, found.labels, found.name, seed)
        logits = own.logits(vectors(found.test.texts))
    return counts_of_labels(logits.argmax(1).tolist(), found.test.labels.tolist())


def share(mine: Counts, theirs: Counts, seed: int = 0) -> tuple[float, float, float]:
    """Return the figure of `mine` over that of `theirs`, with its 95 % interval, of the same texts.

    The interval is a percentile bootstrap of texts. Raises FedbertError if nothing of `theirs` is right.
    """
    if not theirs[:, 0].any():
        raise FedbertError("the teacher must be right on at least one test text; give more texts")
    count = len(mine)
    draw = generator(seed, Purpose.RESAMPLING, streams.KIND_SHARE)
    ratios = []
    for _ in range(_DRAWS):
        some = draw.integers(count, size=count)
        if below := figure(theirs[some]):
            ratios.append(figure(mine[some]) / below)
    low, high = np.percentile(ratios, _TAILS)
    return figure(mine) / figure(theirs), float(low), float(high)


def kind_row(bert: EiBert, found: AnySet, theirs: Counts, seed: int = 0) -> KindRow:
    """Fit a head of a set on `bert`, add it, and return how it does on test texts beside the teacher.

    `theirs` are the teacher's counts. Raises FedbertError as `EiBert.add_head`.
    """
    fit_set(bert, found, seed)
    mine = counts_on_test(bert, found)
    ratio, low, high = share(mine, theirs, seed)
    return {
        "name": found.name,
        "kind": kind_of_set(found),
        "metric": metric_of(found),
        "test": len(found.test),
        "teacher": figure(theirs),
        "student": figure(mine),
        "share": ratio,
        "low": low,
        "high": high,
        "bytes": len(bert.artefact.heads[found.name]),
    }


def with_sets(
    artefact: Artefact, teacher: Teacher, sets: Sequence[AnySet], seed: int = 0
) -> tuple[Artefact, list[KindRow]]:
    """Return `artefact` with a head fitted for each of `sets`, and their rows."""
    bert = EiBert(artefact, budget_bytes=_UNBOUNDED_BYTES)
    rows = [kind_row(bert, found, teacher_counts(teacher, found, seed), seed) for found in sets]
    return bert.artefact, rows
