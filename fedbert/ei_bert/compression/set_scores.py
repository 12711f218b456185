"""Sets of every kind on one encoder: a head fitted on what is frozen, and how it does on test texts.

A figure is the accuracy on texts or pairs, or the F1 of entities of tagged words. Both follow from counts of
each text: what is right, what was said and what is there (one each, where a text has one label).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.any_heads import AnyHead
from fedbert.ei_bert.artefact.bio import compared
from fedbert.ei_bert.pretrained import EiBert
from fedbert.ei_bert.teaching.pair_sets import PairSet
from fedbert.ei_bert.teaching.sets import AnySet
from fedbert.ei_bert.teaching.tag_sets import TagSet

Counts = NDArray[np.int64]
"""Right, said and there, `[text, 3]`."""


def metric_of(found: AnySet) -> str:
    """Return the name of a set's figure."""
    return "entity F1" if isinstance(found, TagSet) else "accuracy"


def figure(counts: Counts) -> float:
    """Return the F1 of `counts` (0 if nothing is right); of texts of one label each it is the accuracy."""
    right, said, there = counts.sum(0).tolist()
    return 2 * right / (said + there) if right else 0.0


def counts_of_labels(said: Sequence[object], there: Sequence[object]) -> Counts:
    """Return the counts of texts of one label each."""
    right = np.array([mine == theirs for mine, theirs in zip(said, there, strict=True)], np.int64)
    return np.stack([right, np.ones_like(right), np.ones_like(right)], 1)


def counts_of_tags(said: Sequence[Sequence[str]], there: Sequence[Sequence[str]]) -> Counts:
    """Return the counts of the entities of each text."""
    rows = [compared(mine, theirs) for mine, theirs in zip(said, there, strict=True)]
    return np.array([(row.right, row.said, row.there) for row in rows], np.int64).reshape(-1, 3)


def fit_set(bert: EiBert, found: AnySet, seed: int = 0, wide_bytes: int = 0) -> AnyHead:
    """Fit a head on the training texts of a set, add it to `bert` and return it; raises as `EiBert`.

    `wide_bytes` are for a wide part of a head that labels texts.
    """
    if isinstance(found, TagSet):
        return bert.fit_tags(found.train.texts(), found.train.tags, found.name, seed)
    labels = [found.labels[index] for index in found.train.labels.tolist()]
    if isinstance(found, PairSet):
        return bert.fit_pairs(found.train.first, found.train.second, labels, found.name, seed)
    return bert.fit_head(found.train.texts, labels, found.name, seed, wide_bytes=wide_bytes)


def counts_on_test(bert: EiBert, found: AnySet) -> Counts:
    """Return the counts of `bert` on the test texts of a set of which it has a head."""
    if isinstance(found, TagSet):
        return counts_of_tags(bert.tag(found.test.texts(), found.name), found.test.tags)
    wanted = [found.labels[index] for index in found.test.labels.tolist()]
    if isinstance(found, PairSet):
        said = bert.classify_pairs(found.test.first, found.test.second, found.name)
    else:
        said = bert.classify(found.test.texts, found.name)
    return counts_of_labels(said, wanted)
