"""The artefact a phone fetches: an ONNX file, a vocabulary, heads of tasks and their wide parts if it has
any, and a manifest that vouches for all of them.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbert.ei_bert.artefact import contents, entropy
from fedbert.ei_bert.artefact.kind_files import notes_of
from fedbert.errors import FedbertError, invalid
from fedbert.files import UnreadableFile, parsed_json, read_bytes
from fedbert.output_folder import write_together
from fedbert.run_folder import holding, recover
from fedbert.units import format_bytes

BUDGET_BYTES = 1_910_000
MODEL, VOCABULARY, MANIFEST = "model.onnx", "vocab.txt", "manifest.json"
HEADS, WIDE = "heads", "wide"
_CODED = (MODEL, VOCABULARY)
_HEAD, _WIDE = (re.compile(rf"{kind}/[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors") for kind in (HEADS, WIDE))


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
        """What a phone stores: all files together, in bytes; `download_bytes` is less."""
        return sum(len(content) for content in self.files.values())

    @property
    def dim(self) -> int:
        """Width of the vectors that the model makes."""
        return int(self.manifest["shape"]["dim"])

    @property
    def heads(self) -> dict[str, bytes]:
        """The file of each task's head, by the task's name."""
        return {_task(name): body for name, body in self.files.items() if _HEAD.fullmatch(name)}

    @property
    def wide(self) -> dict[str, bytes]:
        """The file of each wide part, by its task's name; see `wide`."""
        return {_task(name): body for name, body in self.files.items() if _WIDE.fullmatch(name)}


def build_artefact(
    model: bytes,
    vocabulary: tuple[str, ...],
    manifest: Mapping[str, Any],
    heads: Mapping[str, bytes] | None = None,
    wide: Mapping[str, bytes] | None = None,
) -> Artefact:
    """Return the artefact of `model`, `vocabulary` and, by task name, `heads` and `wide` parts (safetensors).

    The files' sizes and hashes join `manifest`. Raises FedbertError for a task name that is no file name, and
    for a wide part of a task that has no head.
    """
    files = {MODEL: model, VOCABULARY: ("\n".join(vocabulary) + "\n").encode()}
    for task, body in (heads or {}).items():
        name = head_file(task)
        if not _HEAD.fullmatch(name):
            raise invalid("task", task, "be letters, digits, '.', '_' or '-'", "rename the task")
        files[name] = body
    for task, body in (wide or {}).items():
        if head_file(task) not in files:
            raise invalid("wide", task, "be of a task that has a head", "add the head first")
        files[wide_file(task)] = body
    return _sealed(files, manifest)


def with_heads(
    artefact: Artefact, heads: Mapping[str, bytes], wide: Mapping[str, bytes] | None = None
) -> Artefact:
    """Return `artefact` with `heads` and `wide` parts (safetensors, by task) in place of its own; the encoder
    stays.
    """
    vocabulary = tuple(artefact.files[VOCABULARY].decode().splitlines())
    return build_artefact(artefact.files[MODEL], vocabulary, artefact.manifest, heads, wide)


def deep_alone(artefact: Artefact) -> Artefact:
    """Return `artefact` without its wide parts."""
    return with_heads(artefact, artefact.heads)


