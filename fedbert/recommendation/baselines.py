"""TF-IDF on the same text as the model: what plain word matching would reach, with integer scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedbert.recommendation.catalogue import PublicData
from fedbert.recommendation.names import counts_anything

# Weights in 2^-14: products of two unit vectors stay far within int64, and order is lost to no rounding.
_UNIT = 2**14

# Sessions scored at a time: their sparse rows are repeated once a candidate.
_ROWS_PER_BLOCK = 8192


@dataclass(frozen=True)
class TfidfScorer:
    """Integer TF-IDF vectors of texts and items, int64 CSR `[text, feature]` and `[item, feature]`."""

    texts: sparse.csr_matrix
    items: sparse.csr_matrix

    def scores(self, text: NDArray[np.int32], candidates: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return dot products `[s, C]` of texts [s] (places in what was given) and candidates `[s, C]`."""
        result = np.empty(candidates.shape, np.int64)
        for start in range(0, len(result), _ROWS_PER_BLOCK):
            part = slice(start, start + _ROWS_PER_BLOCK)
            width = candidates.shape[1]
            left = self.texts[np.repeat(text[part], width)]
            right = self.items[candidates[part].ravel()]
            result[part] = np.asarray(left.multiply(right).sum(axis=1)).reshape(-1, width)
        return result


def fit_tfidf(public: PublicData, texts: Sequence[str]) -> TfidfScorer:
    """Return the scorer of `texts` against the catalogue's names, with frequencies counted on public text.

    Features are words and pairs of words (half of the weight) and 3 to 5 characters within words (the other
    half), as far as an item's name has them: others hardly change an order. `texts` are only
    transformed, never counted.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = list(public.catalogue.texts)
    corpus = [*names, *dict.fromkeys(public.texts)]
    halves = []
    for options in (
        {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        {"ngram_range": (3, 5), "analyzer": "char_wb"},
    ):
        if not counts_anything(TfidfVectorizer(**options), names):  # emoji have no word
            halves.append((sparse.csr_matrix((len(texts), 0)), sparse.csr_matrix((len(names), 0))))
            continue
        features = TfidfVectorizer(**options).fit(names).get_feature_names_out()
        model = TfidfVectorizer(**options, vocabulary=list(features), sublinear_tf=True).fit(corpus)
        halves.append((model.transform(texts), model.transform(names)))
    both = [sparse.csr_matrix(sparse.hstack(side)) for side in zip(*halves, strict=True)]
    return TfidfScorer(*(_integers(side) for side in both))


def _integers(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.data = np.rint(matrix.data * _UNIT).astype(np.int64)
    return matrix
