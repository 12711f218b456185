"""Fits a head with a wide part for a task that comes later: two logistic regressions, added.

A tenth of the texts is held out to choose how much the n-grams count; then both are fitted on all. Works
without torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.heads import Head, choose_strength, fit_head, rank_in_class
from fedbert.ei_bert.artefact.n_grams import Bags, n_grams
from fedbert.ei_bert.artefact.wide import Wide, quantise_wide
from fedbert.ei_bert.model import streams
from fedbert.randomness import Purpose, generator

_HELD_OUT = 10
"""One text of so many of a class is held out."""
_STRENGTHS = (3.0, 30.0)
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
_UNJUDGED = (10.0, 1.0)
"""Strength and weight where no class has ten texts, so that nothing is held out."""
_MOST_STEPS = 300


def fit_head_and_wide(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    labels: NDArray[np.int64],
    head: tuple[str, Sequence[str]],
    buckets: int,
    seed: int,
    strength: float | None = None,
) -> tuple[Head, Wide | None]:
    """Return the head of frozen `vectors` `[text, dim]`, and the wide part of the `texts` if it helps.

    `labels` `[text]` are indices into the names in `head` (task, names). Without a wide part the head is that
    of `fit_head`, whose errors hold; `strength` is its too. The wide part is None where the held-out texts
    are told best without it.
    """
    task, names = head
    chosen = choose_strength(vectors, labels, seed) if strength is None and _fits(labels, names) else strength
    whole = fit_head(vectors, labels, names, task, seed, chosen)
    bags = n_grams(texts, buckets)
    order = generator(seed, Purpose.SAMPLE, streams.HELD_OUT).permutation(len(labels))
    held = np.zeros(len(labels), bool)
    held[order] = rank_in_class(labels[order]) % _HELD_OUT == _HELD_OUT - 1
    penalty, weight = _UNJUDGED
    if held.any():
        rest = ~held
        deep = fit_head(vectors[rest], labels[rest], names, task, seed, chosen).logits(vectors[held])
        tried = {}
        for each in _STRENGTHS:
            matrix, bias = _regression(bags[rest], labels[rest], len(names), each)
            wide = np.asarray(bags[held] @ matrix) + bias
            for share in _WEIGHTS:
                tried[each, share] = float(((deep + share * wide).argmax(1) == labels[held]).mean())
        # Of equal ones the first: the least weight of the stronger penalty.
        penalty, weight = max(tried, key=lambda key: tried[key])
    if weight == 0:
        return whole, None
    matrix, bias = _regression(bags, labels, len(names), penalty)
    return whole, quantise_wide(weight * matrix, weight * bias, task)


def _fits(labels: NDArray[np.int64], names: Sequence[str]) -> bool:
    # What `fit_head` refuses must reach it, and not a choice of the penalty.
    return len(names) > 1 and bool((np.bincount(labels, minlength=len(names)) > 0).all())


def _regression(
    bags: Bags, labels: NDArray[np.int64], classes: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight `[bucket, class]` and bias `[class]`."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=strength, max_iter=_MOST_STEPS, tol=1e-3)
    model.fit(bags, labels)
    weight, bias = model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64)
    if classes == 2:
        weight, bias = np.hstack([-weight, weight]) / 2.0, np.concatenate([-bias, bias]) / 2.0
    return weight, bias
