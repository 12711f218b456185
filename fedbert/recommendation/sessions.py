"""Blocks of devices, their sessions on the clock, and the candidates a phone draws for each session.

A block is a range of device ids. Whatever is computed for a device depends on (seed, device, round) alone, so
the same device gets the same sessions in any block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.randomness import Purpose, keys, uniforms_at
from fedbert.recommendation.catalogue import NEIGHBOURS, Catalogue, guide
from fedbert.results import CANDIDATES
from fedbert.scenario import DEFAULTS
from fedbert.units import HOURS_PER_DAY

MAX_SLOTS = 64
"""No device has more sessions of one kind in one round."""

QUIETEST_HOUR = 4.0
BUSIEST_HOUR = 20.0
ACTIVITY_SWING = 4.0
"""Modelled: people are four times as active at 20:00 as at 4:00 (the swing over the day of Bonawitz et al.
2019), along two half cosines."""

_MEAN_ACTIVITY = (1.0 + ACTIVITY_SWING) / 2
# Size of the arrays worked on at a time; no figure depends on it.
_SESSIONS_PER_CHUNK = 16384

# Popular items drawn beyond those needed, for draws that are in the list already.
_SPARE_DRAWS = 16
NEAREST = 10
"""The nearest names from which half of a list is drawn: candidates that are hard to tell apart."""

_GUIDED_STEPS = 8


class Kind(Enum):
    """What a session is for."""

    LEARNING = "learning"
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class WorldSettings:
    """What shapes users and sessions. `non_iid` 0 makes all tastes alike; sessions are means per day.

    With 0 `candidates` sessions have none: what a world draws stays the same.
    """

    history_length: int = DEFAULTS.history_length
    candidates: int = CANDIDATES
    non_iid: float = DEFAULTS.non_iid
    tier_correlation: float = DEFAULTS.tier_correlation
    learning_per_device_day: float = DEFAULTS.learning_per_day
    evaluation_per_device_day: float = DEFAULTS.evaluation_per_day
    round_hours: float = DEFAULTS.round_hours


@dataclass(frozen=True)
class Block:
    """Devices of a fleet of `fleet_devices`; tier int8 [device], 0 entry, 2 flagship.

    `tier_of` gives the tiers [device] of any range of the fleet, for worlds of real users, who are exchanged
    between neighbours; None leaves them where they are.
    """

    devices: DeviceRange
    tier: NDArray[np.int8]
    settings: WorldSettings
    fleet_devices: int
    tier_of: Callable[[DeviceRange], NDArray[np.int8]] | None = None


@dataclass(frozen=True)
class Requests:
    """Earlier sessions of each device, newest last: text and item, int32 [device, H], -1 for none.

    A row without enough of them has its -1 first.
    """

    text: NDArray[np.int32]
    item: NDArray[np.int32]


@dataclass(frozen=True)
class Sessions:
    """Sessions of a block in one round, in the order of their devices.

    device: int32 [s], row in the block, ascending. slot: int8 [s], 0 for a device's first in the round.
    hour: float64 [s], local hour in [0, 24). text: int32 [s]. item: int32 [s], the target
    item, which the simulator alone knows. candidates: int32 [s, C], distinct, the target item at a random
    place.
    """

    device: NDArray[np.int32]
    slot: NDArray[np.int8]
    hour: NDArray[np.float64]
    text: NDArray[np.int32]
    item: NDArray[np.int32]
    candidates: NDArray[np.int32]

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return len(self.device)

    def take(self, rows: NDArray[np.intp]) -> "Sessions":
        """Return the sessions at `rows`."""
        return Sessions(**{name: column[rows] for name, column in vars(self).items()})


def activity(hour: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the modelled share of a day's sessions per hour at local `hour`; over a day it adds up to 1."""
    past_quiet = np.mod(np.asarray(hour, np.float64) - QUIETEST_HOUR, HOURS_PER_DAY)
    rise = BUSIEST_HOUR - QUIETEST_HOUR
    phase = np.where(
        past_quiet < rise, past_quiet / rise, (HOURS_PER_DAY - past_quiet) / (HOURS_PER_DAY - rise)
    )
    level = _MEAN_ACTIVITY - (ACTIVITY_SWING - 1.0) / 2 * np.cos(np.pi * phase)
    return np.asarray(level / (_MEAN_ACTIVITY * HOURS_PER_DAY))


def activity_share(start_hour: float, hours: float) -> float:
    """Return the share of a day's sessions in the `hours` from local hour `start_hour`; 1.0 for 24 hours."""
    return float(_activity_before(np.asarray(start_hour + hours)) - _activity_before(np.asarray(start_hour)))


