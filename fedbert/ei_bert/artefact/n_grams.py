"""Hashed n-grams of a text: its words, pairs of words, and 2 to 4 characters within words.

They are those of scikit-learn's `HashingVectorizer`, so no vocabulary is stored: a bucket is a hash.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_LEAST_HASH, _MOST_HASH = -(2**31), 2**31 - 1

Bags = Any
"""A sparse matrix of float32, `[text, feature]`; scipy's types differ between its versions."""


def _vectorizers(buckets: int, **how: Any) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import HashingVectorizer  # slow to import, and few need it

    words = HashingVectorizer(n_features=buckets, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", **how)
    return words, HashingVectorizer(n_features=buckets, ngram_range=(2, 4), analyzer="char_wb", **how)


@lru_cache(maxsize=8)
def _readers(buckets: int) -> tuple[Any, Any]:
    return _vectorizers(buckets)


def count_vectorizers(space: int) -> tuple[Any, Any]:
    """Return what counts the words and pairs of words of texts, and their characters, in `space` places."""
    return _vectorizers(space, alternate_sign=False, norm=None)


def n_grams(texts: Sequence[str], buckets: int) -> Bags:
    """Return the hashed n-grams of `texts`, `[text, bucket]`: rows of words and of characters, each of unit
    length, summed.
    """
    words, characters = _readers(buckets)
    return sparse.csr_matrix(words.transform(texts) + characters.transform(texts), dtype=np.float32)


@lru_cache(maxsize=1)
def _analyzers() -> tuple[Any, Any]:
    words, characters = _readers(1)
    return words.build_analyzer(), characters.build_analyzer()


def n_grams_of(text: str, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the row of `n_grams` of one text: its buckets, in order, and their values.

    The vectorizers check their settings anew for each call, which takes most of the time of a text alone.
    """
    row: dict[int, float] = {}
    for analyzer in _analyzers():
        counts: dict[int, int] = {}
        for place, sign in _hashed(analyzer(text), buckets):
            counts[place] = counts.get(place, 0) + sign
        length = math.sqrt(sum(count * count for count in counts.values()))
        for place, count in counts.items():
            if count:
                row[place] = row.get(place, 0.0) + count / length
    found = sorted(place for place, value in row.items() if value)
    return np.array(found, np.int64), np.array([row[place] for place in found], np.float32)


def gram_counts(text: str, space: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return what `count_vectorizers` find in one text: of each kind the places, rising, and counts."""
    out = []
    for analyzer in _analyzers():
        places = np.array([place for place, _ in _hashed(analyzer(text), space)], np.int64)
        out.append(np.unique(places, return_counts=True))
    return out


def _hashed(grams: Iterable[str], buckets: int) -> Iterator[tuple[int, int]]:
    """Yield the bucket and the sign of each n-gram."""
    from sklearn.utils import murmurhash3_32

    for gram in grams:
        hashed = murmurhash3_32(gram, seed=0)
        # The least 32-bit number has no opposite.
        place = abs(hashed) % buckets if hashed != _LEAST_HASH else (_MOST_HASH - buckets + 1) % buckets
        yield place, 1 if hashed >= 0 else -1
