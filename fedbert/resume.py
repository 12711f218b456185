"""What a run leaves in its folder while it works, and how another process takes it up again.

Below ``checkpoint/`` are ``scenario.toml``, from the start, and the last two states
(`federation/checkpoint.py`); ``rounds.jsonl`` grows by a checksummed row per round. It lies in
``checkpoint/`` too while the folder still holds an older run's result, which stays whole until this one's
replaces it.
A checkpoint is taken up only by the run that made it: same scenario, same contents of the user's files, same
versions of what the figures depend on.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fedbert.errors import FedbertError, RunStopped
from fedbert.files import UnreadableFile, reason, sha256_of, write_text
from fedbert.journal import Journal
from fedbert.run_folder import CHECKPOINT
from fedbert.scenario import (
    EXECUTION_KEYS,
    Execution,
    Scenario,
    anchored,
    read_toml,
    scenario_toml,
)

if TYPE_CHECKING:
    from fedbert.federation.checkpoint import Checkpoint, RunFacts
    from fedbert.federation.run_state import RunState
    from fedbert.federation.session import Session

ROUNDS = "rounds.jsonl"
SCENARIO = "scenario.toml"

_SAVED = EXECUTION_KEYS - {"output", "overwrite"}
"""Keys of how a run is computed that it goes on with."""

_DECIDING = ("fedbert", "torch", "onnxruntime", "numpy", "scipy")
"""Packages whose version may change a bit of a figure."""


class OtherRun(FedbertError):
    """A checkpoint is not of this very run: something that decides its figures has changed."""


def input_digests(scenario: Scenario) -> dict[str, str]:
    """Return the SHA-256 of each file or folder of the user's that the scenario names, by its key."""
    scenario, found = anchored(scenario), dict[str, str]()
    files = ("items", "interactions", "availability_trace", "fleet")
    for key in (*files, "signal", "mechanism", "selection", "world"):
        value = getattr(scenario, key)
        path = Path(str(value).rpartition(":")[0] if ".py:" in str(value) else str(value))
        if path.is_absolute() and path.is_file():
            found[key] = _digest(key, path)
    for key, pattern in (("profiles", "*.toml"), ("model", "*"), ("teacher", "*")):
        value = getattr(scenario, key)
        # A model's server folder lies beside it (`federation.server.server_folder`).
        folders = [Path(f"{value}{end}").expanduser() for end in ("", "-server")]
        if folders[0].is_absolute() and folders[0].is_dir():
            digest = hashlib.sha256()
            for path in (path for folder in folders for path in sorted(folder.rglob(pattern))):
                if path.is_file():
                    digest.update(os.fsencode(path.name) + bytes.fromhex(_digest(key, path)))
            found[key] = digest.hexdigest()
    return found


def _digest(key: str, path: Path) -> str:
    try:
        return sha256_of(path)
    except UnreadableFile as error:
        raise error.of(key, str(path)) from None


def saved_settings(folder: Path) -> dict[str, Any]:
    """Return the flat keys of the run that was begun in `folder`; raises FedbertError if none was."""
    for path in (folder / CHECKPOINT / SCENARIO, folder / SCENARIO):
        if path.is_file():
            return read_toml(path)
    raise not_begun(folder)


def not_begun(folder: Path) -> FedbertError:
    """Return the error for a folder without a run to go on with."""
    return FedbertError(
        f"resume(={str(folder)!r}) must be the folder of a run, and none was begun there; name another"
    )


def can_be_resumed(folder: Path) -> bool:
    """Return whether `folder` holds a run that was stopped."""
    return (folder / CHECKPOINT / SCENARIO).is_file()