def _activity_before(hour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral of `activity` from the quietest hour of day 0 up to `hour`."""
    past_quiet = hour - QUIETEST_HOUR
    days = np.floor(past_quiet / HOURS_PER_DAY)
    rest = past_quiet - days * HOURS_PER_DAY
    rise = BUSIEST_HOUR - QUIETEST_HOUR
    fall = HOURS_PER_DAY - rise
    waves = np.where(
        rest < rise,
        rise * np.sin(np.pi * rest / rise),
        -fall * np.sin(np.pi * (HOURS_PER_DAY - rest) / fall),
    )
    area = _MEAN_ACTIVITY * rest - (ACTIVITY_SWING - 1.0) / (2 * np.pi) * waves
    return np.asarray(days + area / (_MEAN_ACTIVITY * HOURS_PER_DAY))


def round_start_hour(settings: WorldSettings, round_: int) -> float:
    """Return when round `round_` starts, in hours on the clock; round 0 is the one before the clock (< 0)."""
    return (round_ - 1) * settings.round_hours


def mean_sessions(settings: WorldSettings, round_: int, kind: Kind) -> float:
    """Return the mean sessions of a device in a round: those per day times the round's share of the day."""
    learning = kind is Kind.LEARNING
    per_day = settings.learning_per_device_day if learning else settings.evaluation_per_device_day
    return per_day * activity_share(round_start_hour(settings, round_), settings.round_hours)


def session_places(
    block: Block, round_: int, kind: Kind, able: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return (device, slot) of every session of a round: one Poisson count per device, from one uniform each.

    Counts stop at max(6, mean + 6 sqrt(mean)). Devices that are not `able` [device] have none.
    """
    mean = mean_sessions(block.settings, round_, kind)
    most = min(MAX_SLOTS, max(6, int(np.ceil(mean + 6 * np.sqrt(mean)))))
    terms = np.exp(-mean) * np.cumprod(np.concatenate([[1.0], mean / np.arange(1.0, most)]))
    purpose = Purpose.LEARNING_COUNT if kind is Kind.LEARNING else Purpose.EVALUATION_COUNT
    draw = block.devices.uniforms(purpose, round_, 1)[:, 0]
    below = np.cumsum(terms)
    count = np.zeros(len(draw), np.int64)
    some = np.flatnonzero(draw > below[0])  # most devices have none
    count[some] = np.searchsorted(below, draw[some])
    if able is not None:
        count = np.where(able, count, 0)
    some = np.flatnonzero(count)
    count = count[some]
    device = np.repeat(some.astype(np.int32), count)
    slot = np.arange(len(device)) - np.repeat(np.cumsum(count) - count, count)
    return device, slot.astype(np.int8)


def session_uniforms(
    block: Block, purpose: Purpose, round_: int, device: NDArray[np.int32], slot: NDArray[np.int8], draws: int
) -> NDArray[np.float64]:
    """Return `[s, draws]` uniforms in (0, 1): a function of (seed, purpose, round, device, slot) alone."""
    slots = slot.astype(np.int8, copy=False)
    ids = block.devices.first + device.astype(np.int64)
    return uniforms_at(_slot_keys(block, purpose, round_, slots), ids, draws, slots)


def _slot_keys(block: Block, purpose: Purpose, round_: int, slot: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Return the keys `[slot, 2]` of what devices draw for the sessions of a round, up to the last `slot`."""
    most = int(slot.max(initial=0))
    return keys(block.devices.seed, purpose, [_slot_time(round_, number) for number in range(most + 1)])


def _slot_time(round_: int, slot: int) -> int:
    """Return the time index of what a device draws for one of a round's sessions."""
    return round_ * MAX_SLOTS + slot


def session_hours(settings: WorldSettings, round_: int, draw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return local hours in [0, 24) of sessions in a round, by activity, from one uniform each."""
    edges = round_start_hour(settings, round_) + np.linspace(0.0, settings.round_hours, 65)
    before = _activity_before(edges)
    share = (before - before[0]) / (before[-1] - before[0])
    return np.mod(np.interp(draw, share, edges), HOURS_PER_DAY)


def candidate_draws(candidates: int) -> int:
    """Return how many uniforms `draw_candidates` takes per session."""
    return NEIGHBOURS + (candidates - 1 - candidates // 2) + _SPARE_DRAWS + candidates


def session_candidates(
    block: Block,
    catalogue: Catalogue,
    purpose: Purpose,
    round_: int,
    sessions: tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]],
) -> NDArray[np.int32]:
    """Return `[s, C]` distinct items for sessions: device, slot and target item [s] each, in random order.

    A phone can do this with the public catalogue and its own session; see `draw_candidates`, which this
    equals for what `session_uniforms` draws.
    """
    device, slot, item = sessions
    slots = slot.astype(np.int8, copy=False)
    ids = block.devices.first + device.astype(np.int64)
    chosen = _slot_keys(block, purpose, round_, slots), slots, ids
    return candidates_at(catalogue, chosen, item, block.settings.candidates)


def candidates_at(
    catalogue: Catalogue,
    drawn: tuple[NDArray[np.uint64], NDArray[np.int8], NDArray[np.int64]],
    item: NDArray[np.int32],
    candidates: int,
) -> NDArray[np.int32]:
    """Return `[n, candidates]` items by numbers of their own: `drawn` are keys `[key, 2]`, which [n], ids [n]
    as in `randomness.uniforms_at`."""
    from fedbert.kernels.candidates import fill_candidates

    result = np.empty((len(item), candidates), np.int32)
    if not candidates:
        return result
    draws = candidate_draws(candidates)
    law = catalogue.law
    fill_candidates(
        *drawn,
        item,
        catalogue.neighbours,
        (law.cumulative, law.begins, law.top[:candidates]),
        (draws, NEAREST, NEIGHBOURS),
        result,
    )
    return result


def draw_candidates(
    catalogue: Catalogue, item: NDArray[np.int32], draw: NDArray[np.float64], candidates: int
) -> NDArray[np.int32]:
    """Return `[s, candidates]` distinct items for sessions whose target item is `item` [s], in random order.

    A phone can do this with the public catalogue and its own session: the target item; half of the list from
    its nearest neighbours by name; the rest by popularity. Popular draws that are already in the list are
    skipped (spare draws, then the most popular items, so the number of draws is fixed). `draw` is
    `[s, candidate_draws(candidates)]` in (0, 1).
    """
    result = np.empty((len(item), candidates), np.int32)
    if not candidates:
        return result
    for start in range(0, len(item), _SESSIONS_PER_CHUNK):
        part = slice(start, start + _SESSIONS_PER_CHUNK)
        result[part] = _candidates(catalogue, item[part], draw[part], candidates)
    return result


def draw_by_weight(
    cumulative: NDArray[np.float64], draw: NDArray[np.float64], begins: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Return int32 numbers of `draw`'s shape by inversion: ``searchsorted(cumulative, draw)``, faster.

    `cumulative` [n] is rising and ends in 1.0; `begins` is its `catalogue.guide`, made here by default.
    """
    if begins is None:
        begins = guide(cumulative)
    place = begins[np.minimum((draw * len(begins)).astype(np.int32), len(begins) - 1)]
    for _ in range(_GUIDED_STEPS):
        below = cumulative[place] < draw
        if not below.any():
            return place
        place += below
    late = cumulative[place] < draw
    place[late] = np.searchsorted(cumulative, draw[late])
    return place


def _candidates(
    catalogue: Catalogue,
    item: NDArray[np.int32],
    draw: NDArray[np.float64],
    candidates: int,
) -> NDArray[np.int32]:
    near = candidates // 2
    popular_end = draw.shape[1] - candidates
    chosen = np.argsort(draw[:, :NEAREST], axis=1)[:, :near]
    neighbours = np.take_along_axis(catalogue.neighbours[item], chosen, axis=1)
    popular = draw_by_weight(catalogue.law.cumulative, draw[:, NEIGHBOURS:popular_end], catalogue.law.begins)
    pool = np.concatenate([item[:, None], neighbours, popular], axis=1)
    new = np.ones(pool.shape, np.bool_)
    for column in range(1 + near, pool.shape[1]):
        new[:, column] = (pool[:, :column] != pool[:, column, None]).all(axis=1)
    found = np.cumsum(new, axis=1)
    distinct = np.empty((len(item), candidates), np.int32)
    enough = found[:, -1] >= candidates
    distinct[enough] = pool[enough][new[enough] & (found[enough] <= candidates)].reshape(-1, candidates)
    for row in np.flatnonzero(~enough):
        distinct[row] = list(dict.fromkeys([*pool[row], *catalogue.law.top]))[:candidates]
    shuffled = np.argsort(draw[:, popular_end:], axis=1)
    return np.take_along_axis(distinct, shuffled, axis=1)
