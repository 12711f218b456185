"""A folder of results: reserved and locked before the work, written all together or not at all.

`reserve` makes the folder, locks it for the life of the process and finds out, before the work, what
would keep it from being written afterwards. `commit` writes several files as one; whoever reads or writes the
folder next finishes what a crash broke off (`recover`). Files that are not named in a commit stay.
"""

import atexit
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fedbert.commits import COMMIT, NEW, finish, write_as_one
from fedbert.errors import FedbertError, invalid
from fedbert.files import (
    is_temporary,
    path_problem,
    put,
    read_bytes,
    read_json,
    reason,
    temporary_name,
)
from fedbert.interrupts import shielded

LOCK = ".lock"
CHECKPOINT = "checkpoint"
"""The folder inside a run folder where a run that works keeps its state."""

_ELSEWHERE = "choose another --output"
_READER_WAITS_S = 10.0
_LONGEST_INSIDE = "." * 80 + "/" + "." * 80
"""At least as long as any path that is made below a held folder."""


@dataclass(frozen=True)
class Held:
    """A folder that this process has locked."""

    path: Path
    lock: FileLock
    made: tuple[Path, ...]  # folders that holding it has made, the innermost first
    pid: int


_held: dict[Path, Held] = {}


def _key(path: Path) -> Path:
    return path.absolute()


def is_held(path: Path) -> bool:
    """Return whether this process holds `path`."""
    return _key(path) in _held


def present(path: Path) -> list[str]:
    """Return the names in the folder `path` that are not this module's own; none if it does not exist."""
    own = (LOCK, COMMIT)
    return sorted(name for name in _names(path) if name not in own and not is_temporary(name))


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 names are wanted, not paths
    except FileNotFoundError:
        return []


def check_path(path: Path, name: str = "output") -> None:
    """Raise FedbertError if `path` cannot be a folder's; looks, and makes nothing."""
    problem = path_problem(str(path))
    if problem is not None:
        raise invalid(name, _short(path), problem, f"choose another --{name.replace('_', '-')}")
    try:
        taken = path.exists() and not path.is_dir()
    except OSError as error:
        raise _unusable(path, name, error) from None
    if taken:
        raise invalid(
            name, _short(path), "be a folder, not a file", f"choose another --{name.replace('_', '-')}"
        )


def check_writable(path: Path, name: str = "output") -> None:
    """Raise FedbertError unless files can be made in the folder `path`; leaves nothing behind."""
    check_path(path, name)
    made: list[Path] = []
    try:
        made = _make(path)
        probe = path / temporary_name("probe")
        put(probe, b"")
        probe.unlink()
    except OSError as error:
        raise _unusable(path, name, error) from None
    finally:
        _unmake(made)


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"


def _unusable(path: Path, name: str, error: OSError) -> FedbertError:
    flag = f"choose another --{name.replace('_', '-')}"
    return invalid(name, _short(path), f"be a folder that can be made and written ({reason(error)})", flag)


def _make(path: Path) -> list[Path]:
    """Make `path` with its parents and return those that did not exist, the innermost first."""
    made: list[Path] = []
    missing = []
    step = path
    while not step.exists():
        missing.append(step)
        step = step.parent
    try:
        for folder in reversed(missing):
            with suppress(FileExistsError):
                folder.mkdir()
                made.insert(0, folder)
    except BaseException:
        _unmake(made)
        raise
    return made


def _unmake(made: Iterable[Path]) -> None:
    """Remove those of the folders `made` that are empty."""
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return


def reserve(path: Path, check: Callable[[list[str]], None] | None = None) -> None:
    """Make the folder `path`, lock it for this process and finish a commit that was broken off in it.

    `check` is called with the names in it, before and after it is locked, and raises if they are in the way.
    A folder that this process holds already is left as it is.

    Raises:
        FedbertError: if the path cannot be written, `check` refuses, or another process holds the folder.
    """
    if is_held(path):
        return
    check_path(path)
    try:
        if check is not None:
            check(present(path))
        made = _make(path)
        try:
            _hold(path, made, check)
        except BaseException:
            _unmake(made)
            raise
    except OSError as error:
        raise _unusable(path, "output", error) from None


