"""The artefact a phone fetches: an ONNX file, a vocabulary and a manifest that vouches for both."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbert.errors import FedbertError
from fedbert.units import format_bytes

BUDGET_BYTES = 1_910_000
MODEL, VOCABULARY, MANIFEST = "model.onnx", "vocab.txt", "manifest.json"
_FILES = (MODEL, VOCABULARY, MANIFEST)


@dataclass(frozen=True)
class Artefact:
    """The files of one release by name, and the parsed manifest."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 over all files, by name and content, in hexadecimal."""
        whole = hashlib.sha256()
        for name in sorted(self.files):
            whole.update(name.encode() + b"\0" + hashlib.sha256(self.files[name]).digest())
        return whole.hexdigest()

    @property
    def total_bytes(self) -> int:
        """What a phone stores and fetches: all files together, in bytes."""
        return sum(len(content) for content in self.files.values())

    @property
    def dim(self) -> int:
        """Width of the vectors that the model makes."""
        return int(self.manifest["shape"]["dim"])


def build_artefact(model: bytes, vocabulary: tuple[str, ...], manifest: Mapping[str, Any]) -> Artefact:
    """Return the artefact of `model` and `vocabulary`; the files' sizes and hashes join `manifest`."""
    files = {MODEL: model, VOCABULARY: ("\n".join(vocabulary) + "\n").encode()}
    entries = {name: {"bytes": len(body), "sha256": _digest(body)} for name, body in files.items()}
    whole = {**manifest, "files": entries}
    files[MANIFEST] = (json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    return Artefact(files, whole)


def load_artefact(folder: Path, budget_bytes: int = BUDGET_BYTES) -> Artefact:
    """Read the artefact in `folder` and check it against its manifest.

    Raises FedbertError in one line if a file is missing, differs from its hash, or all are over
    `budget_bytes`.
    """
    files: dict[str, bytes] = {}
    for name in _FILES:
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise FedbertError(
                f"artefact {folder}: {name} cannot be read ({error.strerror}); "
                "rebuild it with simulations/compress.py"
            ) from error
    return _checked(files, str(folder), budget_bytes)


def _checked(files: dict[str, bytes], where: str, budget_bytes: int) -> Artefact:
    try:
        manifest = json.loads(files[MANIFEST])
        entries = {name: str(manifest["files"][name]["sha256"]) for name in _FILES[:2]}
        int(manifest["shape"]["dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise FedbertError(f"artefact {where}: {MANIFEST} is not a manifest of fedbert ({error})") from error
    for name, expected in entries.items():
        if _digest(files[name]) != expected:
            raise FedbertError(
                f"artefact {where}: {name} has SHA-256 {_digest(files[name])[:12]}…, its manifest says "
                f"{expected[:12]}…; fetch or rebuild the folder"
            )
    artefact = Artefact(files, manifest)
    if artefact.total_bytes > budget_bytes:
        raise FedbertError(
            f"artefact {where}: {artefact.total_bytes} bytes ({format_bytes(artefact.total_bytes)}) "
            f"must be at most {budget_bytes} bytes; compress it further"
        )
    return artefact


def save_artefact(artefact: Artefact, folder: Path) -> None:
    """Write the artefact's files into `folder`, each under a temporary name first, the manifest last."""
    for name in _FILES:
        write_bytes(folder / name, artefact.files[name])


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there; raises FedbertError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FedbertError(
            f"{path} cannot be written ({error.strerror}); choose another folder or free space"
        ) from error


def pack(artefact: Artefact) -> bytes:
    """Return the artefact as one blob; equal artefacts give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(artefact.files):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), artefact.files[name])
    return stream.getvalue()


def unpack(blob: bytes, budget_bytes: int = BUDGET_BYTES) -> Artefact:
    """Return the artefact that `pack` made into `blob`, checked as `load_artefact` does."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            files = {name: archive.read(name) for name in _FILES}
    except (zipfile.BadZipFile, KeyError) as error:
        raise FedbertError(
            f"artefact in transport: {len(blob)} bytes that are no packed artefact ({error})"
        ) from error
    return _checked(files, "in transport", budget_bytes)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
