"""All that a calibration file holds, measured one after the other, each part in a process of its own."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedbert.errors import FedbertError
from fedbert.planning.capacity.calibration import SCHEMA, CalibrationRecord, this_machine
from fedbert.planning.measuring.aggregator import aggregator_samples
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
    aggregator, checked = _apart(aggregator_samples, update.layout, update.mechanism)
    with tempfile.TemporaryDirectory(prefix="fedbert-measure-") as folder:
        place = Path(folder)
        for name in ("files", "link"):
            (place / name).mkdir()
        say("release downloads")
        downloads, fetched = download_samples(update.release, place / "files")
        say("check-ins and uploads")
        link = link_samples(place / "link")
    return {
        "schema": SCHEMA,
        "command": command,
        "versions": versions(),
        "machine": this_machine(machine),
        "model": update.model,
        "report_bytes": update.layout.bytes_up,
        "release_bytes": len(update.release),
        "costs": [sample.row() for sample in (*update.samples, *aggregator, *downloads, *link)],
        "checks": [*checked, *fetched],
    }


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `function` returns in a process of its own, whose peak of memory is its own."""
    ((_, future),) = run_calls(function, [arguments], 1)
    error = future.exception()
    if error is not None and not isinstance(error, FedbertError):
        raise FedbertError(f"{function.__name__} did not end ({error}); try again") from None
    return future.result()
