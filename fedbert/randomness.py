"""Every random number of a run, as a function of (seed, purpose, time, device, index).

The generator is Philox 4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): counter
based, so the numbers of device 7,000,000 are reached without drawing those before it. A range of devices
therefore gets the same numbers whichever shard, worker or backend asks, and in whatever order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_UNIT_BITS = 52


ONCE = 0
"""Time index of what is drawn once in a run."""


class Purpose(IntEnum):
    """What a stream of random numbers is for; two purposes never share numbers.

    The comment says which times a stream has: once, by round, by session, or what else.
    """

    PROFILE = 1  # once: class of phone, speed
    FREE_MEMORY = 2  # once
    NETWORK = 3  # once: links and their rates
    HABIT = 4  # twice: habits, own chance to drop out (`devices.habits`)
    AVAILABILITY = 5  # by round (even) and by day (odd) (`devices.availability`)
    TRANSFER = 6  # downloads: by round, and by window before the clock (`federation.shard`)
    LATENCY = 7  # by session and kind (`federation.block_round`)
    TASTE = 8  # once
    HISTORY = 9  # once
    LEARNING_COUNT = 10  # by round
    EVALUATION_COUNT = 11  # by round
    LEARNING_SESSION = 12  # by session (`recommendation.sessions`), as the next four
    EVALUATION_SESSION = 13
    LEARNING_CANDIDATES = 14
    EVALUATION_CANDIDATES = 15
    CLICK = 16
    COHORT = 17  # by round; by day, or once, where a device joins once a day
    DROP_OUT = 18  # by round
    CONTROL_GROUP = 19  # once
    NOISE = 20  # by round, or by node of a tree over the rounds
    TRAINING = 22  # of models: `ei_bert.teaching` names its times
    RESAMPLING = 23  # of intervals: by round; once at the end
    USER_ASSIGNMENT = 24  # twice: order of users, exchange between devices (`recommendation.tier_users`)
    HISTORY_CANDIDATES = 25  # by place in the history
    HISTORY_CLICK = 26  # by place in the history
    SKETCH = 27  # once, the same in every run
    SAMPLE = 28  # of texts
    TRACE = 29  # once: whose trace a device takes
    PARTICIPATION = (
        30  # by round: its devices (even), the round itself (odd) (`devices.fitting`, `round_clock`)
    )
    UPLOAD = 31  # by round
    AUDIT = 32  # once: coins of canaries and planted phones
    DEVICE_NOISE = 33  # by round: the noise that a phone adds to its own report
    QUEUE = 34  # by round: in which order a server asks phones (`federation.buffer_round`)
    SELECTION = 35  # by round: coins of who is asked
    POISONING = 40  # once: who is poisoned; by round: what is sent at random (`signals.poisoning`)


@lru_cache(maxsize=4096)
def _key(seed: int, purpose: int, time: int) -> NDArray[np.uint64]:
    key = np.asarray(np.random.SeedSequence([seed, purpose, time]).generate_state(2, np.uint64), np.uint64)
    key.flags.writeable = False
    return key


def keys(seed: int, purpose: int, times: Sequence[int]) -> NDArray[np.uint64]:
    """Return the generator's keys of a purpose at `times`, `[time, 2]`."""
    return np.array([_key(seed, purpose, time) for time in times], np.uint64).reshape(-1, 2)


def words(
    seed: int,
    purpose: int,
    time: int,
    first: int,
    count: int,
    draws: int,
) -> NDArray[np.uint64]:
    """Return raw 64-bit words `[count, draws]` for ids `first` .. `first + count - 1`.

    Row i depends on (seed, purpose, time, first + i) alone, and not on `first`, `count` or earlier calls.
    `seed`, `purpose`, `time` and `first` are >= 0. The same `draws` must be used for one purpose.
    """
    from fedbert.kernels.philox import fill_words

    result = np.empty((count, draws), np.uint64)
    fill_words(keys(seed, purpose, [time]), np.zeros(count, np.int8), np.arange(first, first + count), result)
    return result


def uniforms(seed: int, purpose: int, time: int, first: int, count: int, draws: int) -> NDArray[np.float64]:
    """Return uniform numbers in the open interval (0, 1), `[count, draws]`; see `words` for the arguments."""
    return uniforms_at(keys(seed, purpose, [time]), np.arange(first, first + count), draws)


def uniforms_at(
    keys: NDArray[np.uint64],
    ids: NDArray[np.int64],
    draws: int,
    which: NDArray[np.int8] | None = None,
) -> NDArray[np.float64]:
    """Return uniform numbers `[n, draws]` for any `ids` [n] >= 0, each under ``keys[which]`` [n].

    Without `which` all are under the first key. The numbers are those of `uniforms`.
    """
    from fedbert.kernels.philox import fill_uniforms

    result = np.empty((len(ids), draws), np.float64)
    chosen = np.zeros(len(ids), np.int8) if which is None else which
    fill_uniforms(keys, chosen, ids.astype(np.int64, copy=False), result)
    return result


def to_uniforms(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return what 64-bit words stand for in the open interval (0, 1), same shape."""
    # 52 bits, so that adding a half is exact and neither 0 nor 1 can come out.
    mantissas = raw >> np.uint64(64 - _UNIT_BITS)
    return np.asarray((mantissas.astype(np.float64) + 0.5) * 2.0**-_UNIT_BITS)


def normals(
    seed: int, purpose: int, time: int, ids: NDArray[np.integer], size: int
) -> Iterator[NDArray[np.float64]]:
    """Yield standard normal numbers `[size]` for each of `ids` (>= 0): one array, filled anew each time.

    They depend on (seed, purpose, time, id) alone, and fewer numbers are the first of more: an id has 2^192
    counters to itself, since how many a normal number takes is not known before.
    """
    key, numbers = _key(seed, purpose, time), np.empty(size)
    for each in ids:
        bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, each], np.uint64))
        yield np.random.Generator(bits).standard_normal(out=numbers)


def generator(seed: int, purpose: int, time: int = ONCE) -> np.random.Generator:
    """Return a sequential generator for work that is never split over shards (training order, noise)."""
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, time)))


@dataclass(frozen=True)
class Draws:
    """Sequential generators for a fixed set of times, without the seed that they come from.

    Who holds one can repeat the draws of its purpose and of no other: a party of a run is handed what is its
    own. Generators are those of `generator`.
    """

    keys: Mapping[int, tuple[int, int]]

    def generator(self, time: int) -> np.random.Generator:
        """Return the generator of a time; raises KeyError for a time that was not given."""
        return np.random.Generator(np.random.Philox(key=np.array(self.keys[time], np.uint64)))


def draws(seed: int, purpose: Purpose, times: Iterable[int]) -> Draws:
    """Return the generators of one purpose at some times."""
    keys = {time: _key(seed, purpose, time) for time in times}
    return Draws({time: (int(key[0]), int(key[1])) for time, key in keys.items()})