def is_general(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest is of a general encoder: it is for heads, and learnt no task."""
    trained = manifest.get("trained_on", {})
    return bool(manifest["shape"].get("pooled")) and not trained.get("tasks", {})


def head_file(task: str) -> str:
    """Return the name of a task's head in an artefact."""
    return f"{HEADS}/{task}.safetensors"


def wide_file(task: str) -> str:
    """Return the name of a task's wide part in an artefact."""
    return f"{WIDE}/{task}.safetensors"


def _task(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".safetensors")


def _parts_in(folder: Path) -> list[str]:
    """Return the names of the heads and wide parts that lie in `folder`."""
    return [f"{kind}/{path.name}" for kind in (HEADS, WIDE) for path in (folder / kind).glob("*.safetensors")]


def _sealed(files: dict[str, bytes], manifest: Mapping[str, Any]) -> Artefact:
    entries = {
        name: {"bytes": len(body), "sha256": _digest(body), **_kind(name, body)}
        for name, body in files.items()
    }
    whole = {**manifest, "files": entries}
    text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return Artefact({**files, MANIFEST: text.encode()}, whole)


def _kind(name: str, body: bytes) -> dict[str, str]:
    """Return the kind of a head that says one; those that label texts say none."""
    notes = notes_of(body) if _HEAD.fullmatch(name) else None
    return {} if notes is None else {"kind": str(notes.get("kind"))}


def load_artefact(folder: Path, budget_bytes: int = BUDGET_BYTES) -> Artefact:
    """Read the artefact in `folder`, entropy coded or not, and check it against its manifest.

    Raises FedbertError in one line if a file is missing, cannot be decoded, differs from its hash, if a head
    or wide part is there that the manifest does not name, or if all (decoded) are over `budget_bytes`.
    """

    def read(name: str) -> bytes:
        coded_path = folder / f"{name}{entropy.SUFFIX}"
        try:
            if name in _CODED and coded_path.exists() and not (folder / name).exists():
                what = f"artefact {folder}: {coded_path.name}"
                return entropy.decoded(read_bytes(coded_path), budget_bytes, what)
            return read_bytes(folder / name)
        except UnreadableFile as error:
            raise FedbertError(
                f"artefact {folder}: {name} cannot be read: it must {error.rule}; "
                "rebuild it with simulations/compress.py"
            ) from None

    recover(folder)
    return _checked(read, set(_parts_in(folder)), str(folder), budget_bytes)


def _checked(read: Callable[[str], bytes], there: set[str], where: str, budget_bytes: int) -> Artefact:
    """Return the artefact whose files `read` gives; `there` names the parts of tasks beside it."""
    files = {MANIFEST: read(MANIFEST)}
    try:
        manifest = parsed_json(Path(MANIFEST), files[MANIFEST])
        entries = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
        int(manifest["shape"]["dim"])
    except (UnreadableFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FedbertError(f"artefact {where}: {MANIFEST} is not a manifest of fedbert ({error})") from error
    # A name in a manifest becomes a path: only names that an artefact can have are read.
    parts_of_tasks = {name for name in entries if _HEAD.fullmatch(name) or _WIDE.fullmatch(name)}
    foreign = entries.keys() - parts_of_tasks - {MODEL, VOCABULARY}
    foreign |= {name for name in entries if _WIDE.fullmatch(name) and head_file(_task(name)) not in entries}
    if foreign or not {MODEL, VOCABULARY} <= entries.keys():
        what = f"names {min(foreign)}" if foreign else f"lacks {MODEL} or {VOCABULARY}"
        raise FedbertError(f"artefact {where}: {MANIFEST} is not a manifest of fedbert ({what})")
    if unnamed := there - entries.keys():
        raise FedbertError(
            f"artefact {where}: {min(unnamed)} is not in its manifest; save it with the artefact or remove it"
        )
    for name, expected in entries.items():
        files[name] = read(name)
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


def save_artefact(artefact: Artefact, folder: Path, entropy_coded: bool = False) -> None:
    """Write the artefact's files into `folder`, all of them or none; other files in it stay.

    `entropy_coded` writes model and vocabulary as `.xz`, `download_bytes` in all. What another artefact left
    in the folder (heads, wide parts, the other form of a file) is removed. Raises FedbertError if the folder
    is in use or cannot be written.
    """
    contents = {
        f"{name}{entropy.SUFFIX}" if entropy_coded and name in _CODED else name: (
            entropy.coded(body) if entropy_coded and name in _CODED else body
        )
        for name, body in artefact.files.items()
    }
    with holding(folder):
        forms = [f"{name}{end}" for name in _CODED for end in ("", entropy.SUFFIX)]
        older = (*_parts_in(folder), *forms)
        write_together(folder, contents, remove=[name for name in older if name not in contents])


def download_bytes(artefact: Artefact) -> int:
    """Return the bytes of all files with model and vocabulary entropy coded: what there is to fetch."""
    return sum(
        entropy.coded_size(body) if name in _CODED else len(body) for name, body in artefact.files.items()
    )


def parts(artefact: Artefact) -> dict[str, int]:
    """Return how many of `total_bytes` each of `contents.PARTS` takes; they add up to it exactly."""
    out = dict.fromkeys(contents.PARTS, 0)
    model = artefact.files[MODEL]
    for constant in contents.constants(model):
        out[constant.part] += constant.file_bytes
    out["graph"] = len(model) - sum(out.values())
    out["vocabulary"] = len(artefact.files[VOCABULARY])
    out["heads"] += sum(len(body) for body in artefact.heads.values())
    out["n-grams"] = sum(len(body) for body in artefact.wide.values())
    out["manifest"] = len(artefact.files[MANIFEST])
    return out


def memory_bytes(artefact: Artefact) -> int:
    """Return the bytes of weights, heads, wide parts and vocabulary once loaded; 4-bit values then are int8.

    Activations, and what a runtime needs for itself, are not part of it.
    """
    from fedbert.ei_bert.artefact.any_wide import wide_memory  # scipy is slow to import

    loaded = sum(constant.memory_bytes for constant in contents.constants(artefact.files[MODEL]))
    wide = sum(wide_memory(body, task) for task, body in artefact.wide.items())
    heads = sum(len(body) for body in artefact.heads.values())
    return loaded + len(artefact.files[VOCABULARY]) + heads + wide


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
            there = {name for name in archive.namelist() if name.startswith((f"{HEADS}/", f"{WIDE}/"))}
            return _checked(archive.read, there, "in transport", budget_bytes)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FedbertError(
            f"artefact in transport: {len(blob)} bytes that are no packed artefact ({error})"
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
