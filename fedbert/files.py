"""Files, each written whole or not at all, and read with a limit: the one place that opens them.

`write_bytes` and `write_text` write under a temporary name, flush it to the disk and rename it. `read_bytes`,
`read_text` and `sha256_of` take what a user named and refuse what cannot be meant: a folder, a pipe, a
device, a file of gigabytes, text that is not UTF-8.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fedbert.errors import FedbertError, invalid

TEXT_LIMIT_BYTES = 64_000_000
"""Largest text file that is read: a run.json of 10,000 rounds is a fifth of it."""

SETTINGS_LIMIT_BYTES = 1_000_000
"""Largest TOML file that is read."""

WEIGHTS_LIMIT_BYTES = 8_000_000_000
"""Largest file that is hashed: the weights of a large encoder in float32 are a sixth of it."""

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.partial", re.DOTALL)
_NAME_BYTES, _PATH_BYTES = 255, 4_095
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def temporary_name(name: str) -> str:
    """Return a hidden name for what will be `name`; the 16 random digits keep it apart from a user's file."""
    return f".{name[:40]}.{secrets.token_hex(8)}.partial"


def is_temporary(name: str) -> bool:
    """Return whether `name` is one that `temporary_name` makes."""
    return _TEMPORARY.fullmatch(name) is not None


def path_problem(text: str) -> str | None:
    """Return the rule that `text` breaks as the path of a file, None if it breaks none."""
    if "\0" in text:
        return "hold no NUL"
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        return "be UTF-8 text"
    if len(content) > _PATH_BYTES:
        return f"be at most {_PATH_BYTES:,} bytes long (has {len(content):,})"
    longest = max(len(part) for part in content.split(b"/"))
    if longest > _NAME_BYTES:
        return f"have names of at most {_NAME_BYTES} bytes (has one of {longest:,})"
    return None


def reason(error: BaseException) -> str:
    """Return what an error of the system says, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, where the system can do so."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems have no fsync of a folder.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def put(path: Path, content: bytes) -> None:
    """Write `content` to the new file `path` and flush it; what fails raises OSError and leaves no file."""
    with _new_file(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to; at the end of the block it becomes `path`, if the block fails nothing changes.

    Raises OSError.
    """
    temporary = path.with_name(temporary_name(path.name))
    # One block: a signal may also come as the file is made, and between its end and its new name.
    try:
        with _new_file(temporary) as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_whole(path: Path, content: bytes) -> None:
    """Make `content` the file `path`, whole or not at all; raises OSError."""
    with replacing(path) as file:
        file.write(content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all; its folder is made if need be.

    Raises:
        FedbertError: if it cannot be written (full disk, no right); then `path` is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, content)
    except (OSError, ValueError) as error:
        raise not_written(path, error) from None


def not_written(path: Path, error: BaseException) -> FedbertError:
    """Return the line about a file that cannot be written."""
    return FedbertError(
        f"{str(path)!r} cannot be written: {reason(error)}; free some space or choose another place"
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, as `write_bytes` does."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    """Return `text` as UTF-8; bytes of a command line that were no UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace")


class UnreadableFile(FedbertError):
    """A file that cannot be taken; `rule` and `next_step` let a caller name it in its own words."""

    def __init__(self, path: Path, rule: str, next_step: str) -> None:
        super().__init__(f"{str(path)!r} must {rule}; {next_step}")
        self.rule, self.next_step = rule, next_step

    def of(self, name: str, value: object) -> FedbertError:
        """Return the same error for the setting `name`."""
        return invalid(name, value, self.rule, self.next_step)


def read_bytes(path: Path, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """Return the content of the regular file `path` of at most `limit_bytes`.

    Raises:
        UnreadableFile: if it is missing, no regular file, larger, or cannot be read.
    """
    with _opened(path, limit_bytes) as descriptor:
        # Some files, as those of /proc, do not say how large they are.
        content = b"".join(_parts(descriptor, limit_bytes + 1))
    if len(content) > limit_bytes:
        raise _too_large(path, limit_bytes)
    return content


def sha256_of(path: Path, limit_bytes: int = WEIGHTS_LIMIT_BYTES) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal; raises as `read_bytes` does."""
    digest, read = hashlib.sha256(), 0
    with _opened(path, limit_bytes) as descriptor:
        for part in _parts(descriptor, limit_bytes + 1):
            digest.update(part)
            read += len(part)
    if read > limit_bytes:
        raise _too_large(path, limit_bytes)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path, limit_bytes: int) -> Iterator[int]:
    """Give a descriptor of the regular file `path`; what goes wrong inside is UnreadableFile too."""
    if "\0" in str(path):  # Python's own words for it differ from version to version
        raise UnreadableFile(path, "hold no NUL", "check the path")
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableFile(path, "be a regular file", "name a file, not a folder, pipe or device")
            if found.st_size > limit_bytes:
                raise _too_large(path, limit_bytes)
            yield descriptor
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise UnreadableFile(path, "exist", "check the path") from None
    except (OSError, ValueError) as error:
        raise UnreadableFile(path, f"be readable ({reason(error)})", "check the file") from None


def _too_large(path: Path, limit_bytes: int) -> UnreadableFile:
    return UnreadableFile(path, f"be at most {limit_bytes:,} bytes", "check that it is the right file")


def _parts(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0 and (part := os.read(descriptor, min(size_bytes, 1 << 20))):
        yield part
        size_bytes -= len(part)


def read_text(path: Path, limit_bytes: int = TEXT_LIMIT_BYTES) -> str:
    """Return the UTF-8 text in `path`, without a byte-order mark; raises as `read_bytes` does."""
    return _decoded(path, read_bytes(path, limit_bytes))


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UnreadableFile(path, f"be UTF-8 text (line {line} is not)", "save it as UTF-8") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables and keys of a TOML file; raises UnreadableFile."""
    text = read_text(path, SETTINGS_LIMIT_BYTES)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnreadableFile(path, f"be TOML ({reason(error)})", "correct that line") from None
    except RecursionError:
        raise UnreadableFile(path, "be TOML that is not nested so deeply", "correct it") from None
    except ValueError as error:
        # tomllib leaves the limit on a whole number's digits, and impossible dates, to Python.
        raise UnreadableFile(path, f"be TOML ({_first_part(error)})", "correct that value") from None


def read_json(path: Path, limit_bytes: int = TEXT_LIMIT_BYTES) -> Any:
    """Return the value in a JSON file; raises UnreadableFile."""
    return parsed_json(path, read_bytes(path, limit_bytes))


def parsed_json(path: Path, content: bytes) -> Any:
    """Return the value of `content`, the JSON that was read from `path`; raises UnreadableFile."""
    text = _decoded(path, content)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise UnreadableFile(path, "be JSON that is not nested so deeply", "mend the file") from None
    except ValueError as error:
        raise UnreadableFile(path, f"be JSON ({_first_part(error)})", "mend the file") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _first_part(error: ValueError) -> str:
    return reason(error).split(";")[0]
