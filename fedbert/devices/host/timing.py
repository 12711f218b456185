"""Wall times of ONNX graphs on this machine, in the presence of other work.

Other programs, and other machines on the same processor, only ever lengthen a run. So every graph is run in
many short bursts that take turns over the whole time given, and the shortest run counts; the spread of the
bursts tells how disturbed the machine was.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedbert.machine import cores
from fedbert.units import MS_PER_S

_RUNNABLE = Path("/proc/loadavg")
_PATIENCE_S = 0.01
"""How long a burst waits for the cores it needs to be free of other work."""
# A burst is long against the clock's grain and short against a time slice of the system.
_BURST_S = 0.002
_BURST_RUNS = 4
BUSY_SPREAD = 1.25
"""Median over shortest burst from which the machine is called busy."""


@dataclass(frozen=True)
class Job:
    """A graph to time: its bytes, what it is fed, and on how many threads."""

    onnx_bytes: bytes
    feed: Mapping[str, NDArray[Any]]
    threads: int


@dataclass(frozen=True)
class Times:
    """Shortest and median of `rounds` bursts [job], milliseconds; `load`: the system's when it began."""

    shortest_ms: NDArray[np.float64]
    median_ms: NDArray[np.float64]
    rounds: int
    load: float

    @property
    def spread(self) -> float:
        """The median job's median over shortest burst: 1 on a quiet machine."""
        return float(np.median(self.median_ms / self.shortest_ms))


def session(onnx_bytes: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session with the options of the shipped runtime, on `threads` threads.

    A second thread sleeps between runs, as on a phone; spinning, the threads of one session would take the
    core from the next one to be timed.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])


def measure(
    jobs: Mapping[str, Job], seconds: float, progress: Callable[[float], None] = lambda share: None
) -> Times:
    """Time all `jobs` in turns for about `seconds`, at least three rounds; `progress` gets the share done."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    made: dict[tuple[int, int], onnxruntime.InferenceSession] = {}
    pairs = []
    for job in jobs.values():
        key = (id(job.onnx_bytes), job.threads)
        if key not in made:
            made[key] = session(job.onnx_bytes, job.threads)
        pairs.append((made[key], dict(job.feed), job.threads))
    rounds: list[list[float]] = []
    begin = time.perf_counter()
    while len(rounds) < 3 or time.perf_counter() - begin < seconds:
        times = []
        for each, feed, threads in pairs:
            _wait_for_cores(threads)
            times.append(_burst(each, feed))
        rounds.append(times)
        progress(min(1.0, (time.perf_counter() - begin) / seconds))
    table = np.array(rounds) * MS_PER_S
    return Times(table.min(axis=0), np.median(table, axis=0), len(rounds), load)


def _wait_for_cores(threads: int) -> None:
    """Wait, but not for long, until other work leaves `threads` cores free, as far as Linux tells."""
    if not _RUNNABLE.is_file():
        return
    end = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < end:
        others = int(_RUNNABLE.read_text(encoding="ascii").split()[3].split("/")[0]) - 1
        if others + threads <= cores():
            return
        time.sleep(0.0005)


def _burst(made: onnxruntime.InferenceSession, feed: dict[str, NDArray[Any]]) -> float:
    """Return the shortest of a few runs, seconds."""
    shortest, runs = float("inf"), 0
    begin = now = time.perf_counter()
    while runs < _BURST_RUNS or now - begin < _BURST_S:
        made.run(None, feed)
        after = time.perf_counter()
        shortest, now, runs = min(shortest, after - now), after, runs + 1
    return shortest


def load_ms(onnx_bytes: bytes, times: int = 7) -> float:
    """Return the shortest time to make a session of a graph that is in memory, milliseconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        session(onnx_bytes, 1)
        taken.append(time.perf_counter() - begin)
    return min(taken) * MS_PER_S
