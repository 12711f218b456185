"""Hashed n-grams of a text: its words, pairs of words, and 2 to 4 characters within words, as a sparse row.

They are those of scikit-learn's `HashingVectorizer`, so no vocabulary is stored: a bucket is a hash.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

Bags = Any
"""A sparse matrix of float32, `[text, feature]`; scipy's types differ between its versions."""


@lru_cache(maxsize=8)
def _readers(buckets: int) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import HashingVectorizer  # slow to import, and few need it

    words = HashingVectorizer(n_features=buckets, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    return words, HashingVectorizer(n_features=buckets, ngram_range=(2, 4), analyzer="char_wb")


def n_grams(texts: Sequence[str], buckets: int) -> Bags:
    """Return the hashed n-grams of `texts`, `[text, bucket]`: rows of words and of characters, each of unit
    length, summed.
    """
    words, characters = _readers(buckets)
    return sparse.csr_matrix(words.transform(texts) + characters.transform(texts), dtype=np.float32)
