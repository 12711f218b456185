"""Kills whole runs at random moments and takes them up again: python benchmarks/kills.py --kills 50.

A run is killed as `kill -9` does, taken up with ``--resume`` (one in three is killed once more on the way),
and compared with the same run undisturbed: every figure must be equal to the bit. Prints a table; exits with
1 if a figure differs, a run cannot be taken up, or a process of a killed run stays behind.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MARK = "FEDBERT_KILLS"
"""Variable of the environment by which all processes of one run are found."""

PATIENCE_S = 60.0
"""How long the processes of a killed run may take to end."""

FIGURES = (
    *("scenario", "world", "model", "privacy", "rounds", "tiers", "hours", "comparison", "gap", "status"),
    *("latency_histogram", "memory_histogram", "secure_sum", "traffic", "events"),
)


@dataclass
class Process:
    """One process of a run."""

    wall_s: float
    killed: bool
    code: int
    said: str
    left: list[str] = field(default_factory=list)
    """Programs of it that stayed behind."""


def main() -> int:
    """Do all kills and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--program", default=str(ROOT / "simulations" / "run.py"), help="what is killed")
    parser.add_argument("flags", nargs="*", help="after --: flags of the program")
    arguments = parser.parse_args()
    flags = arguments.flags or ["--devices", "2000", "--epsilon", "2"]
    command = [sys.executable, arguments.program]
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="fedbert-kills-") as place:
        whole = Path(place) / "undisturbed"
        first = run([*command, *flags, "--output", str(whole)], None)
        if first.code:
            print(first.said)
            return 1
        print(f"undisturbed: {first.wall_s:.0f} s\n")
        print("| kill | killed after, s | rounds kept | processes | equal |\n|---|---|---|---|---|")
        good, usual_s = 0, first.wall_s
        for number in range(1, arguments.kills + 1):
            folder = Path(place) / str(number)
            equal, usual_s = trial(number, folder, command, flags, usual_s, moments, figures(whole))
            good += equal
    print(f"\n{good} of {arguments.kills} resumed runs equal the undisturbed one")
    return 0 if good == arguments.kills else 1


def trial(
    number: int,
    folder: Path,
    command: list[str],
    flags: list[str],
    usual_s: float,
    moments: random.Random,
    expected: dict[str, Any],
) -> tuple[bool, float]:
    """Kill a run once or twice, let it end, print its row.

    Returns whether it equals `expected`, and how long a run takes: one that ended before it was killed is
    begun again.
    """
    kills = 2 if moments.random() < 1 / 3 else 1
    processes: list[Process] = []
    kept: list[str] = []
    while True:
        resume = (folder / "checkpoint" / "scenario.toml").is_file() or (folder / "run.json").is_file()
        where = ["--resume", str(folder)] if resume else [*flags, "--output", str(folder), "--overwrite"]
        left_s = usual_s * moments.random() if len(processes) < kills else None
        processes.append(run([*command, *where], left_s))
        if not processes[-1].killed and len(processes) == 1 and not processes[-1].code:
            usual_s = min(usual_s, processes.pop().wall_s)
            shutil.rmtree(folder)
            continue
        if not processes[-1].killed:
            break
        states = sorted((folder / "checkpoint").glob("[0-9]*.json"))
        kept.append(states[-1].stem.lstrip("0") or "0" if states else "-")
    last = processes[-1]
    behind = [name for process in processes for name in process.left]
    equal = last.code == 0 and not behind and figures(folder) == expected
    after = ", ".join(f"{process.wall_s:.1f}" for process in processes if process.killed) or "-"
    print(f"| {number} | {after} | {', '.join(kept) or '-'} | {len(processes)} | {equal} |", flush=True)
    if not equal:
        print(f"exit code {last.code}, left behind {behind}:\n{last.said[-2000:]}", flush=True)
    return equal, usual_s


def run(command: list[str], kill_after_s: float | None) -> Process:
    """Run a command to its end, or kill it after some seconds."""
    mark = secrets.token_hex(8)
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | {MARK: mark})
        killed = False
        try:
            process.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed = True
        wall_s = time.perf_counter() - started
        left = stragglers(mark)
        said.seek(0)
        return Process(wall_s, killed, process.returncode, said.read().decode("utf-8", "replace"), left)


def stragglers(mark: str) -> list[str]:
    """Return the programs that bear `mark` and do not end; they are ended then."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and marked(mark):
        time.sleep(0.1)
    left = marked(mark)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return list(left.values())


def marked(mark: str) -> dict[int, str]:
    """Return the running processes that bear `mark`, with what they were started as."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                found[int(entry.name)] = b" ".join(words[:3]).decode("utf-8", "replace")[:120]
    return found


def figures(folder: Path) -> dict[str, Any]:
    """Return what of a folder's ``run.json`` a repeated run must give again."""
    result = json.loads((folder / "run.json").read_bytes())
    for row in result["rounds"]:
        del row["wall_s"]
    return {name: result.get(name) for name in FIGURES}


if __name__ == "__main__":
    sys.exit(main())
