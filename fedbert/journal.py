"""A file of rows that survive a crash one by one: each is on the disk, with a checksum, before the next."""

import json
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from fedbert.errors import FedbertError
from fedbert.files import read_bytes, reason, sync_folder

_CHECKSUM = "crc32"
_CHECKSUM_TAIL = re.compile(rb',?"crc32":"([0-9a-f]{8})"\}\Z')


class Rows(NamedTuple):
    """What a journal holds."""

    rows: list[dict[str, Any]]
    dropped: int  # lines from the first damaged or torn one to the end


def _line(row: dict[str, Any]) -> bytes:
    if _CHECKSUM in row:
        raise ValueError(f"a row must have no key {_CHECKSUM!r}: it is the checksum's")
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    comma = b"," if row else b""
    return text[:-1] + comma + b'"crc32":"%08x"}\n' % zlib.crc32(text)


def _row(line: bytes) -> dict[str, Any] | None:
    """Return the row in `line`, or None if it is damaged or torn."""
    tail = _CHECKSUM_TAIL.search(line)
    if tail is None:
        return None
    text = line[: len(line) - len(tail.group(0))] + b"}"
    if zlib.crc32(text) != int(tail.group(1), 16):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _journal(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the rows before the first damaged line, and the bytes that they take."""
    rows: list[dict[str, Any]] = []
    good_bytes = 0
    for line in content.splitlines(keepends=True):
        row = _row(line[:-1]) if line.endswith(b"\n") else None
        if row is None:
            break
        rows.append(row)
        good_bytes += len(line)
    return rows, good_bytes


def read_journal(path: Path) -> Rows:
    """Return the rows of a journal up to the first damaged or torn line, and how many lines follow.

    A file that does not exist has no rows. Raises UnreadableFile.
    """
    if not path.exists():
        return Rows([], 0)
    content = read_bytes(path)
    rows, good_bytes = _journal(content)
    return Rows(rows, len(content[good_bytes:].splitlines()))


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Journal:
    """A file of JSON objects, one per line, each on the disk before `append` returns.

    The last key of a line, ``crc32``, is 8 hex digits over the line's other content in canonical JSON (keys
    sorted, no spaces, ASCII). Opening cuts off what follows the last whole line: new rows can be read then.

    Args:
        path: the file; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._torn = path, False
        content = read_bytes(path) if path.exists() else b""
        _, self._good_bytes = _journal(content)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
            self._cut()
            sync_folder(path.parent)
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, row: dict[str, Any]) -> None:
        """Add `row`, all of it or nothing.

        Raises:
            FedbertError: if it cannot be written (full disk).
            ValueError: if it holds NaN or the key ``crc32``.
        """
        line = _line(row)
        try:
            if self._torn:
                self._cut()
            _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except BaseException as error:
            self._torn = True
            with suppress(OSError):  # a part that stays is cut off before the next row
                self._cut()
            if isinstance(error, OSError):
                raise self._failed(error) from None
            raise
        self._good_bytes += len(line)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self._good_bytes)
        os.lseek(self._descriptor, self._good_bytes, os.SEEK_SET)
        self._torn = False

    def _failed(self, error: OSError) -> FedbertError:
        return FedbertError(f"{str(self.path)!r} cannot be written: {reason(error)}; free some space")
