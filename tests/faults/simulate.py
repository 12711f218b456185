"""Deterministic fault simulation: a case is a function of its seed, and must end in one of a few ways.

Each case is a whole run of a small fleet (`fedbert.cli.run.work`: folder, rounds, checkpoints, report) with a
stub in place of training, and one fault or two: of shards' replies (`lossy.py`) or of the file system
(`disk.py`). What must hold is in `check`. A case again, by its seed:

    python tests/faults/simulate.py --seed 17
"""

import argparse
import contextlib
import functools
import gc
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.disk import FILE_KINDS, Disk, FileFault, PowerLoss
from faults.lossy import REPLY_KINDS, LossyGrid, ReplyFault
from faults.stub import stubbed
from federation.small_runs import FIGURES, SMALL, repeated

from fedbert import run_folder
from fedbert.cli.run import work
from fedbert.errors import FedbertError
from fedbert.federation import compare as comparing
from fedbert.federation import shard_report as r
from fedbert.federation.aggregator import Aggregator
from fedbert.federation.environment import load_mechanism
from fedbert.federation.exchange import ATTEMPTS
from fedbert.federation.protocol import REPLAY, ROUND, Arrays, from_records, members_of
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.interrupts import orderly_stop
from fedbert.privacy.mechanisms import decode
from fedbert.provenance import versions
from fedbert.resume import can_be_resumed
from fedbert.scenario import Execution

SHARDS, ROUNDS = 3, 3
# The audit opens sums of its own, which would stand among those that are noted here.
SCENARIO = SMALL.model_copy(update={"rounds": ROUNDS, "noise_seed": 8_191, "audit": "off"})
ASKS = 1 + (ROUNDS + 1) + 2
"""Questions of a run: the start, the rounds, and the two of the comparison."""

LIVES = 6
"""Processes after which a case must have come to its end."""


class Violation(AssertionError):
    """Something that must hold did not."""


# -- cases ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """The faults of a case, by the process ("life") that they meet."""

    seed: int
    lost_shards: str
    files: tuple[tuple[FileFault, ...], ...]
    replies: tuple[ReplyFault, ...]

    @classmethod
    def of(cls, seed: int) -> "Case":
        """Return the case of a seed: of ten, nine have one fault and one has two."""
        random = np.random.default_rng(seed)
        count = 1 + int(random.random() < 0.1)
        of_files = [random.random() < 0.5 for _ in range(count)]
        files: list[list[FileFault]] = [[], []]
        for life, chosen in enumerate(of_files):
            if chosen:
                # The second fault meets the process that takes the run up again, or the first one too.
                files[life if random.random() < 0.5 else 0].append(_file_fault(random))
        # A run without two of its three shards is held; that is tested elsewhere.
        node = int(random.integers(1, SHARDS + 1))
        replies = tuple(_reply_fault(random, node) for chosen in of_files if not chosen)
        leave_out = not any(of_files) and random.random() < 0.5
        return cls(seed, "leave-out" if leave_out else "stop", tuple(map(tuple, files)), replies)


def _file_fault(random: np.random.Generator) -> FileFault:
    kind = FILE_KINDS[int(random.integers(len(FILE_KINDS)))]
    operations = undisturbed()[1]
    # Most are writes of a few bytes: half of the faults look for one of the others.
    at = int(random.integers(1, 1 + int(1.05 * len(operations))))
    if random.random() < 0.5:
        names = sorted(set(operations))
        name = names[int(random.integers(len(names)))]
        at = 1 + int(random.choice([i for i, each in enumerate(operations) if each == name]))
    return FileFault(at, kind, lasting=kind in ("ENOSPC", "EACCES", "EIO") and random.random() < 0.5)


def _reply_fault(random: np.random.Generator, node: int) -> ReplyFault:
    kind = REPLY_KINDS[int(random.integers(len(REPLY_KINDS)))]
    attempts = int(random.choice([1, 2, ATTEMPTS], p=[0.4, 0.2, 0.4]))
    lasting = attempts == ATTEMPTS and random.random() < 0.3
    return ReplyFault(int(random.integers(ASKS)), node, kind, attempts, lasting)


