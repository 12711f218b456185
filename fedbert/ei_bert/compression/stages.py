"""Stages with files between them: each has a folder named after everything that determines what it makes.

A stage that is done leaves `stage.json`, which holds its record and the hashes of its files. A stage that was
interrupted leaves no such file; the next run continues it, from its checkpoint if it has one.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from fedbert.errors import FedbertError
from fedbert.files import (
    UnreadableFile,
    encoded,
    is_temporary,
    read_json,
    replace_whole,
    replacing,
    sha256_of,
)

_DONE = "stage.json"


@dataclass(frozen=True)
class Done:
    """A finished stage: its folder, what it found out, what it took and a hash over its files.

    `seconds` are of the clock, `cpu_seconds` of all processors together, None if the stage did not say.
    `reused` says that it was there before.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    seconds: float
    sha256: str
    reused: bool = False
    cpu_seconds: float | None = None


def run_stage(
    work: Path, name: str, inputs: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]
) -> Done:
    """Return the stage `name`, made by `make(folder)` if it was not made from the same `inputs` before.

    `inputs` must hold all that decides the outcome, hashes of earlier stages included. `make` writes the
    files and returns the record. Raises FedbertError if `work` cannot be written, or a file was changed
    since.
    """
    key = hashlib.sha256(json.dumps([name, inputs], sort_keys=True).encode()).hexdigest()[:12]
    folder = work / f"{name}-{key}"
    done = folder / _DONE
    if done.is_file():
        return replace(_read(name, folder), reused=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(work / f".{folder.name}.lock"):
            # Another process may have made it while this one waited.
            if not done.is_file():
                _make(name, inputs, make, folder)
    except OSError as error:
        raise FedbertError(
            f"{folder} cannot be written ({error.strerror}); free space or give --work another folder"
        ) from error
    return _read(name, folder)


def _make(
    name: str, inputs: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]], folder: Path
) -> None:
    begun, cpu_begun = time.perf_counter(), time.process_time()
    record = make(folder)
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("checkpoint") and not is_temporary(path.name)
    }
    whole = {
        "stage": name,
        "inputs": inputs,
        "record": record,
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(time.process_time() - cpu_begun, 1),
        "files": files,
    }
    for path in folder.glob("checkpoint*"):
        path.unlink()
    done = folder / _DONE
    replace_whole(done, encoded(json.dumps(whole, indent=1, sort_keys=True) + "\n"))


def _read(name: str, folder: Path) -> Done:
    try:
        whole = read_json(folder / _DONE)
        record, seconds, files = whole["record"], float(whole["seconds"]), dict(whole["files"])
        cpu_seconds = float(whole["cpu_seconds"]) if "cpu_seconds" in whole else None
    except (UnreadableFile, ValueError, KeyError, TypeError) as error:
        raise FedbertError(
            f"{folder / _DONE} is no record of a stage; delete {folder} to make it again"
        ) from error
    for file, expected in files.items():
        if not (folder / file).is_file() or sha256_of(folder / file) != expected:
            raise FedbertError(
                f"stage {name}: {folder / file} is not what the stage wrote; delete {folder} to make it again"
            )
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return Done(name, folder, record, seconds, digest, cpu_seconds=cpu_seconds)


def save_tensors(value: object, file: Path) -> None:
    """Write what torch can save, whole or not at all."""
    try:
        with replacing(file) as stream:
            torch.save(value, stream)
    except (OSError, RuntimeError) as error:
        raise FedbertError(
            f"{file} cannot be written ({error}); free space or give --work another folder"
        ) from error


def load_tensors(file: Path, mapped: bool = False) -> Any:
    """Read what `save_tensors` wrote, `mapped` for tensors that stay in the file until they are used.

    Raises FedbertError for a damaged file.
    """
    try:
        return torch.load(file, weights_only=True, mmap=mapped)
    except Exception as error:
        # A damaged file makes torch's reader raise almost anything, IndexError included.
        raise FedbertError(
            f"{file} cannot be read ({type(error).__name__}); delete its folder to make it again"
        ) from error
