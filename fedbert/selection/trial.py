"""A trial of a selection from a user's own file: what breaks a rule is refused in one line before a run."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedbert.plugins import Named
from fedbert.results import TIERS
from fedbert.selection.selection import (
    MOST_OF_A_DEVICE,
    Done,
    Known,
    LearntSelection,
    Selection,
    learns,
)

NEEDED = ("name", "reveals", "looks_at", "chances")
NEEDED_TO_LEARN = ("columns", "entries", "start", "remember", "sums", "announce")
PAGE = "docs/how-to/selection.md shows one"

_DEVICES, _CLICKS, _ROUNDS = 12, 4, 3
_MOST_NUMBERS = 1_000_000


def checked(selection: Selection, named: Named) -> Selection:
    """Return `selection`, which was `named`, if a trial on made-up phones goes well.

    Raises FedbertError with one line for the first rule it breaks.
    """
    for name in ("name", "looks_at"):
        value = getattr(selection, name)
        if not (isinstance(value, str) and value and len(value.splitlines()) == 1):
            raise named.refused(f"have a line of text as its {name}, not {value!r}")
    if selection.reveals not in ("nothing", "public", "private"):
        raise named.refused(f"say reveals as 'nothing', 'public' or 'private', not {selection.reveals!r}")
    if learns(selection):
        _check_learning(cast(LearntSelection, selection), named)
    else:
        for round_ in range(1, _ROUNDS + 1):
            chances_of(selection, _phones(round_), named)
    return selection


def chances_of(selection: Selection, known: Known, named: Named) -> NDArray[np.float64]:
    """Return the chances of `known` phones; raises FedbertError if they are none, or depend on each other."""
    count = len(known.tier)
    chances = named.array("chances(...)", selection.chances(known), np.float64, (count,))
    # Written so that NaN is refused.
    if not ((chances >= 0) & (chances <= 1)).all():
        raise named.refused("give chances within 0..1 in chances(...)")
    halves = [selection.chances(_rows(known, rows)) for rows in _halves(count)]
    if not np.array_equal(np.concatenate(halves), chances):
        raise named.refused("give a device the same chance whichever others are asked for with it")
    return chances


def _check_learning(selection: LearntSelection, named: Named) -> None:
    missing = [name for name in NEEDED_TO_LEARN if name not in dir(selection)]
    if missing:
        raise named.refused(f"have {missing[0]}, as it reveals private data")
    for name, least in (("columns", 0), ("entries", 1)):
        value = getattr(selection, name)
        if not isinstance(value, int) or not least <= value <= _MOST_NUMBERS:
            raise named.refused(f"have {name} from {least} to {_MOST_NUMBERS:,}, not {value!r}")
    announced, memory = selection.start(), np.zeros((_DEVICES, selection.columns), np.int32)
    k, sums = np.shape(announced), np.zeros(selection.entries, np.int64)
    for round_ in range(1, _ROUNDS + 1):
        announced = selection.announce(announced, sums, round_)
        if not np.isfinite(named.array("announce(...)", announced, np.float64, k)).all():
            raise named.refused("announce finite numbers")
        known = replace(_phones(round_), announced=announced, memory=memory)
        chances_of(selection, known, named)
        done = _done(round_)
        memory = named.array(
            "remember(...)", selection.remember(known, done), np.int32, (_DEVICES, selection.columns)
        )
        known = replace(known, memory=memory)
        sums = _sums(selection, known, done.reported, named)


def _sums(
    selection: LearntSelection, known: Known, reported: NDArray[np.bool_], named: Named
) -> NDArray[np.int64]:
    sums = named.array("sums(...)", selection.sums(known, reported), np.int64, (selection.entries,))
    if sums.min() < 0 or sums.max() > _DEVICES * MOST_OF_A_DEVICE:
        raise named.refused(f"add 0 to {MOST_OF_A_DEVICE:,} a device to an entry in sums(...)")
    halves = [selection.sums(_rows(known, rows), reported[rows]) for rows in _halves(_DEVICES)]
    if not np.array_equal(sum(halves), sums):
        raise named.refused("give in sums(...) the same sums however the fleet is cut")
    return sums


def _halves(count: int) -> tuple[slice, slice]:
    return slice(0, count // 3), slice(count // 3, count)


def _rows(known: Known, rows: slice) -> Known:
    return replace(
        known,
        tier=known.tier[rows],
        behind=known.behind[rows],
        ready=known.ready[rows],
        timing=lambda: known.report_ms[rows],
        memory=known.memory[rows],
    )


def _phones(round_: int) -> Known:
    """Return made-up phones of every tier, some without a release."""
    place = np.arange(_DEVICES)
    return Known(
        round_,
        (place % len(TIERS)).astype(np.int8),
        (place % 4).astype(np.int64),
        place % 4 == 0,
        lambda: np.asarray(1.0 + place**2, np.float64),
        memory=np.zeros((_DEVICES, 0), np.int32),
    )


def _done(round_: int) -> Done:
    """Return what a part of them reported: half of the clicks stood further down each round."""
    place = np.arange(_DEVICES)
    ranks: Any = (place[:, None] + round_ * np.arange(_CLICKS)) % 20 - 1
    reported = place % 3 != round_ % 3
    return Done(round_, reported, ranks.astype(np.int8), np.where(reported, 100.0 * place, 0.0))
