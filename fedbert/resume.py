"""What a run leaves in its folder while it works, and how another process takes it up again.

``scenario.toml`` is there from the start; ``rounds.jsonl`` grows by a checksummed row a round;
``checkpoint/`` holds the last two states (`federation/checkpoint.py`). A checkpoint is taken up only by the run that made it:
same scenario, same contents of the user's files, same versions of what the figures depend on.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fedbert.errors import FedbertError
from fedbert.federation import checkpoint
from fedbert.files import Journal, write_text
from fedbert.scenario import Execution, Scenario, anchored, build, read_toml, scenario_toml

if TYPE_CHECKING:
    from fedbert.federation.run_state import RunState
    from fedbert.federation.session import Session

ROUNDS = "rounds.jsonl"
SCENARIO = "scenario.toml"
WORKING_FILES = (ROUNDS, SCENARIO, checkpoint.FOLDER)
"""What stands in the folder of a run that is not finished."""

_DECIDING = ("fedbert", "torch", "onnxruntime", "numpy", "scipy")
"""Packages whose version may change a bit of a figure."""


def input_digests(scenario: Scenario) -> dict[str, str]:
    """Return the SHA-256 of each file of the user's that the scenario names, by its key."""
    found: dict[str, str] = {}
    for key in ("items", "interactions", "availability_trace", "fleet", "signal", "mechanism", "world"):
        value = getattr(scenario, key)
        path = Path(str(value).rpartition(":")[0] if ".py:" in str(value) else str(value))
        if value is not None and path.is_file():
            found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    if scenario.profiles is not None and scenario.profiles.is_dir():
        digest = hashlib.sha256()
        for path in sorted(scenario.profiles.rglob("*.toml")):
            digest.update(path.name.encode() + path.read_bytes())
        found["profiles"] = digest.hexdigest()
    return found


def saved_scenario(folder: Path) -> tuple[Scenario, Execution]:
    """Return the settings of the run in `folder`; raises FedbertError if no run was begun there."""
    path = folder / SCENARIO
    if not path.is_file():
        raise FedbertError(
            f"resume(={str(folder)!r}) must be the folder of a run, and has no {SCENARIO}; name another"
        )
    return build(read_toml(path))


class RunStore:
    """A run's folder while it works; without a folder it keeps nothing."""

    def __init__(
        self,
        scenario: Scenario,
        execution: Execution,
        folder: Path | None,
        versions: Mapping[str, str],
        note: Callable[[str], None],
        deployed: bool = False,
    ) -> None:
        """Take up what the folder holds, if anything; raises FedbertError if it is another run's."""
        self.folder, self.wall_s_before, self.wall_s = folder, 0.0, 0.0
        self.checkpoint_s, self.checkpoint_bytes = 0.0, 0
        self.resumed: checkpoint.Checkpoint | None = None
        self._scenario, self._execution, self._note = scenario, execution, note
        self._deployed, self._started = deployed, time.perf_counter()
        self._journal: Journal | None = None
        self._facts: dict[str, Any] = {
            "scenario": anchored(scenario).model_dump(mode="json"),
            "versions": {name: versions[name] for name in _DECIDING if name in versions},
            "inputs": input_digests(scenario),
        }
        if folder is None:
            return
        self.resumed = checkpoint.load_checkpoint(folder / checkpoint.FOLDER, note)
        if self.resumed is not None:
            _refuse_other(folder, self.resumed.facts, self._facts)
            self.wall_s_before = float(self.resumed.facts.get("wall_s", 0.0))
        elif (folder / checkpoint.FOLDER).is_dir():
            checkpoint.remove_checkpoints(folder / checkpoint.FOLDER)

    @property
    def keep(self) -> str | None:
        """Where shards write their phones' memory."""
        return str((self.folder / checkpoint.FOLDER).absolute()) if self.folder else None

    def due(self, round_: int) -> bool:
        """Return whether a checkpoint follows a round: every so many, and the last."""
        every = self._execution.checkpoint_every
        last = round_ == self._scenario.rounds
        return self.folder is not None and every > 0 and (round_ % every == 0 or last)

    def __enter__(self) -> Self:
        """Begin to write: the scenario, and the journal up to the round that the run goes on from."""
        if self.folder is not None:
            write_text(self.folder / SCENARIO, scenario_toml(self._scenario, self._execution))
            path = self.folder / ROUNDS
            path.unlink(missing_ok=True)
            self._journal = Journal(path)
            for row in self.resumed.state.rows if self.resumed else ():
                self._journal.append(dict(row))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal; an error that leaves a run to be resumed says how."""
        if self._journal is not None:
            self._journal.close()

    def round_done(self, state: "RunState", session: "Session") -> None:
        """Write the round's row, and a checkpoint if one is due."""
        if self.folder is None or self._journal is None:
            return
        self._journal.append(dict(state.rows[-1]))
        if not self.due(state.round):
            return
        started = time.perf_counter()
        if len(session.kept) < len(session.exchange.members):
            if state.round == 0:
                self._note(
                    "no checkpoint: not every SuperNode keeps its phones' memory; "
                    "start each with --node-config 'state-dir=\"FOLDER\"'"
                )
            return
        facts = self._facts | {"wall_s": self.wall_s_before + started - self._started}
        self.checkpoint_bytes = checkpoint.save_checkpoint(
            self.folder / checkpoint.FOLDER, state, session.kept.values(), facts
        )
        elapsed_s = time.perf_counter() - started
        session.timing_s["checkpoints"] = session.timing_s.get("checkpoints", 0.0) + elapsed_s


def _refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise FedbertError, naming the first difference, unless a checkpoint is of this very run."""
    for kind, what in (("scenario", ""), ("versions", "the version of "), ("inputs", "the content of ")):
        old, new = before.get(kind, {}), now[kind]
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                change = "" if kind == "inputs" else f": it was {old.get(key)!r}, and is {new.get(key)!r}"
                raise FedbertError(
                    f"resume(={str(folder)!r}) must be of the same run, and {what}{key} differs{change}; "
                    "resume it as it was, or start another run"
                )
