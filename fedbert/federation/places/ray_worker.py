"""What a Ray worker does: one order of one shard, as a function of its phones' memory (`ray_grid.py`).

A worker keeps what it has met of the run: environment and releases come to a node once, through Ray's object
store, and are unpacked once a process.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray

from fedbert.ei_bert.artefact.artefact import unpack
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment, share
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import REPLAY, START, Arrays
from fedbert.federation.shard import Shard
from fedbert.federation.shard_work import replayed, round_worked, started
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


@dataclass(frozen=True)
class Done:
    """What a worker made of a task."""

    answer: Arrays
    seconds: float
    """It took."""


_known: dict[str, Any] = {}
"""What this process has unpacked, by its key."""


def work(task: Task, memory: Arrays | None) -> tuple[Done, Arrays | None]:
    """Return the answer to `task` and the phones' memory after it, None where it stays as it was.

    `memory` is theirs before it; None lets a shard begin.
    """
    limit_cores(CORES)
    clock = time.perf_counter()
    environment: Environment = _unpacked(task.environment, _shared_here)
    shard = Shard(environment, int(task.header["first"]), int(task.header["count"]))
    arrays = task.arrays | {name: ray.get(each.reference[0]) for name, each in task.shared.items()}
    state = None
    if task.kind == REPLAY:
        answer = replayed(shard, task.header, arrays, memory or {})
    elif task.kind == START:
        state = shard.start() if memory is None else PhoneState.from_arrays(memory)
        answer = started(state, max(task.releases))
    else:
        # A copy: what Ray hands out cannot be written to.
        state = PhoneState.from_arrays(memory or {})
        releases = {number: _release(environment, each) for number, each in task.releases.items()}
        answer = round_worked(shard, state, task.header, arrays, releases)
    return Done(answer, time.perf_counter() - clock), state.arrays() if state else None


def _unpacked(shared: Shared, make: Callable[[Any], Any]) -> Any:
    """Return what `make` makes of something shared; made once a process."""
    if shared.key not in _known:
        _known[shared.key] = make(ray.get(shared.reference[0]))
    return _known[shared.key]


def _shared_here(environment: Environment) -> Environment:
    share(environment)
    return environment


def _release(environment: Environment, packed: Shared) -> EncodedRelease:
    return environment.encoded(_unpacked(packed, lambda blob: unpack(blob.tobytes())))
