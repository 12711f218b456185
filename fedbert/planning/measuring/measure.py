"""All that a calibration file holds, measured one after the other, each part in a process of its own."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedbert.errors import FedbertError
from fedbert.planning.capacity.calibration import SCHEMA, CalibrationRecord, this_machine
from fedbert.planning.measuring.aggregator import HELD, aggregator_samples, held_memory, memory_of
from fedbert.planning.measuring.downloads import download_samples
from fedbert.planning.measuring.link import link_samples
from fedbert.planning.measuring.update import update_samples
from fedbert.planning.workers import run_calls
from fedbert.provenance import versions

QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""Threads sleep as soon as they wait: CPU seconds are work."""


def measure(machine: str | None, command: str, say: Callable[[str], None]) -> CalibrationRecord:
    """Return the calibration of this machine; `machine` is what to call it, `say` is told each part.

    Raises FedbertError if a server does not start.
    """
    os.environ.update(QUIET)
    say("server update")
    update = _apart(update_samples)
    say("aggregator")
    parts = [_apart(aggregator_samples, update.layout, update.mechanism)]
    held = {count: _apart(held_memory, update.layout, update.mechanism, count) for count in HELD}
    parts.append(memory_of(held, update.layout.bytes_up))
    with tempfile.TemporaryDirectory(prefix="fedbert-measure-") as folder:
        place = Path(folder)
        for name in ("files", "link"):
            (place / name).mkdir()
        say("release downloads")
        parts.append(download_samples(update.release, place / "files"))
        say("check-ins and uploads")
        parts.append(link_samples(place / "link", update.layout.bytes_up))
    samples = [*update.samples, *(sample for part in parts for sample in part.samples)]
    return {
        "schema": SCHEMA,
        "command": command,
        "versions": versions(),
        "machine": this_machine(machine),
        "model": update.model,
        "report_bytes": update.layout.bytes_up,
        "release_bytes": len(update.release),
        "costs": [sample.row() for sample in samples],
        "checks": [check for part in parts for check in part.checks],
        "memory_checks": [check for part in parts for check in part.memory_checks],
    }


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `function` returns in a process of its own, whose peak of memory is its own."""
    ((_, future),) = run_calls(function, [arguments], 1)
    error = future.exception()
    if error is not None and not isinstance(error, FedbertError):
        raise FedbertError(f"{function.__name__} did not end ({error}); try again") from None
    return future.result()
