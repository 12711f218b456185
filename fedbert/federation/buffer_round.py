"""What phones do in a window whose reports fill buffers: how long each would be at work, and what it sends.

The schedule is made for the whole fleet (`buffers.py`); a shard says what its phones would take, and is then
told which of them begin, which buffer each report goes to, and how stale it is. A phone weighs its own report
before it is masked, so that a sum of masked reports is the weighted one, and no sum is made of reports of one
staleness alone.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fleet import Flags
from fedbert.devices.network import Transfers
from fedbert.devices.round_end import EndState, drop_out_ends
from fedbert.errors import invalid
from fedbert.federation.buffers import (
    CONCURRENCY_PER_REPORT,
    MOST_A_WINDOW,
    MOST_IN_ALL,
    Tasks,
    staleness_weight,
)
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Arrays, Buffers
from fedbert.federation.round_clock import NEVER_US, US_PER_MS, Course, TakingPart
from fedbert.randomness import Purpose
from fedbert.signals.report import report_sum
from fedbert.signals.signal import Clicks

_TICKETS = 2**53
"""As many as a uniform number has values."""


def concurrency_of(environment: Environment) -> int:
    """Return the phones at work at once; at least one."""
    scenario = environment.scenario
    return scenario.concurrency or CONCURRENCY_PER_REPORT * (scenario.buffer_reports or 1)


def most_buffers(environment: Environment) -> int:
    """Return the most buffers that the rounds of a run can fill; 0 without buffers."""
    size = environment.scenario.buffer_reports
    return 0 if size is None else math.ceil(environment.largest_cohort / size) * environment.scenario.rounds


def check_buffered(environment: Environment) -> None:
    """Raise FedbertError if a run's buffers can never be full, are too many, or are a day's."""
    scenario, mechanism = environment.scenario, environment.mechanism
    size = scenario.buffer_reports
    if size is None:
        return
    if mechanism.gathered(1) != 1:
        rule = f"be left out with mechanism {mechanism.name!r}, which opens several rounds as one sum"
        raise invalid("buffer_reports", size, rule, "add --mechanism poisson")
    cohort = mechanism.round_rate * scenario.devices
    if size > cohort * scenario.rounds:
        rule = f"be <= {cohort * scenario.rounds:,.0f}, all that {scenario.rounds} rounds ask"
        raise invalid("buffer_reports", size, rule, "lower it, or raise --devices or --sampling-probability")
    least = math.ceil(cohort * max(1 / MOST_A_WINDOW, scenario.rounds / MOST_IN_ALL))
    if size < least:
        rule = (
            f"be >= {least:,}, so that {scenario.rounds} rounds of {cohort:,.0f} devices fill fewer buffers"
        )
        raise invalid("buffer_reports", size, rule, "raise it")


def tasks_of(phones: Phones, course: Course, round_: int) -> Tasks:
    """Return how long each phone that a window may ask would be at work.

    All phones fetch a release that they lack from the window's opening on, asked or not. A transfer that
    fails holds the phone's place to its end. So does a phone that drops out, until its report would be made:
    an assumption, since a server learns of it late or never.
    """
    rows = np.flatnonzero(course.asked)
    report_ms, install_ms = np.zeros(len(course.asked)), course.work_ms.copy()
    report_ms[course.sending] = phones.making_ms(course.sending)
    install_ms[course.sending] -= report_ms[course.sending]
    dropped = np.flatnonzero(course.dropped & course.asked)
    report_ms[dropped] = phones.making_ms(dropped)
    uniform = phones.devices.chosen(rows).uniforms(Purpose.QUEUE, round_, 1)[:, 0]
    ready_us, send_us, busy_us = (
        np.rint(time_ms[rows] * US_PER_MS).astype(np.int64)
        for time_ms in (course.download_ms + install_ms, report_ms, report_ms + course.upload_ms)
    )
    return Tasks(
        device=phones.devices.first + rows,
        ticket=(uniform * _TICKETS).astype(np.int64),
        ready_us=np.maximum(ready_us, 0),
        send_us=send_us,
        busy_us=np.maximum(busy_us, send_us + 1),
        comes=course.arrival_us[rows] != NEVER_US,
    )


def told(buffers: Buffers | None, first: int, count: int) -> tuple[dict[str, Any], Arrays]:
    """Return header and arrays that tell the shard of devices `first` .. `first + count - 1` of `buffers`."""
    if buffers is None:
        return {}, {}
    here = slice(*np.searchsorted(buffers.device, [first, first + count]).tolist())
    columns = ("device", "place", "staleness")
    return {"buffers": buffers.count}, {f"buffers.{name}": getattr(buffers, name)[here] for name in columns}


def buffers_told(header: Mapping[str, Any], arrays: Arrays) -> Buffers | None:
    """Return what `told` told of a round's buffers; None if it fills none."""
    if "buffers" not in header:
        return None
    device, place, staleness = (arrays[f"buffers.{name}"] for name in ("device", "place", "staleness"))
    return Buffers(int(header["buffers"]), device, place, staleness)


