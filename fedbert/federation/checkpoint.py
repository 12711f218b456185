"""Checkpoints: a `RunState` and the phones' memory on disk, whole or not at all, each file with its checksum.

Below a run folder's ``checkpoint/``: ``phones/`` has a file for each shard and round, written by the shard,
or of a large shard the folder that it works from (`phone_files.py`);
``releases/`` has each artefact once; ``<round>.state`` has the server's and observer's arrays; and
``<round>.json``, written last, makes them a checkpoint. The last two are kept, so that a damaged one leaves
the one before it.
"""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import pack, unpack
from fedbert.errors import FedbertError
from fedbert.federation import phone_files
from fedbert.federation.phone_state import PhoneState, cut
from fedbert.federation.protocol import Arrays
from fedbert.federation.run_state import PlainState, RunState
from fedbert.files import not_written, read_bytes, replacing, write_bytes

SCHEMA = 3
KEPT = 2
"""Checkpoints that are kept: if the last is damaged, the one before it serves."""

_LIMIT_BYTES = 1 << 40


class RunFacts(TypedDict):
    """What a run is: a checkpoint is taken up only by the run whose facts are the same."""

    scenario: dict[str, Any]  # keys of `fedbert.scenario.Scenario`, with whole paths
    versions: dict[str, str]  # of the packages that may change a bit of a figure
    inputs: dict[str, str]  # SHA-256 of the user's files, by the key that names them
    wall_s: NotRequired[float]  # of the run so far


class KeptRow(TypedDict):
    """A `Kept` as it stands in a manifest and in messages."""

    round: int
    first: int
    count: int
    sha256: str


class _Named(TypedDict):
    name: str
    sha256: str


class _PackedRelease(TypedDict):
    artefact: str  # its own SHA-256, by which the state names it
    sha256: str  # that of the file


class _Body(TypedDict):
    """A manifest, once its own SHA-256 has been checked."""

    schema: int
    facts: RunFacts
    state: PlainState
    arrays: _Named
    releases: list[_PackedRelease]
    phones: list[KeptRow]


@dataclass(frozen=True)
class Kept:
    """One shard's part of a checkpoint: the memory of its phones after `round`."""

    round: int
    first: int
    count: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's path below the checkpoint folder."""
        return f"phones/{self.round:05d}-{self.first}-{self.count}"

    def row(self) -> KeptRow:
        """Return it as plain values."""
        return {"round": self.round, "first": self.first, "count": self.count, "sha256": self.sha256}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint gives back."""

    state: RunState
    kept: tuple[Kept, ...]
    facts: RunFacts


def keep_phones(folder: Path, round_: int, first: int, count: int, state: PhoneState) -> Kept:
    """Write the memory of a shard's phones below `folder` and return its record; raises FedbertError."""
    place = Kept(round_, first, count, "")
    return replace(place, sha256=_write_arrays(folder / place.name, state.arrays()))


def read_phones(
    folder: Path, parts: Iterable[Kept], first: int, count: int, files: Path | None = None
) -> PhoneState:
    """Return the memory of devices `first` .. `first + count - 1` from the parts that hold them.

    The fleet may be cut otherwise than it was; with `files` it is written into that new folder. Raises
    FedbertError if a part is missing or damaged.
    """
    wanted = sorted(
        (part for part in parts if part.first < first + count and first < part.first + part.count),
        key=lambda part: part.first,
    )
    states = [(part.first, _phones(folder, part)) for part in wanted]
    covered = sum(min(first + count, p.first + p.count) - max(first, p.first) for p in wanted)
    if covered != count:
        raise FedbertError(
            f"checkpoint: {count - covered} of devices {first} to {first + count - 1} are missing"
        )
    one = states[0][1]
    shape = count, one.text.shape[1], *one.pooled_sums.shape, one.selection.shape[1]
    into = PhoneState.empty(*shape) if files is None else phone_files.new_state(files, *shape)
    return cut(states, first, count, into)


def _phones(folder: Path, part: Kept) -> PhoneState:
    """Return the memory in a part of a checkpoint: a file, or of a large shard a folder of files."""
    path = folder / part.name
    if path.is_dir():
        _check_part(folder, part)
        return phone_files.opened(path)
    return PhoneState.from_arrays(_arrays(_checked(folder, part.name, part.sha256)))


def _check_part(folder: Path, part: Kept) -> None:
    """Raise FedbertError unless a part of a checkpoint is as it was written."""
    if not (folder / part.name).is_dir():
        _checked(folder, part.name, part.sha256)
    elif phone_files.digest(folder / part.name) != part.sha256:
        raise FedbertError(f"{part.name} differs from its SHA-256")


