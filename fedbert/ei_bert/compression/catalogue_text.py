"""The texts that a catalogue's student learns from beside those that are given: made ones, and asked names.

Most of what users ask for has no public request. So each written name is asked for by a text that is made:
the beginning of a public request, what the name says, the end of another request.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.compression.general_text import by_place, whole_words, word_groups
from fedbert.ei_bert.compression.public_text import PublicText, varied
from fedbert.ei_bert.compression.remix import neighbours, remixed
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.teaching.teacher import Teacher
from fedbert.randomness import Purpose, generator

# How often a request and a name stand among what texts are made of: with each once, the few names would
# hardly be met.
_REQUESTS_OFTEN, _NAMES_OFTEN = 2, 10
# Words that an asked name has before and behind it, at most; requests are short.
_LEAD_WORDS, _TAIL_WORDS = 6, 3
# Share of a name's words that are exchanged for near ones where a name is asked for: users seldom say what
# is written.
_NEAR = 0.4


def made_texts(
    public: PublicText, teacher: Teacher, words: Sequence[str], counts: tuple[int, int, int], seed: int
) -> list[str]:
    """Return texts for the teacher to label: varied ones, remixed ones and groups of near words, of each as
    many as `counts` says.

    Varied texts take words from `words`. Without remixed texts and groups it is the varied ones alone.
    """
    basis = [*public.requests] * _REQUESTS_OFTEN + [*public.sentences]
    basis += public.names * _NAMES_OFTEN
    made = varied(basis, public.names, words, counts[0], seed)
    if counts[1]:
        near = neighbours(teacher, basis)
        made += remixed(basis, np.zeros(len(basis), np.int64), counts[1], seed, near)[0]
    if counts[2]:
        made += word_groups(teacher, counts[2], seed)
    return made


def table_words(vocabulary: Sequence[str]) -> list[str]:
    """Return the words of a teacher's `vocabulary`."""
    return [vocabulary[place] for place in whole_words(vocabulary)]


def placed(
    texts: Sequence[str], weights: Sequence[float], vocabulary: Sequence[str]
) -> tuple[list[str], list[float]]:
    """Return `texts` and the words of `vocabulary`, and their weights: a word's by its place.

    The words count as many occurrences in all as the texts have, since these hold few of today's words.
    """
    words, share = by_place(vocabulary)
    scale = sum(weight * len(text.split()) for text, weight in zip(texts, weights, strict=True)) / share.sum()
    return [*texts, *words], [*weights, *(share * scale).tolist()]


def asked_names(
    public: PublicText, teacher: Teacher, count: int, seed: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Return `count` texts, each of which asks for a written name that no public request asks for, and the
    item of each, `[count]`; none if there is no such name.

    A text is the beginning of a public request, the name's words without its heading (half of the texts: with
    it), some of them exchanged for near ones, and in half of the texts the end of another request.
    """
    draw = generator(seed, Purpose.SAMPLE, streams.ASKED_NAMES)
    near = neighbours(teacher, public.names)
    unasked = np.setdiff1d(np.arange(len(public.names)), public.public_items)
    items = np.resize(unasked, count if len(unasked) else 0)
    out = []
    for item in items.tolist():
        heading, _, rest = public.names[item].rpartition(": ")
        words = (rest if draw.random() < 0.5 else f"{rest} {heading}").split()
        exchanged = draw.random(len(words)) < _NEAR
        said = [
            others[int(draw.integers(len(others)))]
            if new and (others := near.get(word.lower(), ()))
            else word
            for word, new in zip(words, exchanged, strict=True)
        ]
        first, last = (
            public.requests[int(place)].split() for place in draw.integers(len(public.requests), size=2)
        )
        lead = first[: int(draw.integers(_LEAD_WORDS + 1))]
        tail = int(draw.integers(_TAIL_WORDS + 1)) if draw.random() < 0.5 else 0
        out.append(" ".join([*lead, *said, *last[len(last) - tail :]]))
    return out, items.astype(np.int64)
