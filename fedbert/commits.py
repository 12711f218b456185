"""Several files of a folder written as one: all of them, or none.

They are complete in a hidden folder before its renaming to `COMMIT` decides. From then on `finish` puts them
in their places, whoever calls it: the writer itself, or after a crash the next to hold the folder. Until the
last of them is in its place the old ones can be brought back. The caller must hold the folder.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from fedbert.errors import FedbertError
from fedbert.files import is_temporary, put, read_json, reason, sync_folder, temporary_name

COMMIT = ".commit"
"""The folder of a decided commit: ``new/``, ``old/`` and ``record.json``."""

NEW = "new"
_OLD, _RECORD = "old", "record.json"


def write_as_one(folder: Path, contents: Mapping[str, bytes], remove: Iterable[str] = ()) -> None:
    """Make `contents` the files of `folder` and remove those in `remove`, all or none; raises OSError."""
    staging = folder / temporary_name("commit")
    try:
        _stage(staging, folder, contents, [name for name in remove if name not in contents])
        staging.rename(folder / COMMIT)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if (folder / COMMIT).is_dir():
            _discard(folder / COMMIT)
        raise
    try:
        finish(folder)
    except _StuckError:
        raise
    except BaseException:
        _discard(folder / COMMIT)
        raise


def _stage(staging: Path, folder: Path, contents: Mapping[str, bytes], remove: list[str]) -> None:
    names = [*contents, *remove]
    for part in (NEW, _OLD):
        for parent in sorted({(staging / part / name).parent for name in names} | {staging / part}):
            parent.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        put(staging / NEW / name, content)
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        if (folder / name).exists():
            _link(folder / name, staging / _OLD / name)
    put(staging / _RECORD, json.dumps({"write": list(contents), "remove": remove}).encode("ascii"))
    for made in sorted({(staging / NEW / name).parent for name in contents} | {staging / NEW, staging}):
        sync_folder(made)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Some file systems know no hard links.
        put(target, source.read_bytes())


class _StuckError(OSError):
    """A commit that could neither be finished nor undone; the next `recover` tries again."""


def finish(folder: Path) -> None:
    """Finish a decided commit and clear away what undecided ones left; raises OSError after undoing it."""
    decided = folder / COMMIT
    if decided.is_dir():
        record = _record(decided)
        try:
            try:
                _forward(folder, decided, record)
            except OSError:
                _forward(folder, decided, record)
            sync_folder(folder)
        except BaseException:
            _back(folder, decided, record)
            raise
        _discard(decided)
    for name in os.listdir(folder):  # noqa: PTH208 names are wanted, not paths
        if is_temporary(name):
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _discard(decided: Path) -> None:
    # Renamed first: half removed, it must not be taken for a decided commit.
    gone = decided.with_name(temporary_name("done"))
    decided.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _record(decided: Path) -> dict[str, list[str]]:
    record = read_json(decided / _RECORD)
    try:
        return {key: [_inside(name) for name in record[key]] for key in ("write", "remove")}
    except (KeyError, TypeError):
        path = str(decided / _RECORD)
        raise FedbertError(f"{path!r} must be the record of a commit; remove the folder it is in") from None


def _inside(name: Any) -> str:
    parts = PurePosixPath(str(name)).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise FedbertError(f"{COMMIT}/{_RECORD} names {name!r}, which is outside its folder; remove {COMMIT}")
    return str(name)


def _forward(folder: Path, decided: Path, record: dict[str, list[str]]) -> None:
    for name in record["write"]:
        new = decided / NEW / name
        if new.exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            new.replace(folder / name)
    for name in record["remove"]:
        (folder / name).unlink(missing_ok=True)
        if (folder / name).parent != folder:
            with suppress(OSError):  # other files are in it
                (folder / name).parent.rmdir()


def _back(folder: Path, decided: Path, record: dict[str, list[str]]) -> None:
    """Undo `_forward`; ``new/`` and ``old/`` are whole again afterwards, so that both can be done again."""
    try:
        for name in record["write"]:
            if not (decided / NEW / name).exists():
                (folder / name).replace(decided / NEW / name)
        for name in [*record["write"], *record["remove"]]:
            old = decided / _OLD / name
            if old.exists() and not (folder / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                _link(old, folder / name)
    except OSError as error:
        raise _StuckError(error.errno, reason(error)) from error
