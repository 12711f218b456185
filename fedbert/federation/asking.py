"""Whom a round asks, where the phones are: the run's selection on their own columns and memory.

See `selection/selection.py` for what a selection is handed, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import RoundOrder
from fedbert.randomness import Purpose
from fedbert.selection.selection import (
    MOST_OF_A_DEVICE,
    Done,
    Known,
    LearntSelection,
    Selection,
    learns,
)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Asking:
    """What the choice of some phones rests on beside what they are: the order, and what they remember."""

    order: RoundOrder
    installed: NDArray[np.int16]
    """[device] release of each."""
    memory: NDArray[np.int32]
    """[device, column] what each keeps for the selection."""


def memory_columns(selection: Selection) -> int:
    """Return how many numbers each phone keeps for a selection: none, unless it learns."""
    return cast(LearntSelection, selection).columns if learns(selection) else 0


def selected(selection: Selection, devices: DeviceRange, coins: Flags, known: Known) -> Flags:
    """Return which of `devices` join a round `[device]`, where the mechanism's `coins` [device] would let."""
    drawn = devices.uniforms(Purpose.SELECTION, known.round, 1)[:, 0] < selection.chances(known)
    return drawn if learns(selection) else coins & drawn


def asking_now(state: PhoneState, rows: slice, order: RoundOrder) -> Asking:
    """Return what the choice of the phones in `rows` of `state` rests on, as it is when a round begins."""
    # Copies: phones fetch releases in the round that asks them, and by the clock before they report.
    return Asking(order, state.installed[rows].copy(), state.selection[rows].copy())


def remembered(selection: Selection, known: Known, done: Done) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the phones' memory after a round, and what they add to the sums of a selection that learns."""
    learnt = cast(LearntSelection, selection)
    memory = learnt.remember(known, done)
    return memory, learnt.sums(replace(known, memory=memory), done.reported)


def checked_sums(
    sums: NDArray[np.generic] | None, selection: Selection, devices: int
) -> NDArray[np.int64] | None:
    """Return a shard's sums for the selection; raises FedbertError unless its `devices` can add up to them.

    None where the selection learns nothing.
    """
    if not learns(selection):
        if sums is not None:
            raise FedbertError("selection must not be there")
        return None
    entries = cast(LearntSelection, selection).entries
    if sums is None or sums.dtype != np.int64 or sums.shape != (entries,):
        raise FedbertError(f"selection must be {entries} whole numbers")
    found = cast(NDArray[np.int64], sums)
    if found.min() < 0 or found.max() > devices * MOST_OF_A_DEVICE:
        raise FedbertError(f"selection must be from 0 to {MOST_OF_A_DEVICE:,} for each of {devices} devices")
    return found


def first_sums(selection: Selection) -> NDArray[np.int64] | None:
    """Return sums of nobody; None where the selection learns nothing."""
    return np.zeros(cast(LearntSelection, selection).entries, np.int64) if learns(selection) else None


def first_announced(selection: Selection) -> NDArray[np.float64]:
    """Return what a selection would announce before the first round, `[k]`."""
    return cast(LearntSelection, selection).start() if learns(selection) else np.zeros(0)


def announced_for(
    selection: Selection, before: NDArray[np.float64], sums: Sequence[NDArray[np.int64]], round_: int
) -> NDArray[np.float64]:
    """Return what goes with the order of `round_`, by what went `before` and each shard's sums since."""
    if not learns(selection):
        return before
    total: NDArray[np.int64] = np.sum(np.stack(sums), axis=0)
    return cast(LearntSelection, selection).announce(before, total, round_)
