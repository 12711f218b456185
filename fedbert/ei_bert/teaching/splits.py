"""Training and test texts that do not meet: what makes two texts one, parts without a split column, leaks.

Two texts are one if they have the same words, whatever their case, punctuation and spaces: a student that was
trained on one has seen the other.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

Split = Literal["train", "validation", "test"]


_WITHIN_WORDS = str.maketrans("", "", "'\u2019")
_TEST_EVERY = 5
"""Without a split column every fifth text of a label is held out as test."""


def text_key(text: str) -> str:
    """Return what equal texts have in common: their letters, marks and digits in small letters, in words."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_WITHIN_WORDS)
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain).split()
    # A text of signs alone is told from others by them.
    return " ".join(words) or " ".join(plain.split())


def held_out(texts: Sequence[str], labels: Sequence[str]) -> list[Split]:
    """Return `train` or `test` for each text: every fifth of a label is for the test.

    A text that came before goes where its equal went, whatever its label, so that no test text is trained on.
    """
    seen: dict[str, int] = {}
    side: dict[str, Split] = {}
    out: list[Split] = []
    for text, label in zip(texts, labels, strict=True):
        key = text_key(text)
        if key not in side:
            seen[label] = seen.get(label, 0) + 1
            side[key] = "test" if seen[label] % _TEST_EVERY == 0 else "train"
        out.append(side[key])
    return out


def leaked(train: Iterable[str], test: Iterable[str]) -> int:
    """Return how many of the `test` texts are also in `train`."""
    return sum(seen(train, test))


def seen(train: Iterable[str], test: Iterable[str]) -> list[bool]:
    """Return which of the `test` texts are also in `train`, `[text]`."""
    known = {text_key(text) for text in train}
    return [text_key(text) in known for text in test]


def evidence_lines(name: str, train: Sequence[str], test: Sequence[str]) -> list[str]:
    """Return what stands beside an accuracy on `test`: texts that are also in `train`, and duplicates.

    A sentence each, none if neither is the case.
    """
    lines = []
    if count := leaked(train, test):
        lines.append(
            f"{name}: {count:,} of {len(test):,} test texts are also in train (same words), so accuracy on "
            "them is no evidence; leave them out for a fair figure"
        )
    distinct = len({text_key(text) for text in test})
    if distinct < len(test):
        lines.append(
            f"{name}: {len(test) - distinct:,} of {len(test):,} test texts are duplicates (same words), so "
            f"accuracy rests on {distinct:,}"
        )
    return lines
