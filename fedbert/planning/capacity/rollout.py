"""How a release reaches the fleet when bandwidth is limited: a fluid model in steps of five minutes.

A device behind asks for the release at a rate that follows the local hour and differs between devices
(`fetch_fit.py`); it then waits until the cap has room for it. A device that has a release when the next one
comes is behind again; one that waits gets the newest. Devices of several time zones, or of several stages of
a roll-out, wait in one queue.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.intervals import Array
from fedbert.planning.capacity.fetch_fit import still_behind
from fedbert.planning.capacity.world import World
from fedbert.units import BITS_PER_BYTE, HOURS_PER_DAY

STEP_MINUTES = 5
STEPS_PER_HOUR = 60 // STEP_MINUTES
STEPS_PER_DAY = 24 * STEPS_PER_HOUR
STEP_S = 60.0 * STEP_MINUTES

MOST_WEEKS = 8
"""Weeks that a usual week is the mean of at most, where releases do not fall on the same hours of each."""


@dataclass(frozen=True)
class Groups:
    """Parts of the fleet that are offered a release at another time, or whose clocks are ahead; `[group]`."""

    share: Array  # of the devices, sum 1
    ahead: NDArray[np.int64]  # steps that their clocks are ahead of the server's
    begin: NDArray[np.int64]  # steps after a release at which it is offered to them


ALL = Groups(np.ones(1), np.zeros(1, np.int64), np.zeros(1, np.int64))
"""The whole fleet, alike."""


def groups_of(world: World) -> Groups:
    """Return a group for each zone and stage: which phones are in a stage is drawn without regard to zone."""
    if not world.zones and not world.stages:
        return ALL
    zones = [(zone.share, round(zone.offset_hours * STEPS_PER_HOUR)) for zone in world.zones] or [(1.0, 0)]
    begins = [round(hours * STEPS_PER_HOUR) for hours in world.stage_hours]
    until = [stage.share for stage in world.stages] or [1.0]
    shares = np.diff([0.0, *until])
    return Groups(
        np.array([zone * stage for zone, _ in zones for stage in shares]),
        np.array([ahead for _, ahead in zones for _ in begins]),
        np.array([begin for _ in zones for begin in begins]),
    )


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
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    release_hour: float,
    days: float,
    groups: Groups = ALL,
) -> Rollout:
    """Return the roll-out of one release to `devices`, followed for `days`.

    Args:
        devices: how many will fetch it in the end (the control group left out).
        capacity: devices that can be served in a step, see `per_step`.
        fetch_rate: `[draw, hour]` fetches an hour of a device behind, by local hour of a day or week.
        frailty: `[draw, 2]` share of the devices that seldom ask, and their rate over that of the others.
        release_hour: hour of the release, by the server's clock; of a week it is a Monday's.
        days: length of the calculation.
        groups: parts of the fleet that differ in time zone or stage.
    """
    first = round(release_hour * STEPS_PER_HOUR)
    span = range(first, first + round(days * STEPS_PER_DAY))
    offers = _offers(_for_all(fetch_rate, [first]), groups)
    served, _ = _serve(devices, capacity, fetch_rate, frailty, offers, span, groups)
    return _followed(served)


def reached_by_group(
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    release_hour: float,
    hours: float,
    groups: Groups,
) -> Array:
    """Return `[group, draw]` devices that have a release after `hours`; the rest is as for `roll_out`."""
    first = round(release_hour * STEPS_PER_HOUR)
    span = range(first, first + round(hours * STEPS_PER_HOUR))
    offers = _offers(_for_all(fetch_rate, [first]), groups)
    _, by_group = _serve(devices, capacity, fetch_rate, frailty, offers, span, groups)
    return np.asarray(by_group.sum(axis=1))


def roll_back(
    had: Array,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    release_hour: float,
    span_hours: tuple[float, float],
    groups: Groups,
) -> Rollout:
    """Return how those who `had` `[group, draw]` a release fetch the former one, from its recall on.

    They are the quicker ones: whoever asked within the exposure L1 of their group and has not asked again
    after another L2 is (S(L2) - S(L1 + L2)) / (1 - S(L1)) of them, S as `still_behind`. `span_hours` are
    those from the release to the recall and to the end of the calculation.
    """
    first, recall, end = (round((release_hour + hours) * STEPS_PER_HOUR) for hours in (0.0, *span_hours))
    alike = Groups(np.ones(len(groups.share)), groups.ahead, np.zeros_like(groups.begin))
    step_rate = fetch_rate.T / STEPS_PER_HOUR
    past = np.zeros(had.shape)
    for group, (ahead, begin) in enumerate(zip(groups.ahead, groups.begin, strict=True)):
        offered = np.arange(first + begin, recall) + ahead
        past[group] = step_rate[offered // STEPS_PER_HOUR % len(step_rate)].sum(axis=0)
    offers = {recall: np.ones(had.shape, np.bool_)}
    served, _ = _serve(had, capacity, fetch_rate, frailty, offers, range(recall, end), alike, past)
    return _followed(served)


def _followed(served: Array) -> Rollout:
    """Return the roll-out of what was `served` `[draw, step]`."""
    return Rollout(np.concatenate([np.zeros((len(served), 1)), np.cumsum(served, axis=1)], axis=1), served)


def usual_day(
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    release_hour: float,
    releases: float,
    groups: Groups = ALL,
) -> Array:
    """Return `[draw, step]` devices served in each step of a mean day with `releases` a day, from midnight.

    The last of the days calculated that make a whole number of releases, after as many days of start-up. With
    fetch rates of a week it is a mean week, from Monday.
    """
    offers, start_up, steps = _usual_offers(fetch_rate, release_hour, releases, groups)
    served, _ = _serve(devices, capacity, fetch_rate, frailty, offers, range(steps), groups)
    last = served[:, start_up:]
    return np.asarray(last.reshape(len(last), -1, _period(fetch_rate)).mean(axis=1))


def usual_by_group(
    devices: float,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    release_hour: float,
    releases: float,
    groups: Groups = ALL,
) -> Array:
    """Return `[group, hour, draw]` devices served in the days of `usual_day`, by local hour of the group."""
    offers, start_up, steps = _usual_offers(fetch_rate, release_hour, releases, groups)
    all_days, before = (
        _serve(devices, capacity, fetch_rate, frailty, offers, range(end), groups)[1]
        for end in (steps, start_up)
    )
    return np.asarray(all_days - before)


def _period(fetch_rate: Array) -> int:
    """Return the steps of the day or week whose hours the rates are of."""
    return int(fetch_rate.shape[1]) * STEPS_PER_HOUR


def _usual_offers(
    fetch_rate: Array, release_hour: float, releases: float, groups: Groups
) -> tuple[dict[int, NDArray[np.bool_]], int, int]:
    """Return a usual day's offers by step, the steps of its start-up, and those of all of its calculation."""
    gap, period = STEPS_PER_DAY / releases, _period(fetch_rate)
    days = _days_of(gap, period)
    first = round(release_hour * STEPS_PER_HOUR) % STEPS_PER_DAY
    # Before the last stage of a release has begun, nothing is as usual.
    start_up = _whole(2 * days, period) + _whole(int(groups.begin.max()) / STEPS_PER_DAY, period)
    steps = (start_up + days) * STEPS_PER_DAY
    at = [first + round(number * gap) for number in range(int((steps - first) / gap) + 1)]
    return _offers(_for_all(fetch_rate, at), groups), start_up * STEPS_PER_DAY, steps


