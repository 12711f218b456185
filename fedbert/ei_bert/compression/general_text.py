"""The texts that a general encoder learns from: given sentences, and texts made of them and of words.

Old books and short requests hold few of today's words. So some texts are groups of words that stand near each
other in the teacher's table of embeddings, and each word is a text of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.randomness import Purpose, generator

_SHORTEST_WORD = 3
# A group's words are taken from so many neighbours of its first one, but for a share of any words; it has as
# many words as a short request or a long sentence. Each length is as likely in ratio as any other.
_NEAR, _ANY_SHARE = 40, 0.25
_GROUP_WORDS = (2, 48)
_ROWS_AT_ONCE = 1_024


def sampled(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return `count` of `texts`, in their order, drawn without replacement; all if there are no more."""
    if count >= len(texts):
        return list(texts)
    draw = generator(seed, Purpose.SAMPLE, streams.GENERAL_SENTENCES)
    return [texts[index] for index in np.sort(draw.permutation(len(texts))[:count]).tolist()]


def whole_words(vocabulary: Sequence[str]) -> list[int]:
    """Return the places of the tokens of `vocabulary` that are words of three letters or more."""
    return [
        place for place, token in enumerate(vocabulary) if token.isalpha() and len(token) >= _SHORTEST_WORD
    ]


def by_place(vocabulary: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the words of `vocabulary` and the frequency, relative to the first, that Zipf's law gives them.

    A WordPiece vocabulary is written by falling frequency (as BERT's is), so the place of a word says how
    often it stands in the text that the vocabulary was made of: 1 / rank.
    """
    words = [vocabulary[place] for place in whole_words(vocabulary)]
    return words, 1 / np.arange(1, len(words) + 1)


def word_groups(teacher: Teacher, count: int, seed: int) -> list[str]:
    """Return `count` texts of words that stand near each other in the teacher's table of embeddings."""
    places = whole_words(teacher.vocabulary)
    draw = generator(seed, Purpose.SAMPLE, streams.WORD_GROUPS)
    first = draw.integers(0, len(places), count)
    unit = functional.normalize(teacher.word_vectors().detach().cpu()[places], dim=-1)
    low, high = np.log(_GROUP_WORDS)
    lengths = np.exp(draw.uniform(low, high, count)).astype(np.int64)
    most = min(_NEAR, len(places))
    out = []
    for begin in range(0, count, _ROWS_AT_ONCE):
        some = first[begin : begin + _ROWS_AT_ONCE]
        near = (unit[some] @ unit.T).topk(most, dim=-1).indices.numpy()
        for row, length in zip(near, lengths[begin : begin + _ROWS_AT_ONCE].tolist(), strict=True):
            chosen = row[draw.integers(0, most, length)]
            anything = draw.random(length) < _ANY_SHARE
            chosen = np.where(anything, draw.integers(0, len(places), length), chosen)
            out.append(" ".join(teacher.vocabulary[places[place]] for place in chosen.tolist()))
    return out
