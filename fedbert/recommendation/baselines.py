"""TF-IDF on the same text as the model: what plain word matching would reach, with integer scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedbert.recommendation.catalogue import PublicData
from fedbert.recommendation.names import counts_anything

# Weights in 2^-14: products of two unit vectors stay far within int32, and order is lost to no rounding.
_UNIT = 2**14

# Sessions scored at a time: their sparse rows are repeated once a candidate.
_ROWS_PER_BLOCK = 8192

TABLE_ENTRIES = 64_000_000
"""The largest table of all texts against all items (256 MB); larger worlds multiply sparse rows."""

_ENTRIES_PER_SESSION = 500
"""Entries of a table that are made in the time in which one session is scored without it (measured)."""


@dataclass(frozen=True)
class TfidfScorer:
    """Integer TF-IDF vectors of texts and items, int64 CSR `[text, feature]` and `[item, feature]`."""

    texts: sparse.csr_matrix
    items: sparse.csr_matrix
    table: NDArray[np.int32] | None = None
    """All dot products `[text, item]`, where there are sessions enough to make it worth it."""

    def scores(self, text: NDArray[np.integer], candidates: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return dot products `[s, C]` of texts [s] (places in what was given) and candidates `[s, C]`."""
        if self.table is not None:
            return np.asarray(self.table[text[:, None], candidates], np.int64)
        result = np.empty(candidates.shape, np.int64)
        for start in range(0, len(result), _ROWS_PER_BLOCK):
            part = slice(start, start + _ROWS_PER_BLOCK)
            width = candidates.shape[1]
            left = self.texts[np.repeat(text[part], width)]
            right = self.items[candidates[part].ravel()]
            result[part] = np.asarray(left.multiply(right).sum(axis=1)).reshape(-1, width)
        return result


def with_table(scorer: TfidfScorer, sessions: float) -> TfidfScorer:
    """Return `scorer` with its table, if scoring about so many `sessions` takes longer than making it."""
    shape = (scorer.texts.shape[0], scorer.items.shape[0])
    if shape[0] * shape[1] > min(TABLE_ENTRIES, sessions * _ENTRIES_PER_SESSION):
        return scorer
    table, across = np.zeros(shape, np.int32), sparse.csc_matrix(scorer.items.T)
    for start in range(0, shape[0], _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        table[part] = (scorer.texts[part] @ across).toarray()
    return replace(scorer, table=table)


def fit_tfidf(public: PublicData, texts: Sequence[str], sessions: float = 0.0) -> TfidfScorer:
    """Return the scorer of `texts` against the catalogue's names, with frequencies counted on public text.

    About so many `sessions` will be scored.

    Features are words and pairs of words (half of the weight) and 3 to 5 characters within words (the other
    half), as far as an item's name has them: others hardly change an order. `texts` are only
    transformed, never counted.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    names = list(public.catalogue.texts)
    corpus = [*names, *dict.fromkeys(public.texts)]
    halves = []
    for options, count in (
        ({"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}, _count),
        ({"ngram_range": (3, 5), "analyzer": "char_wb"}, _count_by_word),
    ):
        if not counts_anything(CountVectorizer(**options), names):  # emoji have no word
            halves.append((sparse.csr_matrix((len(texts), 0)), sparse.csr_matrix((len(names), 0))))
            continue
        features = CountVectorizer(**options).fit(names).get_feature_names_out()
        counter = CountVectorizer(**options, vocabulary=list(features))
        weigh = TfidfTransformer(sublinear_tf=True).fit(count(counter, corpus))
        halves.append((weigh.transform(count(counter, texts)), weigh.transform(count(counter, names))))
    both = [sparse.csr_matrix(sparse.hstack(side)) for side in zip(*halves, strict=True)]
    of_texts, of_names = (_integers(side) for side in both)
    return with_table(TfidfScorer(of_texts, of_names), sessions)


def _count(counter: Any, texts: Sequence[str]) -> sparse.csr_matrix:
    """Return how often each feature of `counter` stands in each text, `[text, feature]`."""
    return sparse.csr_matrix(counter.transform(texts), dtype=np.float64)


def _count_by_word(counter: Any, texts: Sequence[str]) -> sparse.csr_matrix:
    """Return what `_count` does where no feature goes beyond a word: each distinct word is cut up once."""
    place: dict[str, int] = {}
    column, start = list[int](), [0]
    for text in texts:
        column += [place.setdefault(word, len(place)) for word in text.lower().split()]
        start.append(len(column))
    shape = (len(texts), len(place))
    words = sparse.csr_matrix((np.ones(len(column)), column, start), shape=shape)
    # Whole numbers, so that a product of counts is exact; in order, so that norms are summed as before.
    found = sparse.csr_matrix(words @ _count(counter, list(place)))
    found.sort_indices()
    return found


def _integers(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.data = np.rint(matrix.data * _UNIT).astype(np.int64)
    return matrix