def begun_course(course: Course, begun: Flags) -> Course:
    """Return a course in which only phones that have `begun` [device] send; releases go to all the same."""
    sending = begun[course.sending]
    return replace(
        course,
        asked=course.asked & begun,
        sending=course.sending[sending],
        sent=_some(course.sent, sending),
    )


def _some(transfers: Transfers, chosen: Flags) -> Transfers:
    return Transfers(
        transfers.succeeded[chosen],
        transfers.time_ms[chosen],
        transfers.attempts[chosen],
        transfers.moved_bytes[chosen],
        transfers.energy_mj[chosen],
    )


def places_of(phones: Phones, buffers: Buffers) -> tuple[Flags, NDArray[np.int64], NDArray[np.int64]]:
    """Return who begins, its report's place among the sums (-1: none), its staleness: `[device]`."""
    devices = phones.devices
    low, high = np.searchsorted(buffers.device, [devices.first, devices.end])
    rows = buffers.device[low:high] - devices.first
    begun = np.zeros(devices.count, np.bool_)
    place, staleness = np.full(devices.count, -1, np.int64), np.zeros(devices.count, np.int64)
    begun[rows], place[rows], staleness[rows] = True, buffers.place[low:high], buffers.staleness[low:high]
    return begun, place, staleness


def by_buffers(phones: Phones, course: Course, place: NDArray[np.int64], round_: int) -> TakingPart:
    """Return how a window goes for phones whose reports go to the buffers `place` [device], -1 to none."""
    fate = phones.devices.uniforms(Purpose.PARTICIPATION, 2 * round_, 2)[:, 1]
    ends = np.where(place >= 0, EndState.DONE, EndState.LATE).astype(np.int8)
    ends[course.dropped] = drop_out_ends(fate[course.dropped])
    nobody = np.zeros(len(place), np.bool_)
    return TakingPart(course.joined, course.asked, course.sending, course.sent, place >= 0, nobody, ends)


def buffer_sums(
    environment: Environment,
    clicks: Clicks,
    place: NDArray[np.int64],
    staleness: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """Return the weighted sums `[count * size]` of the reports of `clicks`, one a buffer, in a row.

    `place` and `staleness` are `[report]`.
    """
    layout = environment.layout
    total = np.zeros((count, layout.size), np.int64)
    weight = staleness_weight(staleness)
    for number in np.unique(place).tolist():
        here = np.flatnonzero(place == number)
        some = _chosen(clicks, here)
        total[number] += report_sum(environment.signal, layout, some, weight[here])
    return total.reshape(-1)


def _chosen(clicks: Clicks, rows: NDArray[Any]) -> Clicks:
    return replace(clicks, text=clicks.text[rows], item=clicks.item[rows], rank=clicks.rank[rows])
