"""Asynchronous rounds: phones work at a fixed concurrency, and the server steps when a buffer is full.

FedBuff (Nguyen et al. 2022, "Federated learning with buffered asynchronous aggregation") and Papaya (Huba et
al. 2022): at most M phones are at work at once; as one ends, the next begins; the server takes a step with
each K reports that have come. A report is *stale* by the steps that the server took since its phone began,
and weighs 1 / sqrt(1 + staleness).

Windows stay the outer loop, as availability and releases have them. In a window phones are asked in an order
of chance until none is left or the window ends; who is at work then comes too late. What a window leaves in a
buffer waits for the next one. A phone that weighs its own report can only know of the steps before its
upload, so the weight is by these; steps that are taken while it sends make it stale all the same.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONCURRENCY_PER_REPORT = 10
"""Phones at work for each report of a buffer, where nobody says: FedBuff's K of 10 with a hundred at work,
the least that Nguyen et al. try. A report is then stale by about ten steps."""

MOST_A_WINDOW = 1_000
"""Buffers that a window may be expected to fill: each is a sum of its own in every shard's answer."""

MOST_IN_ALL = 100_000
"""Buffers that a run may be expected to fill: each is a step of the server."""

STALENESS_BINS = ("0", "1", "2 to 3", "4 to 7", "8 to 15", "16 to 31", "32 or more")
"""Steps by which reports are stale, as results count them; bin b > 0 begins with 2^(b - 1)."""

_ENDS, _SENDS = 0, 1


@dataclass(frozen=True)
class Tasks:
    """The phones that a window may ask, and how long each would be at work; arrays are `[phone]`.

    Their order does not matter. Times are whole microseconds, `send_us` < `busy_us`.
    """

    device: NDArray[np.int64]
    ticket: NDArray[np.int64]
    """Who has the lowest is asked first; of equals the device with the lower number."""
    ready_us: NDArray[np.int64]
    """From the window's opening until its release is there; a phone that begins before waits for it."""
    send_us: NDArray[np.int64]
    """From then to the beginning of the upload."""
    busy_us: NDArray[np.int64]
    """From then until the report has come, or until the phone's place is free without one."""
    comes: NDArray[np.bool_]
    """Whether a report comes at all."""


@dataclass(frozen=True)
class Schedule:
    """How a window goes; arrays are `[phone]` in the order of the tasks, but for `closed_us` `[buffer]`."""

    begun: NDArray[np.bool_]
    place: NDArray[np.int64]
    """The buffer that the report went to, 0 the one that was open at the beginning; -1: it did not come."""
    staleness: NDArray[np.int64]
    """Steps of the server from the phone's beginning until its report came; 0 without a report."""
    known: NDArray[np.int64]
    """Of these the steps before its upload, which the phone knows of."""
    closed_us: NDArray[np.int64]
    """When each buffer that was filled in the window was full, from the window's opening."""
    filled: int
    """Reports in the buffer that is left open."""
    last_us: int
    """When nobody was at work any more, at most the window's end."""
    busy_us: int
    """Time at work, summed over phones."""


def staleness_weight(staleness: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what reports weigh, `[report]` in (0, 1]: 1 / sqrt(1 + staleness), as in FedBuff."""
    return np.asarray(1.0 / np.sqrt(1.0 + staleness), np.float64)


def staleness_bins(staleness: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many reports are in each of `STALENESS_BINS`."""
    edges = 2 ** np.arange(len(STALENESS_BINS) - 1)
    return np.bincount(np.searchsorted(edges, staleness, side="right"), minlength=len(STALENESS_BINS))


def scheduled(tasks: Tasks, concurrency: int, size: int, filled: int, until_us: int) -> Schedule:
    """Return how a window goes in which at most `concurrency` phones are at work at once.

    A buffer is full with `size` reports; the first holds `filled` (< `size`) already. Nothing that comes
    after `until_us` counts. Of what happens at once reports come before uploads begin, and lower numbers of
    devices first; a place that is free is taken at once.
    """
    count = len(tasks.device)
    queue = iter(np.lexsort((tasks.device, tasks.ticket)).tolist())
    device, ready_us, comes = tasks.device.tolist(), tasks.ready_us.tolist(), tasks.comes.tolist()
    send_us, busy_us = tasks.send_us.tolist(), tasks.busy_us.tolist()
    began_us, began_step = [-1] * count, [0] * count
    place = np.full(count, -1, np.int64)
    stale, known = np.zeros(count, np.int64), np.zeros(count, np.int64)
    closed: list[int] = []
    events: list[tuple[int, int, int, int]] = []
    last = total = 0

    def begin(now: int) -> None:
        row = next(queue, None)
        if row is None:
            return
        began_us[row], began_step[row] = now, len(closed)
        ready = max(now, ready_us[row])
        if comes[row]:
            heapq.heappush(events, (ready + send_us[row], _SENDS, device[row], row))
        heapq.heappush(events, (ready + busy_us[row], _ENDS, device[row], row))

    for _ in range(concurrency):
        begin(0)
    while events and events[0][0] <= until_us:
        now, what, _, row = heapq.heappop(events)
        last = now
        if what == _SENDS:
            known[row] = len(closed) - began_step[row]
            continue
        total += now - began_us[row]
        if comes[row]:
            place[row] = len(closed)
            stale[row] = len(closed) - began_step[row]
            filled += 1
            if filled == size:
                closed.append(now)
                filled = 0
        if now < until_us:
            begin(now)
    begun = np.array(began_us, np.int64) >= 0
    if events:
        last = until_us
        total += sum(until_us - began_us[row] for _, what, _, row in events if what == _ENDS)
    known[place < 0] = 0
    return Schedule(begun, place, stale, known, np.array(closed, np.int64), filled, last, total)
