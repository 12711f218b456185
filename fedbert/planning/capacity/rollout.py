"""How a release reaches the fleet when bandwidth is limited: a fluid model in steps of five minutes.

A device behind asks for the release at a rate that follows the local hour and differs between devices
(`fetch_fit.py`); it then waits its turn, first come first served, until the cap has room for it. A
device that has a release when the next one comes is behind again; one that waits gets the newest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.intervals import Array
from fedbert.planning.capacity.fetch_fit import still_behind
from fedbert.units import BITS_PER_BYTE

STEP_MINUTES = 5
STEPS_PER_HOUR = 60 // STEP_MINUTES
STEPS_PER_DAY = 24 * STEPS_PER_HOUR
STEP_S = 60.0 * STEP_MINUTES


@dataclass(frozen=True)
class Rollout:
    """One release by time, from its hour on."""

    reached: Array  # [draw, step + 1] devices that have the release; column 0 is the release's moment
    served: Array  # [draw, step] devices served in the step


def bits_per_s(devices: float, bytes_each: float, seconds: float) -> float:
    """Return the bandwidth that brings `bytes_each` to each of `devices` within `seconds`."""
    return devices * bytes_each * BITS_PER_BYTE / seconds


def per_step(cap_bits_per_s: float, bytes_each: float) -> float:
    """Return how many devices a bandwidth cap serves in one step; the cap may be infinite."""
    return cap_bits_per_s * STEP_S / (bytes_each * BITS_PER_BYTE)


def roll_out(
    devices: float, capacity: float, fetch_rate: Array, frailty: Array, release_hour: float, days: int
) -> Rollout:
    """Return the roll-out of one release to `devices`, followed for `days`.

    Args:
        devices: how many will fetch it in the end (the control group left out).
        capacity: devices that can be served in a step, see `per_step`.
        fetch_rate: `[draw, 24]` fetches an hour of a device behind, by local hour.
        frailty: `[draw, 2]` share of the devices that seldom ask, and their rate over that of the others.
        release_hour: local hour of the release.
        days: length of the calculation.
    """
    first = round(release_hour * STEPS_PER_HOUR)
    served = _serve(devices, capacity, fetch_rate, frailty, _for_all(fetch_rate, [first]), days)
    reached = np.concatenate([np.zeros((len(served), 1)), np.cumsum(served, axis=1)], axis=1)
    return Rollout(reached, served)


def usual_day(
    devices: float, capacity: float, fetch_rate: Array, frailty: Array, release_hour: float, releases: float
) -> Array:
    """Return `[draw, step]` devices served in each step of a mean day with `releases` a day, from midnight.

    The last of the days calculated that make a whole number of releases, after as many days of start-up.
    """
    gap = STEPS_PER_DAY / releases
    days = max(1, round(gap / STEPS_PER_DAY))
    first = round(release_hour * STEPS_PER_HOUR) % STEPS_PER_DAY
    start_up = 2 * days
    steps = (start_up + days) * STEPS_PER_DAY
    at = [first + round(number * gap) for number in range(int((steps - first) / gap) + 1)]
    releases_at = _for_all(fetch_rate, at)
    served = _serve(devices, capacity, fetch_rate, frailty, releases_at, start_up + days, True)
    last = served[:, start_up * STEPS_PER_DAY :]
    return np.asarray(last.reshape(len(last), days, STEPS_PER_DAY).mean(axis=1))


def scheduled(
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    due_hours: Array,
    made: NDArray[np.bool_],
    hours: float,
) -> Array:
    """Return `[draw, step]` devices served in `hours` from midnight, without any release before.

    A release is `made` `[draw, due]` or not at each of `due_hours`; the rest is as for `roll_out`.
    """
    at = {round(hour * STEPS_PER_HOUR): made[:, place] for place, hour in enumerate(due_hours)}
    steps = round(hours * STEPS_PER_HOUR)
    days = -(-steps // STEPS_PER_DAY)
    return _serve(devices, capacity, fetch_rate, frailty, at, days, True)[:, :steps]


def by_hour_of_day(served: Array, hours: float) -> Array:
    """Return `[draw, 24]` the mean day of what was `served` `[draw, step]` in `hours` from midnight."""
    missing = -served.shape[1] % STEPS_PER_DAY
    whole = np.pad(served, ((0, 0), (0, missing)))
    by_hour = whole.reshape(len(served), -1, 24, STEPS_PER_HOUR).sum(axis=(1, 3))
    return np.asarray(by_hour * (24 / hours), np.float64)


def _for_all(fetch_rate: Array, steps: Sequence[int]) -> dict[int, NDArray[np.bool_]]:
    """Return releases that every draw makes, by step."""
    return {step: np.ones(len(fetch_rate), np.bool_) for step in steps}


def _serve(
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    releases_at: Mapping[int, NDArray[np.bool_]],
    days: int,
    from_midnight: bool = False,
) -> Array:
    """Return `[draw, step]` devices served; steps count from midnight or from the first release.

    `releases_at` says by step which draws make a release then.
    """
    first = 0 if from_midnight else min(releases_at)
    steps = days * STEPS_PER_DAY
    served = np.zeros((len(fetch_rate), steps))
    step_rate = fetch_rate / STEPS_PER_HOUR
    nothing: Array = np.zeros(len(fetch_rate))
    exposure, queue = nothing, nothing
    not_asked, asking = nothing, nothing  # share that has not asked yet, of `asking` devices at the release
    for step in range(steps):
        now = first + step
        if now in releases_at:
            made = releases_at[now]
            exposure, not_asked = np.where(made, 0.0, exposure), np.where(made, 1.0, not_asked)
            asking = np.where(made, devices - queue, asking)
        exposure = exposure + step_rate[:, now // STEPS_PER_HOUR % 24]
        still = np.minimum(not_asked, still_behind(exposure, frailty))
        queue = queue + asking * (not_asked - still)
        not_asked = still
        served[:, step] = np.minimum(queue, capacity)
        queue = queue - served[:, step]
    return served


def time_to_share(rollout: Rollout, devices: float, share: float) -> Array:
    """Return `[draw]` hours until `share` of `devices` have the release; infinite if never."""
    enough = rollout.reached >= share * devices * (1 - 1e-12)
    first = np.argmax(enough, axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(first))
    low, high = rollout.reached[rows, before], rollout.reached[rows, first]
    part = np.where(high > low, (share * devices - low) / np.where(high > low, high - low, 1.0), 0.0)
    return np.where(enough.any(axis=1), (before + np.clip(part, 0, 1)) / STEPS_PER_HOUR, np.inf)
