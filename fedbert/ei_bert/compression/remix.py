"""New texts made from old ones, for the teacher to label: no further data is needed.

Distillation matches two functions, so any text on which they should agree will do (Beyer et al. 2022,
"Knowledge distillation: a good teacher is patient and consistent"); TinyBERT (Jiao et al. 2020) makes texts
by exchanging words for near ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from fedbert.ei_bert.model import streams
from fedbert.ei_bert.teaching.splits import text_key
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, generator

# Shares of a text's words that are exchanged for any, dropped, or exchanged for near ones. Enough that the
# text is a new one; near words change the meaning less, so more of them may go.
_EXCHANGED, _DROPPED, _NEAR = 0.25, 0.15, 0.4
_LONGEST_WORDS = 24
"""Two texts put together are no longer than the longest requests."""
_NEIGHBOURS = 8
_ROWS_AT_ONCE = 1_024

Neighbours = Mapping[str, Sequence[str]]


def neighbours(
    teacher: Teacher, texts: Sequence[str], count: int = _NEIGHBOURS
) -> dict[str, tuple[str, ...]]:
    """Return the `count` words nearest to each word of `texts` by the cosine of the teacher's word
    embeddings.

    Only words that are one token are known, and only those that are letters alone.
    """
    words = [index for index, token in enumerate(teacher.vocabulary) if token.isalpha() and len(token) > 1]
    seen = {word for text in texts for word in text.lower().split()}
    asked = [place for place, index in enumerate(words) if teacher.vocabulary[index] in seen]
    unit = functional.normalize(teacher.word_vectors().detach().cpu()[words], dim=-1)
    out = {}
    for low in range(0, len(asked), _ROWS_AT_ONCE):
        some = asked[low : low + _ROWS_AT_ONCE]
        best = (unit[some] @ unit.T).topk(min(count + 1, len(words)), dim=-1).indices.tolist()
        for place, near in zip(some, best, strict=True):
            own = teacher.vocabulary[words[place]]
            out[own] = tuple(teacher.vocabulary[words[other]] for other in near if other != place)
    return out


def remixed(
    texts: Sequence[str],
    groups: NDArray[np.integer],
    count: int,
    seed: int,
    near: Neighbours | None = None,
    never: Iterable[str] = (),
) -> tuple[list[str], NDArray[np.int64]]:
    """Return `count` new texts and the text each began as, `[count]`.

    Of four texts, one has a quarter of its words exchanged for words of other texts of its group, one is the
    beginning of it and the end of another of its group, one a part of it, and one lacks some words and has
    two neighbours swapped. `groups` `[text]` says which texts may mix (a task's, say). With `near` two texts
    more in six have words exchanged for near ones. A text that would have the words of one of `never`, the
    test texts, is the text it began as instead, or the next of the group that has other words. Raises
    FedbertError if a whole group is in `never`.
    """
    forbidden = {text_key(text) for text in never}
    draw = generator(seed, Purpose.SAMPLE, streams.REMIXED_TEXTS)
    words = [text.split() for text in texts]
    members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups)}
    source = draw.integers(0, len(texts), count)
    kinds = draw.integers(0, 6 if near else 4, count)
    out = []
    for kind, index in zip(kinds.tolist(), source.tolist(), strict=True):
        first, among = words[index], members[int(groups[index])]
        if kind == 0:
            change = draw.random(len(first)) < _EXCHANGED
            made = [_word(draw, words, among) if new else old for old, new in zip(first, change, strict=True)]
        elif kind == 1:
            other = words[int(among[draw.integers(len(among))])]
            begin, end = draw.random(2)
            made = first[: 1 + int(begin * len(first))] + other[int(end * len(other)) :]
        elif kind == 2:
            low = int(draw.random() * max(len(first) - 2, 1))
            made = first[low : low + 2 + int(draw.random() * len(first))]
        elif kind == 3:
            made = [
                word for word, lost in zip(first, draw.random(len(first)), strict=True) if lost > _DROPPED
            ]
            if len(made) > 2:
                at = int(draw.integers(len(made) - 1))
                made[at], made[at + 1] = made[at + 1], made[at]
        else:
            made = [_nearby(draw, word, near or {}) for word in first]
        new = " ".join((made or first)[:_LONGEST_WORDS])
        if forbidden and text_key(new) in forbidden:
            new = _allowed(texts, among, index, forbidden)
        out.append(new)
    return out, source.astype(np.int64)


def _allowed(texts: Sequence[str], among: NDArray[np.intp], index: int, forbidden: AbstractSet[str]) -> str:
    """Return the first text of the group from `index` on, round its end, whose words are not forbidden."""
    start = int(np.searchsorted(among, index))
    for place in np.roll(among, -start):
        if text_key(texts[int(place)]) not in forbidden:
            return texts[int(place)]
    raise FedbertError("data: every training text is also a test text; give others for training")


def _word(draw: np.random.Generator, words: Sequence[Sequence[str]], among: NDArray[np.intp]) -> str:
    text = words[int(among[draw.integers(len(among))])]
    return text[int(draw.integers(len(text)))]


def _nearby(draw: np.random.Generator, word: str, near: Neighbours) -> str:
    others = near.get(word.lower(), ())
    if not others or draw.random() >= _NEAR:
        return word
    return others[int(draw.integers(len(others)))]
