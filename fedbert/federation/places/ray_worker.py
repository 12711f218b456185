"""What a Ray worker does: one order of one shard, as a function of its phones' memory (`ray_grid.py`).

A worker keeps what it has met of the run: environment and releases come to a node once, through Ray's object
store, and are unpacked once a process.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import unpack
from fedbert.federation.environment import Environment, keep_releases, share
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import ARRIVALS, REPLAY, START, Arrays
from fedbert.federation.shard import Shard
from fedbert.federation.shard_work import first_arrivals, replayed, round_worked, started
from fedbert.machine import limit_cores

CORES = 1
"""Cores of a worker: Ray starts as many workers on a node as it has."""


@dataclass(frozen=True)
class Shared:
    """Something that many tasks use: a name for its content, and Ray's reference to it.

    The reference lies in a tuple, where Ray leaves it as it is: a worker that knows the content asks for
    nothing.
    """

    key: str
    reference: tuple[Any]


@dataclass(frozen=True)
class Task:
    """An order to one shard, as a worker gets it."""

    kind: str
    header: dict[str, Any]
    environment: Shared
    arrays: Arrays
    """Those that are this shard's alone."""
    shared: dict[str, Shared] = field(default_factory=dict)
    """Those that are the same for every shard, by name."""
    releases: dict[int, Shared] = field(default_factory=dict)
    """All releases so far, packed, by number."""
    encoded: tuple[Shared, ...] = ()
    """Packed artefacts whose text vectors come with the task."""


@dataclass(frozen=True)
class Done:
    """What a worker made of a task."""

    answer: Arrays
    seconds: float
    """It took."""


_known: dict[str, Any] = {}
"""What this process has unpacked, by its key."""


def work(task: Task, memory: Arrays | None, *vectors: NDArray[np.int8]) -> tuple[Done, Arrays | None]:
    """Return the answer to `task` and the phones' memory after it, None where it stays as it was.

    `memory` is theirs before it; None lets a shard begin. `vectors` are those of all texts
    `[size, text, dim]`, for each artefact of `task.encoded`.
    """
    limit_cores(CORES)
    clock = time.perf_counter()
    environment: Environment = _unpacked(task.environment, _shared_here)
    shard = Shard(environment, int(task.header["first"]), int(task.header["count"]))
    arrays = task.arrays | {name: ray.get(each.reference[0]) for name, each in task.shared.items()}
    if task.kind == REPLAY:
        keep_releases({environment.release_0.sha256, *(_artefact(each).sha256 for each in task.encoded)})
    for packed, found in zip(task.encoded, vectors, strict=True):
        for release, own in zip(environment.encoded(_artefact(packed)).sizes, found, strict=True):
            release.take(own)
    state = None
    if task.kind == REPLAY:
        answer = replayed(shard, task.header, arrays, memory or {})
    elif task.kind == ARRIVALS:
        answer = first_arrivals(shard, PhoneState.from_arrays(memory or {}), task.header)
    elif task.kind == START:
        state = shard.start() if memory is None else PhoneState.from_arrays(memory)
        answer = started(state, max(task.releases))
    else:
        # A copy: what Ray hands out cannot be written to.
        state = PhoneState.from_arrays(memory or {})
        releases = {
            number: environment.encoded(_artefact(packed)) for number, packed in task.releases.items()
        }
        answer = round_worked(shard, state, task.header, arrays, releases)
    return Done(answer, time.perf_counter() - clock), state.arrays() if state else None


def encode(environment: Shared, packed: Shared, first: int, count: int) -> NDArray[np.int8]:
    """Return the vectors `[size, text, dim]` of texts `first` .. `first + count - 1` of the world, by each
    size of a packed artefact.
    """
    limit_cores(CORES)
    here: Environment = _unpacked(environment, _shared_here)
    sizes = here.encoded(_artefact(packed)).sizes
    for release in sizes:
        release.ensure(np.arange(first, first + count))
    return np.stack([release.vectors[first : first + count] for release in sizes])


def join(*parts: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the vectors of neighbouring parts as one array."""
    return np.concatenate(parts, axis=1)


def _unpacked(shared: Shared, make: Callable[[Any], Any]) -> Any:
    """Return what `make` makes of something shared; made once a process."""
    if shared.key not in _known:
        _known[shared.key] = make(ray.get(shared.reference[0]))
    return _known[shared.key]


def _shared_here(environment: Environment) -> Environment:
    share(environment)
    return environment


def _artefact(packed: Shared) -> Artefact:
    found: Artefact = _unpacked(packed, lambda blob: unpack(blob.tobytes()))
    return found
