"""What a word says by its letters alone, hashed: the word, its beginning and end, its shape, its neighbours.

A pruned vocabulary spells a rare name in pieces, and the state of the first one says little of it.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FEATURES = 7
"""Features of a word: whole, shape, first 3 letters, last 3, last 2, word before, word behind."""
# A shape repeats a sign twice at most: "Xxx" is a capitalised word of any length.
_REPEATED = 2
# Words whose features are kept: those of a large training set, some dozen MB.
_KEPT_WORDS = 65_536


def shape_of(word: str) -> str:
    """Return `word` with X for capitals, x for small letters and 0 for digits, repeated twice at most."""
    out = ""
    for letter in word:
        sign = "X" if letter.isupper() else "x" if letter.islower() else "0" if letter.isdigit() else letter
        if out[-_REPEATED:] != sign * _REPEATED:
            out += sign
    return out


@lru_cache(_KEPT_WORDS)
def _of_word(word: str) -> tuple[int, ...]:
    small = word.lower()
    own = (f"w{small}", f"s{shape_of(word)}", f"p{small[:3]}", f"e{small[-3:]}", f"e{small[-2:]}")
    return tuple(zlib.crc32(each.encode()) for each in (*own, f"-{small}", f"+{small}"))


def word_features(sentences: Sequence[Sequence[str]], buckets: int) -> NDArray[np.int64]:
    """Return the buckets, 0 .. `buckets` - 1, of each word's features, `[word, feature]`.

    Texts stand one behind the other. The hash is CRC-32 of the feature's kind and its letters.
    """
    out = np.empty((sum(map(len, sentences)), FEATURES), np.int64)
    *_, nothing_before, nothing_behind = _of_word("")
    row = 0
    for words in sentences:
        found = [_of_word(word) for word in words]
        for place, own in enumerate(found):
            before = found[place - 1][-2] if place else nothing_before
            behind = found[place + 1][-1] if place + 1 < len(found) else nothing_behind
            out[row] = (*own[:-2], before, behind)
            row += 1
    return out % buckets
