"""What runs have in common, kept in a folder under a digest of all that decides it: `--cache DIR`.

Besides what each key is made of, fedbert's own sources, the packages, the processor and the training's
precision decide. What is found is therefore what would be computed; what is damaged or foreign is computed
again, and said in one line. Files are written whole or not at all, so runs may share a folder.
"""

import hashlib
import importlib.metadata
import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile, read_bytes, write_bytes
from fedbert.machine import machine_record
from fedbert.provenance import source_digest, versions
from fedbert.run_folder import check_writable

LIMIT_BYTES = 256_000_000
"""Largest entry that is kept; a larger one is computed by each run."""

_ALSO = ("tokenizers", "onnx", "numba", "safetensors")
_DIGEST_BYTES = hashlib.sha256().digest_size

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shape and dtype of each array, by name."""


@dataclass(frozen=True)
class KeptWork:
    """A folder of kept work; `about` is the digest of what every entry depends on."""

    folder: Path
    about: str

    @classmethod
    def open(cls, folder: Path, precision: str, training_threads: int) -> "KeptWork":
        """Return the work kept in `folder`, new or not; raises FedbertError if it cannot be written to.

        `precision` and `training_threads` are those of the server's models.
        """
        check_writable(folder, "cache")
        # How many cores there are decides no bit.
        machine = {k: v for k, v in machine_record(precision, training_threads).items() if k != "cores"}
        about = {"sources": source_digest(), "versions": versions() | _more_versions(), "machine": machine}
        return cls(folder, hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest())

    def key(self, plain: Mapping[str, object], arrays: Arrays | None = None) -> str:
        """Return the digest of `plain` values, `arrays` and what every entry depends on, in hexadecimal."""
        found = hashlib.sha256(f"{self.about}\n".encode())
        found.update(json.dumps(plain, sort_keys=True, default=str).encode())
        for name, array in sorted((arrays or {}).items()):
            found.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def read(self, name: str, key: str) -> bytes | None:
        """Return the bytes kept as `name` under `key`; None where there are none, or they are damaged."""
        path = self._path(name, key)
        try:
            blob = read_bytes(path, LIMIT_BYTES + _DIGEST_BYTES)
        except UnreadableFile:
            return None
        digest, content = blob[:_DIGEST_BYTES], blob[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            return content
        _say(f"cache: {path.name} is damaged; it is computed again")
        return None

    def write(self, name: str, key: str, content: bytes) -> None:
        """Keep `content`; a file that cannot be written is one line, and the run goes on."""
        if len(content) > LIMIT_BYTES:
            return
        try:
            write_bytes(self._path(name, key), hashlib.sha256(content).digest() + content)
        except FedbertError as error:
            _say(f"cache: {error}")

    def read_arrays(self, name: str, key: str, shapes: Shapes) -> dict[str, NDArray[Any]] | None:
        """Return the arrays kept as `name` under `key`, None unless they are there with these `shapes`."""
        content = self.read(name, key)
        if content is None:
            return None
        found: dict[str, NDArray[Any]] = {}
        with (
            suppress(ValueError, KeyError, OSError, zipfile.BadZipFile),
            np.load(io.BytesIO(content), allow_pickle=False) as archive,
        ):
            found = {each: archive[each] for each in archive.files}
        if {each: (array.shape, array.dtype) for each, array in found.items()} == {
            each: (shape, np.dtype(dtype)) for each, (shape, dtype) in shapes.items()
        }:
            return found
        _say(f"cache: {self._path(name, key).name} is not of fedbert; it is computed again")
        return None

    def write_arrays(self, name: str, key: str, arrays: Arrays) -> None:
        """Keep `arrays`, as `write` does."""
        if sum(array.nbytes for array in arrays.values()) > LIMIT_BYTES:
            return
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        self.write(name, key, content.getvalue())

    def arrays(self, name: str, key: str, shapes: Shapes, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays kept as `name` under `key`, or those of `make`, which are kept then."""
        found: Arrays | None = self.read_arrays(name, key, shapes)
        if found is None:
            found = make()
            self.write_arrays(name, key, found)
        return found

    def _path(self, name: str, key: str) -> Path:
        return self.folder / f"{name}-{key}.kept"


def texts_digest(texts: Sequence[str]) -> str:
    """Return the SHA-256 of a list of texts, in hexadecimal."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def _more_versions() -> dict[str, str]:
    found = {}
    for name in _ALSO:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
