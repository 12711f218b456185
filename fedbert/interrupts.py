"""Ctrl-C, `kill` and a closed terminal end a command in order, once, and never in the middle of saving.

Inside `orderly_stop` the first of SIGINT, SIGTERM and SIGHUP raises `Stopped`, a KeyboardInterrupt, wherever
the program is; further ones are noted only, so that they cannot break off what the first one made it save.
Inside `shielded` even the first waits until the block ends.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """The first signal of those that end a command; `signal_number` says which."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


@dataclass
class _State:
    """What has arrived since the outermost `orderly_stop` began; one a process, like its handlers."""

    active: bool = False
    first: int | None = None
    raised: bool = False
    shields: int = 0


_state = _State()


def exit_code() -> int:
    """Return 128 + the signal that stopped the command, as shells do; 130, Ctrl-C's, if none is known."""
    return 128 + (_state.first if _state.first is not None else signal.SIGINT)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _state.first is None:
        _state.first = number
    _raise_if_due()


def _raise_if_due() -> None:
    if _state.first is not None and not _state.raised and not _state.shields:
        _state.raised = True
        raise Stopped(_state.first)


@contextmanager
def orderly_stop() -> Iterator[None]:
    """Turn the first signal that would end the process into `Stopped`; the handlers are restored at the end.

    A signal that the process was started to ignore (``nohup``, a shell's background) stays ignored. Off the
    main thread, where no handler can be set, and inside another such block, nothing changes.
    """
    if _state.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.active, _state.first, _state.raised = True, None, False
    before: dict[int, Any] = {}
    try:
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _on_signal)
        yield
    finally:
        # From here on a signal must not break off what is left of the ending.
        _state.shields += 1
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _state.shields -= 1
        _state.active = False
    _raise_if_due()


@contextmanager
def shielded() -> Iterator[None]:
    """Let signals wait until the block has ended; then the first raises `Stopped`, if none has before.

    Outside `orderly_stop` Ctrl-C waits in the same way; off the main thread nothing changes.
    """
    with orderly_stop():
        _state.shields += 1
        try:
            yield
        finally:
            _state.shields -= 1
        _raise_if_due()
