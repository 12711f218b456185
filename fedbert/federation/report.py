"""What a shard answers: integer arrays that add up exactly, whatever the split of the fleet.

A report has two parts that never mix. `SERVER` arrays are what a deployed server would see: the masked sum of
the cohort's signals, how many reports it holds, and the downloads it served. `TRUTH` arrays are the
simulator's own bookkeeping for the report a person reads; `federation/server.py` is never handed them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.federation.wire import Arrays

TIER_COUNT = 3
ARM_COUNT = 2
TREATED, CONTROL = 0, 1
OUTCOME_COUNT = 4
MICRO = 1_000
"""Times and energies are summed as integers in microseconds and microjoules (from ms and mJ)."""

ENERGY_KEYS = ("session_uj", "install_uj", "signal_uj", "download_uj")
"""What phones spend energy on, as keys of the truth; also the last axis of `participant_uj`."""

LATENCY_BINS = 460
MEMORY_BINS = 400
_BIN_RATIO = 1.02

COHORT_KEYS = (
    "cohort",
    "eligible",
    "completed",
    "reported",
    "downloads",
    "clicks",
    "learning_sessions",
    "upload_attempts",
    "upload_bytes",
    "uploads_failed",
    "download_attempts",
    "download_bytes",
    "downloads_failed",
)
"""Counts of a round; bytes are those moved, repeated ones included."""


def latency_edges_ms() -> NDArray[np.float64]:
    """Return the upper edges of the latency bins: 2 % wide, from 1 ms to about 9 s."""
    return np.asarray(_BIN_RATIO ** np.arange(LATENCY_BINS), np.float64)


def memory_edges_bytes() -> NDArray[np.float64]:
    """Return the upper edges of the memory bins: 2 % wide, from 100 kB to about 270 MB."""
    return np.asarray(1e5 * _BIN_RATIO ** np.arange(MEMORY_BINS), np.float64)


def empty_truth(evaluation_texts: int) -> Arrays:
    """Return the truth part of a report with nothing in it; the shapes are its documentation."""
    return {
        # evaluation sessions by [tier, arm, outcome, rank - 1 of the true item as the user saw it]
        "ranks": np.zeros((TIER_COUNT, ARM_COUNT, OUTCOME_COUNT, 20), np.int64),
        # learning sessions by [tier, outcome]
        "learning_outcomes": np.zeros((TIER_COUNT, OUTCOME_COUNT), np.int64),
        # answered sessions of both kinds
        "latency": np.zeros((TIER_COUNT, LATENCY_BINS), np.int64),
        "memory": np.zeros((TIER_COUNT, MEMORY_BINS), np.int64),
        # [tier]: device time (microseconds) and energy (microjoules) of sessions, installs, signals,
        # downloads
        "session_us": np.zeros(TIER_COUNT, np.int64),
        "session_uj": np.zeros(TIER_COUNT, np.int64),
        "install_us": np.zeros(TIER_COUNT, np.int64),
        "install_uj": np.zeros(TIER_COUNT, np.int64),
        "signal_uj": np.zeros(TIER_COUNT, np.int64),
        "download_uj": np.zeros(TIER_COUNT, np.int64),
        # [tier]: device-rounds in which a device tried to send a signal; [tier, ENERGY_KEYS]: all the energy
        # (microjoules) that these devices spent in those rounds
        "participants": np.zeros(TIER_COUNT, np.int64),
        "participant_uj": np.zeros((TIER_COUNT, len(ENERGY_KEYS)), np.int64),
        "installs": np.zeros(TIER_COUNT, np.int64),
        "devices": np.zeros(TIER_COUNT, np.int64),
        # evaluation sessions by [text, rank - 1 of the true item as the user saw it]
        "text_ranks": np.zeros((evaluation_texts, 20), np.int32),
        # see COHORT_KEYS
        "counts": np.zeros(len(COHORT_KEYS), np.int64),
    }


def add(total: Arrays | None, part: Arrays) -> Arrays:
    """Return the sum of two sets of arrays, key by key; uint32 sums wrap mod 2^32, as masks need."""
    if total is None:
        return {name: array.copy() for name, array in part.items()}
    for name, array in part.items():
        total[name] += array
    return total


def add_all(parts: Iterable[Arrays]) -> Arrays:
    """Return the sum of several sets of arrays with the same keys."""
    total: Arrays | None = None
    for part in parts:
        total = add(total, part)
    return total or {}


@dataclass(frozen=True)
class ShardReport:
    """One shard's answer to one round."""

    server: Arrays
    truth: Arrays

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return both parts under prefixed names, for the wire."""
        return {f"server.{name}": array for name, array in self.server.items()} | {
            f"truth.{name}": array for name, array in self.truth.items()
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ShardReport":
        """Return the report that `arrays()` wrote."""
        parts: dict[str, Arrays] = {"server": {}, "truth": {}}
        for name, array in arrays.items():
            part, _, key = name.partition(".")
            parts[part][key] = array
        return cls(parts["server"], parts["truth"])
