"""Which items have similar names: TF-IDF over the public item texts, and nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedbert.recommendation.catalogue import NEIGHBOURS

# Items whose cosines to all others are held at a time: 50 MB for the 12,611 films.
_ROWS_PER_BLOCK = 512

# Cosines become integers of 2^-40 before they are compared: the last bits of a product depend on the build.
_SCALE = 2.0**40

# An item's number beside its cosine in 64 bits makes all of them differ: then the few largest can be picked
# out of tens of thousands without sorting them all, and equal cosines still come in the order of the items.
_ITEM_BITS = 22


def name_vectors(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return one row per item: TF-IDF of words, of pairs of words and of 3 to 5 characters, unit length each.

    Both halves (words, characters) have the same weight.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    joined = sparse.hstack([_fitted(words, texts), _fitted(letters, texts)])
    return sparse.csr_matrix(joined * np.sqrt(0.5))


def _fitted(vectoriser: Any, texts: Sequence[str]) -> sparse.csr_matrix:
    if not counts_anything(vectoriser, texts):
        return sparse.csr_matrix((len(texts), 0))
    return sparse.csr_matrix(vectoriser.fit_transform(texts))


def counts_anything(vectoriser: Any, texts: Sequence[str]) -> bool:
    """Return whether a text has a feature that `vectoriser` counts: it refuses to be fitted on none."""
    analyse = vectoriser.build_analyzer()
    return any(analyse(text) for text in texts)


def nearest_by_name(texts: Sequence[str], count: int = NEIGHBOURS) -> NDArray[np.int32]:
    """Return the `count` items with the most similar names, `[item, count]`, nearest first.

    An item is never its own neighbour. Cosines are compared as integers of 2^-40, equal ones in the order of
    the items. With `count` or fewer items the row repeats the other items in turn.
    """
    items = len(texts)
    if items < 2:
        raise ValueError("an item needs another one to be its neighbour")
    kept = min(count, items - 1)
    vectors = name_vectors(texts)
    transposed = sparse.csc_matrix(vectors.T)
    nearest = np.empty((items, kept), np.int32)
    for start in range(0, items, _ROWS_PER_BLOCK):
        rows = np.arange(start, min(start + _ROWS_PER_BLOCK, items))
        cosine = np.rint((vectors[rows] @ transposed).toarray() * _SCALE).astype(np.int64)
        cosine[rows - start, rows] = -1
        nearest[rows] = _largest(cosine, kept)
    return nearest[:, np.arange(count) % kept]


def _largest(cosine: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the columns of the `count` largest in each row, largest first, equal ones in their order."""
    columns = cosine.shape[1]
    if columns > 2**_ITEM_BITS:
        return np.argsort(-cosine, axis=1, kind="stable")[:, :count]
    key = (-cosine << _ITEM_BITS) + np.arange(columns)
    few = np.argpartition(key, count - 1, axis=1)[:, :count]
    return np.take_along_axis(few, np.argsort(np.take_along_axis(key, few, axis=1), axis=1), axis=1)
