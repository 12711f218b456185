"""New texts made from old ones, for the teacher to label: no further data is needed.

Distillation matches two functions, so any text on which they should agree will do (Beyer et al. 2022,
"Knowledge distillation: a good teacher is patient and consistent"); TinyBERT (Jiao et al. 2020) makes them by
exchanging words.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.randomness import Purpose, generator

_EXCHANGED, _DROPPED = 0.25, 0.15
_LONGEST = 24


def remixed(
    texts: Sequence[str], groups: NDArray[np.integer], count: int, seed: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Return `count` new texts and the text each began as, `[count]`.

    Of four texts, one has a quarter of its words exchanged for words of other texts of its group, one is the
    beginning of it and the end of another of its group, one a part of it, and one lacks some words and has
    two neighbours swapped. `groups` `[text]` says which texts may mix (a task's, say).
    """
    draw = generator(seed, Purpose.SAMPLE, 7)
    words = [text.split() for text in texts]
    members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups)}
    source = draw.integers(0, len(texts), count)
    kinds = draw.integers(0, 4, count)
    out = []
    for kind, index in zip(kinds.tolist(), source.tolist(), strict=True):
        first, near = words[index], members[int(groups[index])]
        if kind == 0:
            change = draw.random(len(first)) < _EXCHANGED
            made = [_word(draw, words, near) if new else old for old, new in zip(first, change, strict=True)]
        elif kind == 1:
            other = words[int(near[draw.integers(len(near))])]
            begin, end = draw.random(2)
            made = first[: 1 + int(begin * len(first))] + other[int(end * len(other)) :]
        elif kind == 2:
            low = int(draw.random() * max(len(first) - 2, 1))
            made = first[low : low + 2 + int(draw.random() * len(first))]
        else:
            made = [
                word for word, lost in zip(first, draw.random(len(first)), strict=True) if lost > _DROPPED
            ]
            if len(made) > 2:
                at = int(draw.integers(len(made) - 1))
                made[at], made[at + 1] = made[at + 1], made[at]
        out.append(" ".join((made or first)[:_LONGEST]))
    return out, source.astype(np.int64)


def _word(draw: np.random.Generator, words: Sequence[Sequence[str]], near: NDArray[np.intp]) -> str:
    text = words[int(near[draw.integers(len(near))])]
    return text[int(draw.integers(len(text)))]
