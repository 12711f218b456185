"""Fits a head with a wide part for a task that comes later: a logistic regression on the encoder's vectors
and a support vector machine on n-grams, added.

The n-grams are those on which a first machine laid most weight. Some tenths of the texts are held out, one
after the other, to choose how much they count; then all is fitted on all texts. Works without torch.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.chosen_grams import (
    ChosenGrams,
    columns_of,
    counted,
    gram_bytes,
    quantise_grams,
    valued,
)
from fedbert.ei_bert.artefact.heads import Head, choose_strength, fit_head, rank_in_class
from fedbert.ei_bert.artefact.n_grams import Bags
from fedbert.ei_bert.model import streams
from fedbert.errors import invalid
from fedbert.randomness import Purpose, generator

_TENTHS = 10
# One of a few hundred texts is too little to tell a weight from the next: tenths are held out until there are
# so many, but not more than half of them.
_ENOUGH_TEXTS, _MOST_HELD_OUT = 1_000, 5
_STRENGTHS = (0.1, 0.3, 1.0, 3.0)
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
_UNJUDGED = (0.3, 2.0)
"""Strength and weight where no label has two texts, so that nothing is held out."""
_FIRST_STRENGTH = 0.3
# Places of each kind in which n-grams are counted before they are chosen, and how many a chosen one then has.
_SPACE, _PLACES_A_GRAM = 2**22, 32
# A rare n-gram's value is multiplied by some 5 to 10, a frequent one's by 1, and all by this: so strengths
# mean what they mean to rows of unit length.
_RARITY_SCALE = 0.2
_LEAST_GAIN = 1e-3


def fit_head_and_wide(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    labels: NDArray[np.int64],
    head: tuple[str, Sequence[str]],
    wide_bytes: int,
    seed: int,
    strength: float | None = None,
) -> tuple[Head, ChosenGrams | None]:
    """Return the head of frozen `vectors` `[text, dim]`, and the wide part of the `texts` if it helps.

    `labels` `[text]` are indices into the names in `head` (task, names). The wide part's file has at most
    `wide_bytes`. Without one the head is that of `fit_head`, whose errors hold; `strength` is its too. The
    wide part is None where the held-out texts are told best without it.
    """
    task, names = head
    chosen = choose_strength(vectors, labels, seed) if strength is None and _fits(labels, names) else strength
    whole = fit_head(vectors, labels, names, task, seed, chosen)
    counts = counted(texts, _SPACE)
    there = np.unique(counts.indices).astype(np.int64)
    if not len(there):
        return whole, None
    grams = _Grams(there, counts[:, there], labels, head, wide_bytes)
    tried: dict[float, list[NDArray[np.bool_]]] = {each: [] for each in _STRENGTHS}
    for held in _held_out(labels, seed):
        rest = ~held
        deep = fit_head(vectors[rest], labels[rest], names, task, seed, chosen).logits(vectors[held])
        kept = grams.kept(rest)
        for each in _STRENGTHS:
            layer = kept.layer(rest, each)
            wide = quantise_grams(kept.places, *layer, task, kept.space).logits_of(kept.values[held])
            tried[each].append(
                np.array([(deep + share * wide).argmax(1) == labels[held] for share in _WEIGHTS])
            )
    penalty, weight = best_of({each: np.hstack(hits) for each, hits in tried.items() if hits})
    if weight == 0:
        return whole, None
    everything = np.ones(len(labels), bool)
    kept = grams.kept(everything)
    matrix, bias = kept.layer(everything, penalty)
    return whole, quantise_grams(kept.places, weight * matrix, weight * bias, task, kept.space)


def _fits(labels: NDArray[np.int64], names: Sequence[str]) -> bool:
    # What `fit_head` refuses must reach it, and not a choice of the penalty.
    return len(names) > 1 and bool((np.bincount(labels, minlength=len(names)) > 0).all())


def _held_out(labels: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield which texts are held out, time after time; of each label one stays at least."""
    order = generator(seed, Purpose.SAMPLE, streams.HELD_OUT).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)
    rank[order] = rank_in_class(labels[order])
    parts, seen = min(_TENTHS, int(rank.max()) + 1), 0
    for part in range(min(parts, _MOST_HELD_OUT)):
        held = (rank % parts == parts - 1 - part) & (rank > 0)
        if held.any() and seen < _ENOUGH_TEXTS:
            seen += int(held.sum())
            yield held


def best_of(
    tried: Mapping[float, NDArray[np.bool_]], weights: Sequence[float] = _WEIGHTS
) -> tuple[float, float]:
    """Return strength and weight by which most held-out texts are right; `tried` says, by strength, which
    are, `[weight, text]`.

    Each weight counts with its neighbours; of equal ones the first is taken, the least weight of the
    strongest penalty. What gains no more texts over the first weight, which is 0, than one standard error of
    the difference is no gain (the one-standard-error rule of Breiman et al. 1984): then the weight is 0.
    Without any held-out text the middle is taken.
    """
    best, found = -1.0, _UNJUDGED
    for strength, right in tried.items():
        hits = right.sum(1)
        for place, weight in enumerate(weights):
            near = float(hits[max(place - 1, 0) : place + 2].mean())
            if near > best:
                # Texts on which both differ, each a gain or a loss, vary as their number's root.
                gain, error = near - hits[0], np.sqrt((right[place] != right[0]).sum())
                best, found = near, (strength, weight if gain > error else 0.0)
    return found


