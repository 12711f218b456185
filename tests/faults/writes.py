"""What each command writes, with one file operation after another failing once.

A command is a `Written`: how it is run, and what must hold of its folder after it was broken off. Which
operations there are is found by a run without a fault (`disk.py`), so a new file is covered by itself.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faults.disk import Disk, FileFault, FileKind

from fedbert import run_folder
from fedbert.errors import FedbertError
from fedbert.interrupts import orderly_stop

KINDS: tuple[FileKind, ...] = ("ENOSPC", "EACCES", "interrupt")

ALL = os.environ.get("FEDBERT_FUZZ") == "1"
"""Whether every operation fails in each of the `KINDS` (`make fuzz`), or in one of them, in turn."""


@dataclass(frozen=True)
class Written:
    """A command below a folder: `before` makes what lies there, `run` is the command, `again` ends it.

    `state` reads the result as the product does and names it ("old", "new", "none"); it raises if what it
    finds is neither whole nor refused.
    """

    before: Callable[[Path], None]
    run: Callable[[Path], None]
    state: Callable[[Path], str]
    again: Callable[[Path], None]


def attempt(written: Written, place: Path, faults: tuple[FileFault, ...]) -> tuple[str, Disk]:
    """Run the command with `faults` and return how it ended, and the disk."""
    disk = Disk(place, faults, np.random.default_rng(0))
    out = io.StringIO()
    end = "finished"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            with disk.attached(), orderly_stop():
                written.run(place)
        except FedbertError as error:
            end = f"error: {error}"
        except KeyboardInterrupt:
            end = "interrupted"
    run_folder._held.clear()
    return end, disk


def fail_each(written: Written, place: Path) -> int:
    """Let every operation that changes something fail once, and return how many cases that were.

    Afterwards the result is the old, the new one, or none yet; the line is one; and the command run again
    ends in the new one.
    """
    first = place / "first"
    first.mkdir()
    written.before(first)
    earlier = place / "earlier"
    shutil.copytree(first, earlier)
    end, disk = attempt(written, first, ())
    assert end == "finished", end
    assert written.state(first) == "new"
    changing = [number for number, changes in enumerate(disk.changing, 1) if changes]
    cases = [
        (at, kind)
        for turn, at in enumerate(changing)
        for kind in (KINDS if ALL else (KINDS[turn % len(KINDS)],))
    ]
    for at, kind in cases:
        here = place / f"{at}-{kind}"
        shutil.copytree(earlier, here)
        end, disk = attempt(written, here, (FileFault(at, kind),))
        what = f"{end} {disk.hit}"
        assert disk.hit, what
        assert "\n" not in end, what
        state = written.state(here)
        assert state in (("new",) if end == "finished" else ("old", "new", "none")), what
        if state != "new":
            written.again(here)
            assert written.state(here) == "new", what
        shutil.rmtree(here)
    return len(cases)
