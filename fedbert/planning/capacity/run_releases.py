"""The releases of a run as it made them: when each was due, whether the gate let it, what was fetched before.

How many releases a run makes is an outcome: at the times when one is due, a gate holds what is no better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.intervals import Array
from fedbert.results import RoundRow
from fedbert.units import HOURS_PER_DAY

UNJUDGED = "on schedule, unjudged"
"""What it says of a release of a run that trains nothing (`fedbert.federation.timing_server`)."""


@dataclass(frozen=True)
class RunReleases:
    """When releases were due in a run, and what became of them."""

    due_hours: Array  # [due] hours since the run began
    made: NDArray[np.bool_]  # [due]
    judged: bool  # whether a gate decided
    early_downloads: Array  # [24] downloads by local hour up to the first release: of release 0


def run_releases(
    rounds: Sequence[RoundRow], release_every: int, round_hours: float, gathered: Callable[[int], int]
) -> RunReleases:
    """Return the releases of a run's `rounds`, from round 1 on.

    One is due at a round that opens another of which it is due; `gathered` says how many a round opens
    (`fedbert.privacy.mechanism.Mechanism`).
    """
    due: list[float] = []
    made: list[bool] = []
    early = np.zeros(int(HOURS_PER_DAY))
    for row in rounds:
        if not any(made):
            early += row["downloads"] * window_hours(row["hour"], round_hours) / round_hours
        released = bool(row["released"])
        number = row["round"]
        if released or number // release_every != (number - gathered(number)) // release_every:
            due.append(number * round_hours)
            made.append(released)
    judged = any(row["released"] and row["gate"] != UNJUDGED for row in rounds)
    return RunReleases(np.array(due), np.array(made, np.bool_), judged, early)


def releases_made(releases: RunReleases, rng: np.random.Generator, rows: int) -> NDArray[np.bool_]:
    """Return `[draw, due]` which releases are made; row 0 has those of the run.

    In the others each is made with one chance, drawn from Jeffreys' posterior of what the gate let through.
    """
    due, let = len(releases.made), int(releases.made.sum())
    if not releases.judged:
        return np.repeat(releases.made[None, :], rows, axis=0)
    chance = rng.beta(let + 0.5, due - let + 0.5, rows)
    drawn = rng.uniform(size=(rows, due)) < chance[:, None]
    drawn[0] = releases.made
    return np.asarray(drawn, np.bool_)


def window_hours(end_hour: float, length_hours: float) -> Array:
    """Return how many hours of the window that ends at local `end_hour` lie in each local hour, `[24]`."""
    edges = np.arange(int(HOURS_PER_DAY) + 1, dtype=np.float64)
    overlap = np.zeros(int(HOURS_PER_DAY))
    end = end_hour % HOURS_PER_DAY or HOURS_PER_DAY
    for shift in (0.0, HOURS_PER_DAY):
        first, last = end - length_hours + shift, end + shift
        overlap += np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0.0, None)
    return overlap