@dataclass(frozen=True)
class _Kept:
    """Chosen n-grams: their rising `places` in a `space`, all texts' `values` `[text, gram]`, labels, the
    number of these, and how rare each n-gram is among the texts that chose them.
    """

    places: NDArray[np.int64]
    space: int
    values: Bags
    labels: NDArray[np.int64]
    classes: int
    rarity: NDArray[np.float64]

    def layer(
        self, rows: NDArray[np.bool_], strength: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weight `[gram, column]` and bias `[class]` of the machine of `strength` on the `rows`."""
        weight, bias = _machine(self.values[rows], self.labels[rows], self.rarity, strength)
        if self.classes == 2:
            # Two classes come as one column, the second against the first.
            return weight / 2, np.concatenate([-bias, bias]) / 2
        return weight, bias


@dataclass(frozen=True)
class _Grams:
    """All n-grams of some texts: their rising `places`, counts `[text, gram]`, the labels, task and names,
    and the bytes that a file of them may have.
    """

    places: NDArray[np.int64]
    counts: Bags
    labels: NDArray[np.int64]
    head: tuple[str, Sequence[str]]
    wide_bytes: int

    def kept(self, rows: NDArray[np.bool_]) -> _Kept:
        """Return the n-grams that fit into the bytes and count most for the `rows`.

        What counts is a first machine's weight times the root of the number of texts. Raises FedbertError if
        not even one fits.
        """
        task, classes = self.head[0], len(self.head[1])
        found = np.bincount(self.counts[rows].indices, minlength=len(self.places))
        rarity = _rarity(found, int(rows.sum()))
        values = valued(self.counts, int(np.searchsorted(self.places, _SPACE)))
        weight, _ = _machine(values[rows], self.labels[rows], rarity, _FIRST_STRENGTH)
        worth = np.abs(weight).max(1) * np.sqrt(found)
        best = self.places[np.argsort(-worth, kind="stable")[: int((found > 0).sum())]]
        each = 1 + columns_of(classes) / 2
        count = min(int(self.wide_bytes / each), len(best))
        while count > 0:
            kept = self._in_space(best[:count], rows)
            over = gram_bytes(kept.places, classes, task, kept.space) - self.wide_bytes
            if over <= 0:
                return kept
            count -= math.ceil(over / each)
        raise invalid("wide_bytes", self.wide_bytes, "have room for n-grams", "give more, or 0 for none")

    def _in_space(self, best: NDArray[np.int64], rows: NDArray[np.bool_]) -> _Kept:
        from scipy import sparse

        # A power of two that divides the first space: the smaller one's places follow from its places.
        space = min(2 ** int(np.log2(_PLACES_A_GRAM * len(best))), _SPACE)
        places = np.unique(_folded(best, space))
        # What is not chosen but falls on a chosen place counts there, too, as it will in any text.
        folded = _folded(self.places, space)
        column = np.minimum(np.searchsorted(places, folded), len(places) - 1)
        met = places[column] == folded
        ones = np.ones(int(met.sum()))
        shape = (len(self.places), len(places))
        merge = sparse.csr_matrix((ones, (np.flatnonzero(met), column[met])), shape)
        counts = sparse.csr_matrix(self.counts @ merge)
        values = valued(counts, int(np.searchsorted(places, space)))
        found = np.bincount(values[rows].indices, minlength=len(places))
        rarity = _rarity(found, int(rows.sum()))
        return _Kept(places, space, values, self.labels, len(self.head[1]), rarity)


def _folded(places: NDArray[np.int64], space: int) -> NDArray[np.int64]:
    return places % _SPACE % space + (places // _SPACE) * space


def _rarity(texts: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return by how much n-grams of so many `texts` of `count` are multiplied: their rarity."""
    # Inverse document frequency (Sparck Jones 1972), smoothed.
    return np.asarray((np.log((1 + count) / (1 + texts)) + 1) * _RARITY_SCALE, np.float64)


def _machine(
    values: Bags, labels: NDArray[np.int64], rarity: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight `[gram, column]` on `values`, and bias `[column]`, of a linear support vector machine.

    It sees the values times their `rarity`, which is folded into its weight: a rare n-gram's is held back
    less.
    """
    from scipy import sparse
    from sklearn.svm import LinearSVC

    model: Any = LinearSVC(C=strength, tol=_LEAST_GAIN, random_state=0)
    model.fit(values @ sparse.diags(rarity), labels)
    return rarity[:, None] * model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64)