# -- one process ----------------------------------------------------------------------------------------


@dataclass
class Life:
    """What one process did."""

    end: str
    """finished, interrupted, power, or error: and its line."""
    said: str
    told: int
    """Rounds that it told as finished, round 0 included."""
    resumed: int | None
    """Rounds that it took up; None if it did not get so far."""
    hit: list[str]
    grid: LossyGrid
    sums: dict[int, dict[int, Any]] = field(default_factory=dict)
    """The shards' sums before masks, by round and first device."""
    opened: dict[int, tuple[Any, tuple[int, ...]]] = field(default_factory=dict)
    """The aggregator's sums before noise, and of which shards, by round."""
    replayed: Any = None
    operations: list[str] = field(default_factory=list)


def live(
    place: Path,
    random: np.random.Generator,
    *,
    resume: bool,
    overwrite: bool = False,
    lost_shards: str = "stop",
    files: tuple[FileFault, ...] = (),
    replies: tuple[ReplyFault, ...] = (),
) -> Life:
    """Do what one process does: begin a run in `place`/run, or take it up, until its end."""
    folder, grid = place / "run", LossyGrid(SHARDS, replies, random)
    disk = Disk(place, files, random)
    life = Life("", "", 0, None, [], grid)
    execution = Execution(
        shards=SHARDS,
        output=folder,
        overwrite=overwrite,
        lost_shards=lost_shards,  # type: ignore[arg-type]
    )
    out, err = io.StringIO(), io.StringIO()
    with _watched(life), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with disk.attached(), orderly_stop():
                code = work(SCENARIO, execution, folder if resume else None, "fedbert run", grid)
            life.end = "finished" if code == 0 else "interrupted"
        except FedbertError as error:
            life.end = f"error: {error}"
        except KeyboardInterrupt:
            life.end = "interrupted"
        except PowerLoss:
            life.end = "power"
        finally:
            grid.close()
    gc.collect()  # frees the lock of a process that is gone
    run_folder._held.clear()
    life.said = out.getvalue() + err.getvalue()
    life.operations = disk.operations
    life.hit = [*disk.hit, *(str(fault) for fault in grid.hit)]
    return life


@contextlib.contextmanager
def _watched(life: Life) -> Iterator[None]:
    """Note what the run does, from where nobody can disturb it."""
    run_round, total, start = Shard.run_round, Aggregator._total, Session.start
    compare = comparing.compare

    def noted_round(self: Shard, state: Any, order: Any, releases: Any) -> Any:
        report, check = run_round(self, state, order, releases)
        signal = report.server["signal"].view(np.int32).astype(np.int64)
        life.sums.setdefault(order.round, {})[self.devices.first] = signal
        return report, check

    def noted_total(self: Aggregator, round_: int, kept: Any) -> Any:
        opened = total(self, round_, kept)
        life.opened[round_] = opened.copy(), tuple(sorted(kept))
        return opened

    def noted_compare(session: Session, *args: Any) -> None:
        compare(session, *args)
        life.replayed = session.replayed

    def noted_start(self: Session, grid: Any, resumed: Any = None, *args: Any, **named: Any) -> Any:
        life.resumed = len(resumed.rows) if resumed is not None else 0
        return start(self, grid, resumed, *args, **named)

    def told(self: Any, row: Any, devices_per_s: float) -> None:
        life.told = max(life.told, int(row["round"]) + 1)

    with (
        mock.patch.object(Shard, "run_round", noted_round),
        mock.patch.object(Aggregator, "_total", noted_total),
        mock.patch.object(comparing, "compare", noted_compare),
        mock.patch.object(Session, "start", noted_start),
        mock.patch("fedbert.cli.run_progress.RunProgress.round_done", told),
        mock.patch("fedbert.reporting.run.folder.render_report", lambda result: "<html></html>"),
        mock.patch("fedbert.reporting.run.terminal.print_summary", lambda *args: None),
        mock.patch("fedbert.provenance.versions", _versions),
        mock.patch("fedbert.provenance.commit", lambda: None),
        stubbed(),
    ):
        yield


_versions = functools.cache(versions)


