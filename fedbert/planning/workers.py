"""Worker processes that take one call after another, fail one by one and die with their parent.

Each of the workers is a pool of its own: one that is killed, say for its memory, takes its call with it and
no other; a new one takes its place.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_WATCH_S = 1.0


def run_calls(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], jobs: int
) -> Generator[tuple[int, Future[Any]]]:
    """Yield (index of the call, its ended future) as the calls of `function` end, `jobs` at a time.

    A killed worker's future raises `BrokenProcessPool`. Closing the generator, or an exception in it, stops
    the workers at once. `function` must be a module's: the workers import it.
    """
    waiting = list(reversed(range(len(calls))))
    slots = [_worker() for _ in range(min(jobs, len(calls)))]
    running: dict[Future[Any], tuple[int, int]] = {}

    def start(slot: int) -> None:
        if waiting:
            index = waiting.pop()
            running[_submit(slots[slot], function, calls[index])] = (slot, index)

    others = set(multiprocessing.active_children())
    try:
        for slot in range(len(slots)):
            start(slot)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slot, index = running.pop(future)
                if future.exception() is not None:
                    # `function` answers for its own exceptions: this worker is dead.
                    slots[slot].shutdown(wait=False)
                    slots[slot] = _worker()
                start(slot)
                yield index, future
    except BaseException:
        for pool in slots:
            pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    for pool in slots:
        pool.shutdown()


def _worker() -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(os.getpid(),))


def _submit(
    pool: ProcessPoolExecutor, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Future[Any]:
    """Submit a call; the worker that this may start is deaf to Ctrl-C until `_begin` has run in it."""
    with _blocked(signal.SIGINT):
        return pool.submit(function, *arguments)


@contextmanager
def _blocked(number: signal.Signals) -> Any:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """Prepare a worker: signals end it without a traceback, and so does the end of the process `parent`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Elsewhere, and where the parent ended before this line, only asking helps.
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)
