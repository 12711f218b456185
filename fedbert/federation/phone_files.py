"""Phones' memory in files: the columns of a large shard are memory-mapped, so that RAM does not grow with it.

A folder holds one ``.npy`` file for each array of a `PhoneState`. A folder that is named is never changed: a
round works on a copy, which becomes the next one when the round is whole, and a part of a checkpoint with it.
"""

import hashlib
import mmap
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.federation.phone_state import COLUMNS, PhoneState
from fedbert.files import not_written, reason, sha256_of, sync_folder

LARGEST_IN_MEMORY = 1_000_000
"""Devices of a shard up to which their memory is kept in the process: 91 MB with eight clicks each, of which
a round holds some copies."""

_LIMIT_BYTES = 1 << 40


def in_files(devices: int) -> bool:
    """Return whether the memory of so many phones of a shard is kept in files, where there is a place."""
    return devices > LARGEST_IN_MEMORY


def new_state(folder: Path, devices: int, history: int, items: int, dim: int, columns: int = 0) -> PhoneState:
    """Return the memory of new phones, whose columns are files of a new `folder`; raises FedbertError."""
    small = PhoneState.empty(1, history, items, dim, columns)
    arrays = {}
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in COLUMNS:
            one = getattr(small, name)
            column = open_memmap(
                folder / f"{name}.npy", mode="w+", dtype=one.dtype, shape=(devices, *one.shape[1:])
            )
            for start in range(0, devices, LARGEST_IN_MEMORY):
                column[start : start + LARGEST_IN_MEMORY] = one
            arrays[name] = column
    except OSError as error:
        raise not_written(folder, error) from None
    state = PhoneState(**arrays, pooled_sums=small.pooled_sums, pooled_clicks=small.pooled_clicks)
    let_go(state)
    return state


def opened(folder: Path, writable: bool = False) -> PhoneState:
    """Return the memory in `folder`; raises FedbertError if a file is missing or is no array."""
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        for name in COLUMNS:
            arrays[name] = open_memmap(folder / f"{name}.npy", mode="r+" if writable else "r")
        for name in ("pooled_sums", "pooled_clicks"):
            arrays[name] = np.load(folder / f"{name}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise FedbertError(f"phones' memory in {folder.name} cannot be read ({why})") from None
    return PhoneState(**arrays)  # type: ignore[arg-type]  # whose dtypes are the files' own


def copied(folder: Path, place: Path) -> PhoneState:
    """Return a copy of the memory in `folder`, in the new folder `place`; raises FedbertError."""
    try:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
    except (OSError, shutil.Error) as error:
        why = error if isinstance(error, OSError) else OSError(str(error))
        raise not_written(place, why) from None
    return opened(place, writable=True)


def let_go(state: PhoneState) -> None:
    """Give the pages of memory-mapped columns back to the system, which keeps what was written."""
    for name in COLUMNS:
        mapped = getattr(getattr(state, name), "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def finished(state: PhoneState, working: Path, place: Path, durable: bool) -> str:
    """Make the folder `working`, whose columns `state` is, the folder `place`; return its digest.

    If not `durable` there is no digest, and a loss of power may lose it. Raises FedbertError.
    """
    try:
        for name in COLUMNS:
            getattr(state, name).flush()
        for name in ("pooled_sums", "pooled_clicks"):
            np.save(working / f"{name}.npy", getattr(state, name), allow_pickle=False)
        if durable:
            for path in working.iterdir():
                _sync(path)
        shutil.rmtree(place, ignore_errors=True)
        working.rename(place)
        if durable:
            sync_folder(place.parent)
    except OSError as error:
        raise not_written(place, error) from None
    return digest(place) if durable else ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a folder's files; raises FedbertError."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.npy")):
        found.update(f"{path.name} {sha256_of(path, _LIMIT_BYTES)}\n".encode())
    return found.hexdigest()