def save_checkpoint(folder: Path, state: RunState, kept: Iterable[Kept], facts: RunFacts) -> None:
    """Make `state` and the phones' memory in `kept` a checkpoint.

    Raises FedbertError if it cannot be written; then those before it stand.
    """
    parts = sorted(kept, key=lambda part: part.first)
    name = f"{state.round:05d}.state"
    arrays_sha256 = _write_arrays(folder / name, state.arrays())
    releases: list[_PackedRelease] = []
    for sha256, artefact in state.artefacts().items():
        packed = pack(artefact)
        releases.append({"artefact": sha256, "sha256": hashlib.sha256(packed).hexdigest()})
        if not _is(folder / f"releases/{sha256}", packed):
            write_bytes(folder / f"releases/{sha256}", packed)
    body: _Body = {
        "schema": SCHEMA,
        "facts": facts,
        "state": state.plain(),
        "arrays": {"name": name, "sha256": arrays_sha256},
        "releases": releases,
        "phones": [part.row() for part in parts],
    }
    text = json.dumps(body, sort_keys=True, allow_nan=False)
    whole = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": body}
    # Not sorted: rows keep the order of their columns, and so do the tables of a run that was resumed.
    write_bytes(folder / f"{state.round:05d}.json", json.dumps(whole).encode())
    _prune(folder)


def _is(path: Path, content: bytes) -> bool:
    """Return whether a file holds `content`: one that was damaged on the disk is written again."""
    try:
        return path.stat().st_size == len(content) and read_bytes(path, _LIMIT_BYTES) == content
    except (OSError, FedbertError):
        return False


def _prune(folder: Path) -> None:
    """Remove all but the last checkpoints and what belongs to them."""
    manifests = sorted(folder.glob("[0-9]*.json"), reverse=True)
    wanted: set[str] = set()
    for path in manifests[:KEPT]:
        try:
            body = _body(path)
            wanted |= {path.name, body["arrays"]["name"]}
            wanted |= {f"releases/{each['artefact']}" for each in body["releases"]}
            wanted |= {Kept(**each).name for each in body["phones"]}
        except (FedbertError, KeyError, TypeError):
            return  # it may be whole, and only unreadable now: what belongs to it must stay
    # Shards of the next round may be writing already: only what is of an older round may go.
    oldest = int(manifests[:KEPT][-1].stem) if manifests else 0
    for path in [
        *manifests[KEPT:],
        *folder.glob("*.state"),
        *folder.glob("phones/*"),
        *folder.glob("releases/*"),
    ]:
        name = path.relative_to(folder).as_posix()
        of_round = name.removeprefix("phones/").partition("-")[0].partition(".")[0]
        older = not of_round.isdigit() or int(of_round) < oldest
        if name not in wanted and older and not path.name.startswith("."):
            with suppress(OSError):  # the checkpoint stands; the next one removes it again
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, note: Callable[[str], None] = lambda text: None) -> Checkpoint | None:
    """Return the last whole checkpoint below `folder`, None if there is none.

    `note` is given one line if checkpoints are damaged, and the one before them is used, or if there is none.
    """
    damaged: list[str] = []
    for path in sorted(folder.glob("[0-9]*.json"), reverse=True):
        try:
            found = _load(folder, path)
        except FedbertError as error:
            damaged.append(f"the checkpoint of round {path.stem.lstrip('0') or '0'} is damaged ({error})")
            continue
        if damaged:
            note(f"{'; '.join(damaged)}; the one before it is used")
        return found
    note(f"{'; '.join(damaged) or 'there is no checkpoint'}; the run begins again")
    return None


def _load(folder: Path, path: Path) -> Checkpoint:
    body = _body(path)
    try:
        if body["schema"] != SCHEMA:
            raise FedbertError(f"its schema is {body['schema']!r}, not {SCHEMA}")
        parts = tuple(Kept(**each) for each in body["phones"])
        for part in parts:
            _check_part(folder, part)
        artefacts: dict[str, Artefact] = {
            each["artefact"]: unpack(_checked(folder, f"releases/{each['artefact']}", each["sha256"]))
            for each in body["releases"]
        }
        arrays = _arrays(_checked(folder, body["arrays"]["name"], body["arrays"]["sha256"]))
        return Checkpoint(RunState.from_parts(body["state"], arrays, artefacts), parts, body["facts"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FedbertError(f"it lacks a part ({type(error).__name__}: {error})") from None


def _body(path: Path) -> _Body:
    try:
        whole = json.loads(read_bytes(path, _LIMIT_BYTES))
        body: _Body = whole["body"]
        digest = hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()
        damaged = digest != whole["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FedbertError(f"{path.name} is no manifest") from None
    if damaged:
        raise FedbertError(f"{path.name} differs from its SHA-256")
    return body


def _checked(folder: Path, name: str, sha256: str) -> bytes:
    """Return the content of a file; raises FedbertError if it is missing or differs from its SHA-256."""
    blob = read_bytes(folder / name, _LIMIT_BYTES)
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise FedbertError(f"{name} differs from its SHA-256")
    return blob


class _Hashed:
    """A file that is only written to, and the SHA-256 of what was: no second copy of it is ever in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        """Write and count in."""
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def read(self, size: int = -1) -> bytes:
        """Refuse: numpy takes for a file what has this method."""
        raise io.UnsupportedOperation("read")


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays as numpy's npz, whole or not at all, and return the SHA-256; raises FedbertError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            hashed = _Hashed(file)
            np.savez(cast(Any, hashed), allow_pickle=False, **arrays)
    except OSError as error:
        raise not_written(path, error) from None
    return hashed.digest.hexdigest()


def _arrays(blob: bytes) -> Arrays:
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FedbertError(f"a file of arrays cannot be read ({error})") from None
