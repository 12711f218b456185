"""How many tokens a byte budget leaves room for: sizes are measured on files, not estimated."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from fedbert.ei_bert.model.student import Student
from fedbert.errors import FedbertError

Kept = Callable[[int], tuple[str, ...]]
"""Gives the vocabulary of a size; raises FedbertError if it is too small for the characters."""

Used = Callable[[tuple[str, ...]], int]
"""Gives the bytes of all files of an untrained student with this vocabulary."""

# The first sizes that are tried: far enough apart that their difference tells what a token takes.
_FIRST, _APART = 2_000, 500
# Each round starts from the last two sizes; four are more than the bytes per token ever needed to settle.
_ROUNDS = 4
# A fit that leaves less than this many tokens' room is as good as another round.
_SPARE_TOKENS = 2
# What a token takes at least, in steps down to the budget: smaller steps than needed rather than larger ones.
_TOKEN_BYTES = 100


def fit_vocabulary(kept: Kept, smallest: int, used: Used, budget_bytes: int) -> int:
    """Return the largest size whose file fits: `used(vocabulary)` is the bytes of all files with an
    untrained student.

    Raises FedbertError, with the smallest budget that would do, if `smallest` tokens do not fit.
    """
    low, high = smallest, max(_FIRST, smallest + _APART)
    least, more = check_budget(kept(low), used, budget_bytes), used(kept(high))
    size = low
    for _ in range(_ROUNDS):
        each = max((more - least) / max(high - low, 1), 1.0)
        size = max(int(high + (budget_bytes - more) / each), smallest)
        vocabulary = kept(size)
        found = used(vocabulary)
        if len(vocabulary) < size:
            return len(vocabulary)
        low, least, high, more = (high, more, size, found) if size != high else (low, least, high, found)
        if 0 <= budget_bytes - found < _SPARE_TOKENS * each:
            break
    while used(kept(size)) > budget_bytes and size > smallest:
        size -= max(int((used(kept(size)) - budget_bytes) / _TOKEN_BYTES), 1)
    return max(size, smallest)


def check_budget(characters: tuple[str, ...], used: Used, budget_bytes: int, spare_bytes: int = 0) -> int:
    """Return the bytes with `characters` as the only tokens; raises FedbertError if these do not fit.

    `spare_bytes` of the whole budget are kept for what is added later; the error speaks of the whole.
    """
    least = used(characters)
    if least > budget_bytes:
        whole = budget_bytes + spare_bytes
        enough = least + spare_bytes
        if spare_bytes and budget_bytes > 0:  # what is spared may grow with the budget
            enough = max(enough, math.ceil(least * whole / budget_bytes))
        raise FedbertError(
            f"budget_bytes(={whole}) must be at least {enough} for this architecture, "
            "with characters as its only tokens; raise it or give fewer or narrower layers"
        )
    return least


def trimmed(student: Student, vocabulary: tuple[str, ...], kept: tuple[str, ...]) -> Student:
    """Return `student` with only the tokens `kept` of its `vocabulary`."""
    place = {token: index for index, token in enumerate(vocabulary)}
    state = student.state_dict()
    state["body.words.weight"] = state["body.words.weight"][[place[token] for token in kept]]
    smaller = Student(
        replace(student.shape, vocabulary=len(kept)), torch.nn.Parameter(student.head.detach().clone())
    )
    smaller.load_state_dict(state)
    return smaller.eval()