class RunStore:
    """A run's folder while it works; without a folder it keeps nothing."""

    def __init__(
        self,
        scenario: Scenario,
        execution: Execution,
        folder: Path | None,
        versions: Mapping[str, str],
        note: Callable[[str], None],
        resume: bool,
    ) -> None:
        """Take up what the folder holds if `resume`; raises OtherRun if that is another run's."""
        self.folder, self.wall_s_before = folder, 0.0
        self.resumed: Checkpoint | None = None
        self._scenario, self._execution, self._note = scenario, execution, note
        self._started = time.perf_counter()
        self._journal: Journal | None = None
        self._facts: RunFacts = {
            "scenario": anchored(scenario).model_dump(mode="json"),
            "versions": {name: versions[name] for name in _DECIDING if name in versions},
            "inputs": input_digests(scenario),
        }
        if folder is None or not resume:
            return
        from fedbert.federation.checkpoint import load_checkpoint

        self.resumed = load_checkpoint(folder / CHECKPOINT, note)
        if self.resumed is not None:
            _refuse_other(folder, self.resumed.facts, self._facts)
            self.wall_s_before = float(self.resumed.facts.get("wall_s", 0.0))

    @property
    def keep(self) -> str | None:
        """Where shards write their phones' memory."""
        return str((self.folder / CHECKPOINT).absolute()) if self.folder else None

    def due(self, round_: int) -> bool:
        """Return whether a checkpoint follows a round: every `checkpoint_every` rounds, and the last."""
        every = self._execution.checkpoint_every
        last = round_ == self._scenario.rounds
        return self.folder is not None and every > 0 and (round_ % every == 0 or last)

    def __enter__(self) -> Self:
        """Begin to write: the scenario, and the journal up to the round that the run goes on from."""
        if self.folder is None:
            return self
        place = self.folder / CHECKPOINT
        if self.resumed is None:
            _remove(place)
        write_text(place / SCENARIO, scenario_toml(self._scenario, self._execution, _SAVED))
        path = (place if (self.folder / "run.json").exists() else self.folder) / ROUNDS
        _remove(path)
        self._journal = Journal(path)
        for row in self.resumed.state.rows if self.resumed else ():
            self._journal.append(dict(row))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal; everything else stays, to be resumed."""
        if self._journal is not None:
            self._journal.close()

    def round_done(self, state: "RunState", session: "Session") -> None:
        """Write the round's row, and a checkpoint if one is due; raises RunStopped if it cannot."""
        if self.folder is None or self._journal is None:
            return
        try:
            self._journal.append(dict(state.rows[-1]))
            if self.due(state.round):
                self._checkpoint(self.folder / CHECKPOINT, state, session)
        except FedbertError as error:
            raise RunStopped(str(error)) from None

    def _checkpoint(self, place: Path, state: "RunState", session: "Session") -> None:
        from fedbert.federation.checkpoint import save_checkpoint

        started = time.perf_counter()
        if len(session.kept) < len(session.exchange.members):
            if state.round == 0:
                self._note(
                    "no checkpoint: not every SuperNode keeps its phones' memory; "
                    "start each with --node-config 'state-dir=\"FOLDER\"'"
                )
            return
        wall_s = self.wall_s_before + started - self._started
        save_checkpoint(place, state, session.kept.values(), {**self._facts, "wall_s": wall_s})
        elapsed_s = time.perf_counter() - started
        session.timing_s["checkpoints"] = session.timing_s.get("checkpoints", 0.0) + elapsed_s


def finish(folder: Path) -> None:
    """Clear away what a finished run needs no more; its rows stay as ``rounds.jsonl``."""
    place = folder / CHECKPOINT
    # The result is written: files that cannot be removed do no harm.
    with suppress(OSError):
        if (place / ROUNDS).is_file():
            (place / ROUNDS).replace(folder / ROUNDS)
        # First, so that a folder that is half removed is not taken for a run that was stopped.
        (place / SCENARIO).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)


def _remove(path: Path) -> None:
    """Remove what an earlier run has left; raises FedbertError if it stays, to be taken for this run's."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise FedbertError(
            f"{str(path)!r} cannot be removed: {reason(error)}; remove it or choose another --output"
        ) from None


def _refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise OtherRun, naming the first difference, unless a checkpoint is of this very run."""
    for kind, what in (("scenario", ""), ("versions", "the version of "), ("inputs", "the content of ")):
        old, new = before.get(kind, {}), now[kind]
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                change = "" if kind == "inputs" else f": it was {old.get(key)!r}, and is {new.get(key)!r}"
                raise OtherRun(
                    f"resume(={str(folder)!r}) must be of the same run, and {what}{key} differs{change}; "
                    "resume it as it was, or start another run"
                )
