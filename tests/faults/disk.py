"""A file system that fails at the n-th operation: full, forbidden, broken, interrupted, or without power.

Only what lies below one folder is disturbed. When the power goes, what was not flushed may be lost: bytes
behind the last `fsync` of their file, and renamed, removed and linked names whose folder was not flushed
since.
"""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np

FileKind = Literal["ENOSPC", "EACCES", "EIO", "interrupt", "power"]
FILE_KINDS: tuple[FileKind, ...] = ("ENOSPC", "EACCES", "EIO", "interrupt", "power")


class PowerLoss(BaseException):
    """The process is gone: nothing that it does from now on has an effect."""


@dataclass(frozen=True)
class FileFault:
    """What goes wrong at an operation, counted from 1; a lasting one stays, for what writes."""

    at: int
    kind: FileKind
    lasting: bool = False


@dataclass
class Disk:
    """The disturbed folder `root` of one process."""

    root: Path
    faults: tuple[FileFault, ...]
    random: np.random.Generator
    operations: list[str] = field(default_factory=list)
    """All so far, by their names."""
    changing: list[bool] = field(default_factory=list)
    """Which of them may change something: all but opening to read, and reading."""
    dead: bool = False
    hit: list[str] = field(default_factory=list)
    """The operations that went wrong."""
    _open: dict[int, str] = field(default_factory=dict)
    _synced: dict[str, int] = field(default_factory=dict)
    """Bytes of each file that are surely on the disk."""
    _undo: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    """(folder, what takes a change of its names back), oldest first."""

    # -- faults -------------------------------------------------------------------------------------------

    def _operation(self, what: str, path: str, writes: bool = True) -> FileFault | None:
        """Count an operation; raise, or return the fault that shall cut it short."""
        if self.dead:
            raise PowerLoss
        self.operations.append(what)
        self.changing.append(writes)
        number = len(self.operations)
        for fault in self.faults:
            if fault.at == number or (fault.lasting and writes and fault.at < number):
                self.hit.append(f"{fault.kind} at operation {number}: {what} {Path(path).name}")
                if fault.kind != "interrupt":
                    return fault
                signal.raise_signal(signal.SIGINT)
        return None

    def _fail(self, fault: FileFault, path: str) -> None:
        if fault.kind == "power":
            self._power_loss()
            raise PowerLoss
        number = getattr(errno, fault.kind)
        raise OSError(number, os.strerror(number), path)

    def _check(self, what: str, path: str, writes: bool = True) -> None:
        fault = self._operation(what, path, writes)
        if fault is not None:
            self._fail(fault, path)

    def _power_loss(self) -> None:
        self.dead = True
        for path, sure in self._synced.items():
            with suppress(OSError):
                size = os.stat(path).st_size  # noqa: PTH116
                if size > sure:
                    os.truncate(path, int(self.random.integers(sure, size + 1)))
        for _, back in reversed(self._undo):
            if self.random.random() < 0.5:
                with suppress(OSError):
                    back()

    # -- the operations -----------------------------------------------------------------------------------

    def _path(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Return the whole path if it is below the root."""
        if isinstance(path, int):
            return self._open.get(path)
        text = os.fsdecode(path)
        if dir_fd is not None:
            if dir_fd not in self._open:
                return None
            text = f"{self._open[dir_fd]}/{text}"
        text = os.path.abspath(text)  # noqa: PTH100
        return text if text.startswith(f"{self.root}/") else None

    def _changed(self, path: str, back: Callable[[], None]) -> None:
        self._undo.append((os.path.dirname(path), back))  # noqa: PTH120

    @contextmanager
    def attached(self) -> Iterator["Disk"]:
        """Stand between the process and the folder."""
        real = {
            name: getattr(os, name)
            for name in (
                *("open", "close", "fdopen", "read", "write", "fsync", "ftruncate"),
                *("rename", "replace", "mkdir", "unlink", "remove", "rmdir", "link"),
            )
        }

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            where = self._path(path, dir_fd)
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if where is not None:
                self._check("open", where, writes)
            descriptor: int = real["open"](path, flags, mode, dir_fd=dir_fd)
            if where is not None:
                self._open[descriptor] = where
                if writes and not os.path.basename(where).startswith(".lock"):  # noqa: PTH119
                    self._synced.setdefault(where, os.fstat(descriptor).st_size)
            return descriptor

        def close(descriptor: int) -> None:
            self._open.pop(descriptor, None)
            real["close"](descriptor)

        def fdopen(descriptor: int, mode: str = "r", *args: Any, **named: Any) -> Any:
            if descriptor in self._open and "b" in mode:
                return _File(self, descriptor, real["fdopen"](descriptor, mode, buffering=0))
            return real["fdopen"](descriptor, mode, *args, **named)

        def read(descriptor: int, size: int) -> bytes:
            if descriptor in self._open:
                self._check("read", self._open[descriptor], writes=False)
            content: bytes = real["read"](descriptor, size)
            return content

        def write(descriptor: int, content: Any) -> int:
            where = self._open.get(descriptor)
            fault = self._operation("write", where) if where is not None else None
            if fault is not None and where is not None:
                part = int(self.random.integers(0, len(content) + 1))
                real["write"](descriptor, bytes(content)[:part])
                self._fail(fault, where)
            return int(real["write"](descriptor, content))

        def fsync(descriptor: int) -> None:
            where = self._open.get(descriptor)
            if where is None:
                real["fsync"](descriptor)
                return
            self._check("fsync", where)
            self._synced[where] = os.fstat(descriptor).st_size
            self._undo = [(folder, back) for folder, back in self._undo if folder != where]

        def ftruncate(descriptor: int, size: int) -> None:
            if descriptor in self._open:
                self._check("ftruncate", self._open[descriptor])
            real["ftruncate"](descriptor, size)

        def moving(name: str) -> Callable[..., None]:
            def move(source: Any, target: Any, **named: Any) -> None:
                old, new = self._path(source), self._path(target)
                if old is None or new is None:
                    real[name](source, target, **named)
                    return
                self._check(name, new)
                before = _content(new)
                real[name](source, target, **named)
                self._synced[new] = self._synced.pop(old, _size(new))

                def back() -> None:
                    real["rename"](new, old)
                    if before is not None:
                        _put(new, before)

                self._changed(new, back)

            return move

        def removing(name: str) -> Callable[..., None]:
            def remove(path: Any, *, dir_fd: int | None = None) -> None:
                where = self._path(path, dir_fd)
                if where is None:
                    real[name](path, dir_fd=dir_fd)
                    return
                self._check(name, where)
                before = _content(where)
                real[name](path, dir_fd=dir_fd)
                self._synced.pop(where, None)
                if before is not None and not where.endswith("/.lock"):
                    self._changed(where, lambda: _put(where, before))

            return remove

        def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            where = self._path(path, dir_fd)
            if where is not None:
                self._check("mkdir", where)
            real["mkdir"](path, mode, dir_fd=dir_fd)

        def link(source: Any, target: Any, **named: Any) -> None:
            where = self._path(target)
            if where is not None:
                self._check("link", where)
            real["link"](source, target, **named)
            if where is not None:
                self._changed(where, lambda: real["unlink"](where))

        def _put(path: str, content: bytes) -> None:
            if not os.path.lexists(path):
                descriptor = real["open"](path, os.O_WRONLY | os.O_CREAT, 0o666)
                real["write"](descriptor, content)
                real["close"](descriptor)

        patched: dict[str, Any] = {
            "open": open_,
            "close": close,
            "fdopen": fdopen,
            "read": read,
            "write": write,
            "fsync": fsync,
            "ftruncate": ftruncate,
            "mkdir": mkdir,
            "link": link,
            **{name: moving(name) for name in ("rename", "replace")},
            **{name: removing(name) for name in ("unlink", "remove", "rmdir")},
        }
        with mock.patch.multiple(os, **patched), mock.patch.object(shutil, "rmtree", _rmtree(patched)):
            yield self


class _File:
    """A binary file that is written to through the disk."""

    def __init__(self, disk: Disk, descriptor: int, file: Any) -> None:
        self._disk, self._descriptor, self._file = disk, descriptor, file

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._disk._open.pop(self._descriptor, None)
        self._file.close()

    def write(self, content: Any) -> int:
        return os.write(self._descriptor, content)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._descriptor


def _rmtree(patched: dict[str, Any]) -> Callable[..., None]:
    """Return `shutil.rmtree` by the disturbed functions; the real one keeps its own references to some."""

    def rmtree(path: Any, ignore_errors: bool = False) -> None:
        def guarded(do: Callable[[], None]) -> None:
            try:
                do()
            except OSError:
                if not ignore_errors:
                    raise

        def scan(where: Path) -> None:
            entries: list[Path] = []
            guarded(lambda: entries.extend(sorted(where.iterdir())))
            for entry in entries:
                if entry.is_dir() and not entry.is_symlink():
                    scan(entry)
                else:
                    guarded(lambda entry=entry: patched["unlink"](entry))  # type: ignore[misc]
            guarded(lambda: patched["rmdir"](where))

        scan(Path(path))

    return rmtree


def _size(path: str) -> int:
    return os.stat(path).st_size  # noqa: PTH116


def _content(path: str) -> bytes | None:
    """Return what is in a file, None if it is none."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None
