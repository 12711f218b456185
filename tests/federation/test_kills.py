"""Runs that are killed, and taken up again: `benchmarks/kills.py`, for fewer and smaller ones."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--model tiny --devices 60 --rounds 6 --release-every 1 --availability always --shards 2 "
    "--epsilon 20 --mechanism poisson"
)


def test_three_killed_runs_end_as_if_nothing_had_happened() -> None:
    """Three runs killed as `kill -9` does, at random moments, give the undisturbed run's figures.

    A stub stands in the place of training; all files are written as ever.
    """
    script, program = ROOT / "benchmarks" / "kills.py", ROOT / "tests" / "faults" / "stubbed_run.py"
    words = ["--kills", "3", "--seed", "1", "--program", str(program), "--", *FLAGS.split()]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 3
    assert all(int(row[4]) > 1 for row in rows), "each must have been killed at least once"
    assert "3 of 3 resumed runs equal the undisturbed one" in done.stdout