def _days_of(gap: float, period: int) -> int:
    """Return the days of a calculation that hold about a whole number of releases, `gap` steps apart."""
    if period == STEPS_PER_DAY:
        return max(1, round(gap / STEPS_PER_DAY))

    def off(weeks: int) -> tuple[float, int]:
        releases = weeks * period / gap
        return round(abs(releases - max(1, round(releases))) / releases, 6), weeks

    return min(range(1, MOST_WEEKS + 1), key=off) * (period // STEPS_PER_DAY)


def _whole(days: float, period: int) -> int:
    """Return days, as whole days or weeks."""
    each = period // STEPS_PER_DAY
    return int(-(-days // each) * each)


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
    span = range(round(hours * STEPS_PER_HOUR))
    return _serve(devices, capacity, fetch_rate, frailty, _offers(at, ALL), span, ALL)[0]


def by_hour(served: Array, hours: float, period: int = int(HOURS_PER_DAY)) -> Array:
    """Return `[draw, period]` by hour of the mean day, or of the mean week if `period` is its hours.

    `served` `[draw, step]` is of `hours` from midnight.
    """
    missing = -served.shape[1] % (period * STEPS_PER_HOUR)
    whole = np.pad(served, ((0, 0), (0, missing)))
    found = whole.reshape(len(served), -1, period, STEPS_PER_HOUR).sum(axis=(1, 3))
    return np.asarray(found * (period / hours), np.float64)


def _for_all(fetch_rate: Array, steps: Iterable[int]) -> dict[int, NDArray[np.bool_]]:
    """Return releases that every draw makes, by step."""
    return {step: np.ones(len(fetch_rate), np.bool_) for step in steps}


def _offers(releases_at: Mapping[int, NDArray[np.bool_]], groups: Groups) -> dict[int, NDArray[np.bool_]]:
    """Return by step which groups are offered a release in which draws `[group, draw]`."""
    found: dict[int, NDArray[np.bool_]] = {}
    for step, made in releases_at.items():
        for begin in set(groups.begin.tolist()):
            offered = (groups.begin == begin)[:, None] & made[None, :]
            found[step + begin] = found.get(step + begin, False) | offered
    return found


def _serve(
    devices: float | Array,
    capacity: float,
    fetch_rate: Array,
    frailty: Array,
    offers: Mapping[int, NDArray[np.bool_]],
    span: range,
    groups: Groups,
    past: Array | None = None,
) -> tuple[Array, Array]:
    """Return `[draw, step]` devices served in each step of `span`, and `[group, hour, draw]` of them.

    Steps count from a midnight of the server's clock. `offers` `[group, draw]` says by step who is offered a
    release then. The queue is one for all groups: those who wait are served alike. With `past`
    `[group, draw]` all devices are such as asked within that exposure before.
    """
    served = np.zeros((len(fetch_rate), len(span)))
    step_rate = np.ascontiguousarray(fetch_rate.T / STEPS_PER_HOUR)
    of_group = groups.share[:, None] * devices
    everyone = np.arange(len(groups.share))
    hours = (np.asarray(span)[:, None] + groups.ahead) // STEPS_PER_HOUR % len(step_rate)  # [step, group]
    by_group = np.zeros((len(everyone), *step_rate.shape))
    nothing: Array = np.zeros((len(everyone), len(fetch_rate)))
    # Of all devices, those who had not asked in the past.
    slower = nothing if past is None else still_behind(past, frailty)
    exposure, queue = nothing, nothing
    not_asked, asking = nothing, nothing  # share that has not asked yet, of `asking` devices at the release
    for place, now in enumerate(span):
        if now in offers:
            made = offers[now]
            exposure, not_asked = np.where(made, 0.0, exposure), np.where(made, 1.0, not_asked)
            asking = np.where(made, of_group - queue, asking)
        exposure = exposure + step_rate[hours[place]]
        still = still_behind(exposure, frailty)
        if past is not None:
            later = still_behind(past + exposure, frailty)
            still = (still - later) / np.where(slower < 1, 1 - slower, 1.0)
        still = np.minimum(not_asked, still)
        queue = queue + asking * (not_asked - still)
        not_asked = still
        if len(everyone) == 1:
            done = np.minimum(queue, capacity)
            served[:, place] = done[0]
        else:
            waiting = queue.sum(axis=0)
            served[:, place] = np.minimum(waiting, capacity)
            done = served[:, place] * (queue / np.where(waiting > 0, waiting, 1.0))
            by_group[everyone, hours[place]] += done
        queue = queue - done
    if len(everyone) == 1:
        np.add.at(by_group[0], hours[:, 0], served.T)
    return served, by_group


def time_to_share(rollout: Rollout, devices: float | Array, share: float) -> Array:
    """Return `[draw]` hours until `share` of `devices` have the release; infinite if never."""
    wanted = np.broadcast_to(share * np.asarray(devices, np.float64), len(rollout.reached))
    enough = rollout.reached >= wanted[:, None] * (1 - 1e-12)
    first = np.argmax(enough, axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(first))
    low, high = rollout.reached[rows, before], rollout.reached[rows, first]
    part = np.where(high > low, (wanted - low) / np.where(high > low, high - low, 1.0), 0.0)
    return np.where(enough.any(axis=1), (before + np.clip(part, 0, 1)) / STEPS_PER_HOUR, np.inf)