def figures(folder: Path) -> dict[str, Any]:
    """Return what of a folder's ``run.json`` a repeated run must give again."""
    return repeated(json.loads((folder / "run.json").read_bytes()))


@functools.cache
def undisturbed() -> tuple[dict[str, Any], list[str]]:
    """Return the figures of a run without a fault, and its operations on files by their names."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        life = live(place, np.random.default_rng(0), resume=False)
        if life.end != "finished":
            raise Violation(f"the run without a fault: {life.end}\n{life.said}")
        gc.freeze()  # what is kept for all cases need not be looked at again
        return figures(place / "run"), life.operations


# -- what must hold -------------------------------------------------------------------------------------


def simulate(seed: int, place: Path) -> str:
    """Run the case of `seed` below `place` and return how it went; raises Violation if a rule is broken."""
    case = Case.of(seed)
    random = np.random.default_rng([seed, 1])
    story: list[str] = []
    told, resume, overwrite = 0, False, False
    try:
        for number in range(LIVES):
            life = live(
                place,
                random,
                resume=resume,
                overwrite=overwrite,
                lost_shards=case.lost_shards,
                files=case.files[number] if number < len(case.files) else (),
                replies=case.replies if number == 0 else (),
            )
            story.append(f"{life.end} {life.hit}")
            _check_end(life)
            if resume and life.resumed is not None and not life.hit and life.resumed < told:
                raise Violation(f"{told} rounds were told as finished, and {life.resumed} are left")
            told = max(told, life.told)
            if life.end == "finished" and (place / "run" / "run.json").is_file():
                _check_finished(case, life, place / "run")
                return " -> ".join(story)
            if not life.hit:
                raise Violation(f"nothing was disturbed, and yet: {life.end}")
            resume = can_be_resumed(place / "run")
            overwrite = not resume
            if not resume and told > 1 and not (place / "run" / "run.json").is_file():
                raise Violation(f"{told} rounds were told as finished, and the folder cannot be resumed")
            if resume and life.end != "power" and "--resume" not in life.said:
                raise Violation("it does not say how to go on")
        raise Violation(f"no end after {LIVES} processes")
    except Exception as error:
        what = error if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
        raise Violation(f"seed {seed}: {what}\n{case}\n" + "\n".join(story)) from error


def _check_end(life: Life) -> None:
    """Raise Violation unless a process ended in one of the ways that are allowed."""
    if "\n" in life.end:
        raise Violation(f"more than one line: {life.end}")
    if life.end.startswith("error") and not life.hit:
        raise Violation(life.end)


def _check_finished(case: Case, life: Life, folder: Path) -> None:
    """Raise Violation unless a finished run is the undisturbed one, or one that has left shards out right."""
    found, expected = figures(folder), undisturbed()[0]
    result = json.loads((folder / "run.json").read_bytes())
    left_out = _left_out(life) if case.lost_shards == "leave-out" else {}
    if not left_out:
        different = [name for name in FIGURES if found[name] != expected[name]]
        if different:
            raise Violation(f"{', '.join(different)} differ from the undisturbed run's")
    else:
        _check_left_out(life, result, left_out)
    disturbed = {fault.node for fault in life.grid.hit}
    named = {event["shard"] for event in result["events"]}
    members = {member.node: member.index for member in members_of([1, 2, 3], SCENARIO.devices)}
    late = [fault for fault in life.grid.hit if fault.kind == "doubled later" and fault.ask == ASKS - 1]
    for node in disturbed:
        # A second reply after the last question meets nobody; one of a stranger is no shard's.
        strange = all(fault.kind == "stranger" for fault in life.grid.hit if fault.node == node)
        if members[node] not in named and not late and not (strange and -1 in named):
            raise Violation(f"no event names shard {members[node]}: {result['events']}")


def _left_out(life: Life) -> dict[tuple[str, int], set[int]]:
    """Return the nodes whose true answer never arrived, by (kind, round)."""
    nodes = {1, 2, 3}
    keys = [(ROUND, round_) for round_ in range(ROUNDS + 1)]
    keys += [(REPLAY, ROUNDS + 1), (REPLAY, ROUNDS + 2)]
    missing = {key: nodes - life.grid.clean.get(key, {}).keys() for key in keys}
    return {key: left for key, left in missing.items() if left}


def _arrays(life: Life, kind: str, round_: int) -> dict[int, Arrays]:
    """Return the arrays of the true answers that arrived, by node."""
    return {node: from_records(reply.content)[1] for node, reply in life.grid.clean[kind, round_].items()}


def _check_left_out(life: Life, result: Any, left_out: dict[tuple[str, int], set[int]]) -> None:
    """Raise Violation unless a run without some shards counts and adds up what the others truly sent."""
    members = {member.node: member for member in members_of([1, 2, 3], SCENARIO.devices)}
    mechanism, scale = load_mechanism(SCENARIO), _scale()
    total_missing = 0
    for row in result["rounds"]:
        round_ = row["round"]
        without = left_out.get((ROUND, round_), set())
        missing = sum(members[node].count for node in without)
        total_missing += missing
        answers = _arrays(life, ROUND, round_)
        counts = sum(arrays["truth.counts"] for arrays in answers.values())
        ranks = sum(arrays["truth.ranks"] for arrays in answers.values())
        installed = sum(arrays["server.installed"] for arrays in answers.values())
        names = ["none", *(str(number) for number in range(len(installed) - 1))]
        expected = dict(zip(r.COHORT_KEYS, (int(count) for count in counts), strict=True))
        wanted = {
            "missing": missing,
            **{name: expected[name] for name in ("cohort", "eligible", "completed", "reported", "downloads")},
            "bytes_up": expected["upload_bytes"],
            "bytes_down": expected["download_bytes"],
            "sessions": int(ranks.sum()),
            "installed": {name: int(n) for name, n in zip(names, installed, strict=True) if n},
            "epsilon": mechanism.spent(round_)[0].epsilon,
        }
        for name, value in wanted.items():
            if row.get(name, 0) != value:
                raise Violation(f"round {round_}: {name} is {row.get(name)!r}, and must be {value!r}")
        if round_:
            opened, kept = life.opened[round_]
            present = {members[node].index: members[node].first for node in answers}
            exact = sum(life.sums[round_][first] for first in present.values())
            if set(kept) != set(present) or not np.array_equal(opened, decode(np.asarray(exact), scale)):
                raise Violation(f"round {round_}: the opened sum is not that of the shards that answered")
        for node in without:
            if not [
                event
                for event in result["events"]
                if event["round"] == round_
                and event["shard"] == members[node].index
                and "is left out" in event["text"]
            ]:
                raise Violation(f"round {round_}: no event says that {members[node]} is left out")
    if result["totals"]["missing_device_rounds"] != total_missing:
        raise Violation(f"missing device rounds must be {total_missing}")
    compared = _arrays(life, REPLAY, ROUNDS + 2).values()
    for name, found in life.replayed.items():
        if not np.array_equal(found, sum(arrays[name] for arrays in compared)):
            raise Violation(f"the comparison's {name} are not those of the shards that answered")


@functools.cache
def _scale() -> float:
    from fedbert.federation.session import Session

    with stubbed():
        return Session.open(SCENARIO).environment.layout.scale


# -- many cases -----------------------------------------------------------------------------------------


def _one(seed: int) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix=f"fault-{seed}-") as folder:
        try:
            simulate(seed, Path(folder))
        except Violation as error:
            return seed, str(error)
    return seed, ""


def main() -> int:
    """Run the cases that the command line names; return 1 if a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run one case and tell how it went")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=5_000, help="cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.seed is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(Case.of(options.seed))
            print(simulate(options.seed, Path(folder)))
        return 0
    started, bad = time.perf_counter(), []
    seeds = range(options.first, options.first + options.count)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for done, (seed, error) in enumerate(pool.imap_unordered(_one, seeds, chunksize=4), 1):
            if error:
                bad.append(seed)
                print(error, flush=True)
            if done % 250 == 0:
                print(f"{done} cases, {len(bad)} wrong, {time.perf_counter() - started:.0f} s", flush=True)
    print(f"{len(seeds)} cases in {time.perf_counter() - started:.0f} s, {len(bad)} wrong: {bad[:20]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