def reserve_next(parent: Path, stem: str) -> Path:
    """Make and lock the folder ``stem`` in `parent`, or the first of ``stem-2``, ... that is new."""
    number, tries_left = 1, 20
    while True:
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        check_path(path)
        try:
            made = _make(parent)
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            _hold(path, [path, *made], None)
        except FileNotFoundError as error:
            # Another process that made `parent` has just removed it again, as nothing was in it.
            tries_left -= 1
            if not tries_left:
                raise _unusable(path, "output", error) from None
            continue
        except OSError as error:
            raise _unusable(path, "output", error) from None
        return path


def _hold(path: Path, made: list[Path], check: Callable[[list[str]], None] | None) -> None:
    with suppress(FileNotFoundError):
        (path / _LONGEST_INSIDE).lstat()  # any other error: the names inside will not fit
    lock = _locked(path)
    try:
        if check is not None:
            check(present(path))
        with open(path / LOCK, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}, file)
        _held[_key(path)] = Held(path, lock, tuple(made), os.getpid())
        finish(path)
    except BaseException:
        _held.pop(_key(path), None)
        _unlock(path, lock)
        raise


def _locked(path: Path, wait_s: float = 0.0) -> FileLock:
    lock = FileLock(path / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=wait_s, poll_interval=0.05)
    except Timeout:
        raise FedbertError(
            f"output(={_short(path)!r}) must not be in use, and {_holder(path)} writes it; wait for it or "
            f"{_ELSEWHERE}"
        ) from None
    return lock


def _holder(path: Path) -> str:
    try:
        who = read_json(path / LOCK, 10_000)
        return f"process {int(who['pid'])} on {str(who['host'])[:60]!r} (since {str(who['since'])[:40]})"
    except (FedbertError, KeyError, TypeError, ValueError):
        return "another process"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _unlock(path: Path, lock: FileLock) -> None:
    # Removed while locked: a second process that has it open finds a file without a name and tries again.
    with suppress(OSError):
        (path / LOCK).unlink()
    lock.release()


def release(path: Path) -> None:
    """Unlock `path`; folders that holding it has made are removed if nothing is in them."""
    held = _held.pop(_key(path), None)
    if held is not None:
        _unlock(held.path, held.lock)
        _unmake(held.made)


@contextmanager
def holding(path: Path, check: Callable[[list[str]], None] | None = None) -> Iterator[None]:
    """Hold `path` inside the block as `reserve` does; a folder held before stays held after it."""
    before = is_held(path)
    reserve(path, check)
    try:
        yield
    finally:
        if not before:
            release(path)


@atexit.register
def _release_all() -> None:
    for held in list(_held.values()):
        if held.pid == os.getpid():  # not in a child that was forked
            release(held.path)


def commit(folder: Path, contents: Mapping[str, bytes], remove: Iterable[str] = ()) -> None:
    """Make `contents` the files of `folder`, which must be held, and remove those in `remove`: all or none.

    Names are relative, with ``/``; sub-folders are made. Signals wait until it is done.

    Raises:
        OSError: if that is not possible; then every file is as it was before.
    """
    if not is_held(folder):
        raise ValueError(f"{folder} is not held")
    with shielded():
        write_as_one(folder, contents, remove)


def recover(folder: Path) -> None:
    """Finish what a crash broke off in `folder`, for a reader; waits for a writer that is at work.

    Raises:
        FedbertError: if the folder cannot be written, or stays in use.
    """
    if not (folder / COMMIT).is_dir() or is_held(folder):
        return
    try:
        lock = _locked(folder, _READER_WAITS_S)
        try:
            finish(folder)
        finally:
            _unlock(folder, lock)
    except OSError as error:
        raise FedbertError(
            f"{str(folder)!r} is half written, and finishing it failed ({reason(error)}); "
            "make the folder writable"
        ) from None


def read_committed(folder: Path, name: str, limit_bytes: int) -> bytes:
    """Return the file `name` of `folder` as the last commit left it; raises UnreadableFile."""
    if (folder / COMMIT).is_dir():
        try:
            recover(folder)
        except FedbertError:
            # A medium that cannot be written still has the file.
            if (folder / COMMIT / NEW / name).is_file():
                return read_bytes(folder / COMMIT / NEW / name, limit_bytes)
    return read_bytes(folder / name, limit_bytes)
