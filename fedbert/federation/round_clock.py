"""Who takes part in a round, and the clock inside it: when each report would come, and how that ends.

A round without a clock takes every report of its window (`whole_round`). One that closes by the clock asks at
its opening, all at once. A phone that is asked first fetches the release that it lacks and installs it, then
makes its report and sends it:

    arrival = download + install + making the report + upload                                    ms, modelled

Download and upload are those of its links (`devices/network.py`), install and report those of its little
core (`devices/cost_model.py`, `devices/report_time.py`). A report counts if it has come when the round is
closed: at the deadline, or with the last report that it wants, whichever is first. Drop-outs end as in
`devices/round_end.py`. Who comes when follows from traffic alone: an install takes the time of a full
history, so that no arrival says anything of clicks (`privacy/displacement.py`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import Availability, interruption_causes, interruptions
from fedbert.devices.fleet import Flags, Floats, Integers
from fedbert.devices.network import UPLOAD_DEADLINE_MS, Transfers, may_upload, transfer_uniforms, upload
from fedbert.devices.round_end import EndState, drop_out_ends
from fedbert.errors import invalid
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Closing, RoundOrder
from fedbert.randomness import Purpose
from fedbert.units import MS_PER_S

US_PER_MS = 1_000.0
US_PER_S = US_PER_MS * MS_PER_S

NEVER_US = np.iinfo(np.int64).max
"""Arrival of a report that does not come."""


@dataclass(frozen=True)
class TakingPart:
    """How a round goes for a block's devices; arrays are `[device]` but for `sending` and its `sent` [row].

    `eligible` devices are those of `joined` that are asked; what `ends` says of others means nothing.
    """

    joined: Flags
    eligible: Flags
    sending: Integers
    sent: Transfers
    completed: Flags
    pushed_out: Flags
    """Late for a target of reports, but not for the deadline: others' earlier reports kept theirs out."""
    ends: NDArray[np.int8]
    """`EndState`, of a round with a clock."""


@dataclass(frozen=True)
class Course:
    """What a round asks of a block's devices, and when each would have reported; arrays are `[device]`.

    `fetching` and `sending` are rows of devices, `fetched` and `sent` how their transfers go.
    """

    joined: Flags
    asked: Flags
    dropped: Flags
    fetching: Integers
    fetched: Transfers
    sending: Integers
    sent: Transfers
    download_ms: Floats
    work_ms: Floats
    upload_ms: Floats
    arrival_us: Integers
    """Microseconds from the round's opening; `NEVER_US` for who sends nothing or fails to."""


def deadline_us(environment: Environment) -> int:
    """Return when a round closes if the reports that it wants have not come."""
    return round(environment.scenario.effective_deadline_s * US_PER_S)


def course_of(phones: Phones, waiting: Flags, installed: NDArray[np.int16], order: RoundOrder) -> Course:
    """Return the course of a round for `phones`, with their memory of `waiting` and `installed` [device]."""
    scenario, devices, round_ = phones.scenario, phones.devices, order.round
    joined = phones.joining(waiting, round_)
    state = phones.availability(round_)
    asked = joined & may_upload(state, scenario.metered)
    fetching, fetched = phones.downloads(round_, installed != phones.wanted_release(order.newest_release))
    download_ms, work_ms, upload_ms = (np.zeros(devices.count) for _ in range(3))
    download_ms[fetching] = fetched.time_ms
    arrived = fetching[fetched.succeeded]
    work_ms[arrived] = _install_ms(phones, arrived)
    dropped = interruption_causes(devices, round_, scenario.availability).dropped & asked
    able = asked & ~dropped
    able[fetching[~fetched.succeeded]] = False
    sending, sent = _uploads(phones, state, able, round_)
    work_ms[sending] += phones.making_ms(sending)
    upload_ms[sending] = sent.time_ms
    arrival_us = np.full(devices.count, NEVER_US)
    came = sending[sent.succeeded]
    total_ms = download_ms[came] + work_ms[came] + upload_ms[came]
    arrival_us[came] = np.rint(total_ms * US_PER_MS).astype(np.int64)
    return Course(
        joined,
        asked,
        dropped,
        fetching,
        fetched,
        sending,
        sent,
        download_ms,
        work_ms,
        upload_ms,
        arrival_us,
    )


def by_clock(phones: Phones, course: Course, order: RoundOrder) -> TakingPart:
    """Return how a round goes that takes no more reports once it has closed."""
    devices, closing = phones.devices, order.closing
    if closing is None:
        raise ValueError("a round with a clock must say when it closes")
    number, arrival = devices.first + np.arange(devices.count), course.arrival_us
    taken = (arrival < closing.last_us) | ((arrival == closing.last_us) & (number <= closing.last_device))
    # The second of two numbers, as `fitting.participation` draws them: the first is a time that it has no
    # phones for.
    fate = devices.uniforms(Purpose.PARTICIPATION, 2 * order.round, 2)[:, 1]
    ends = np.where(taken, EndState.DONE, EndState.LATE).astype(np.int8)
    ends[course.dropped] = drop_out_ends(fate[course.dropped])
    return TakingPart(
        joined=course.joined,
        eligible=course.asked,
        sending=course.sending,
        sent=course.sent,
        completed=taken,
        pushed_out=~taken & (arrival <= deadline_us(phones.environment)),
        ends=ends,
    )


def whole_round(phones: Phones, waiting: Flags, round_: int) -> TakingPart:
    """Return how a round goes that takes every report of its window; a few are late by chance."""
    scenario, devices = phones.scenario, phones.devices
    joined = phones.joining(waiting, round_)
    state = phones.availability(round_)
    eligible = joined & may_upload(state, scenario.metered)
    rows = np.flatnonzero(eligible)
    broken = interruptions(devices.chosen(rows), round_, scenario.availability)
    completed = eligible.copy()
    completed[rows[broken]] = False
    sending, sent = _uploads(phones, state, completed, round_)
    completed[sending] = sent.succeeded
    nobody = np.zeros(devices.count, np.bool_)
    return TakingPart(joined, eligible, sending, sent, completed, nobody, np.zeros(devices.count, np.int8))


def _uploads(phones: Phones, state: Availability, able: Flags, round_: int) -> tuple[Integers, Transfers]:
    """Return the rows of who is `able` [device] to send its report in a round, and how that goes."""
    environment, sending = phones.environment, np.flatnonzero(able)
    return sending, upload(
        environment.links,
        phones.network(sending),
        state.unmetered[sending],
        environment.layout.bytes_up,
        transfer_uniforms(phones.devices.chosen(sending), Purpose.UPLOAD, round_),
        UPLOAD_DEADLINE_MS,
    )


def _install_ms(phones: Phones, rows: Integers) -> Floats:
    """Return the time of installing a release with a full history of texts of mean length."""
    history = phones.scenario.history_length
    costs = phones.install_costs(rows, lambda size, _: round(history * size.mean_text_tokens), history)
    return costs.time_ms


def first_arrivals(
    arrival_us: Integers, devices: Integers, most: int, until_us: int
) -> tuple[Integers, Integers]:
    """Return (arrival, device) of the first `most` reports that come by `until_us`, in their order.

    Of reports that come at once the device with the lower number is first.
    """
    came = np.flatnonzero(arrival_us <= until_us)
    order = np.lexsort((devices[came], arrival_us[came]))[:most]
    return arrival_us[came][order], devices[came][order]


def closing_of(arrival_us: Integers, devices: Integers, target: int | None, until_us: int) -> Closing:
    """Return when a round closes: with the first `target` reports, or at `until_us`; None waits till then."""
    if target is not None:
        times, who = first_arrivals(arrival_us, devices, target, until_us)
        if len(times) == target:
            return Closing(int(times[-1]), int(who[-1]))
    return Closing(until_us)


def check_clock(environment: Environment) -> None:
    """Raise FedbertError if no phone can meet the deadline, or if no round can have the reports it wants."""
    scenario, mechanism = environment.scenario, environment.mechanism
    target, cohort = scenario.target_reports, mechanism.round_rate * scenario.devices
    if target is not None and target > cohort:
        raise invalid(
            "target_reports",
            target,
            f"be <= the cohort of a round, {cohort:,.0f} of {scenario.devices:,} devices",
            "lower it, or raise --devices or --sampling-probability",
        )
    if target is not None and mechanism.gathered(1) == 1 and target < scenario.min_reports:
        rule = f"be >= min_reports (= {scenario.min_reports}): every round would be held"
        raise invalid("target_reports", target, rule, "raise it, or lower --min-reports")
    if scenario.round_deadline_s is not None:
        least_s = _fastest_s(environment)
        if scenario.round_deadline_s < least_s:
            # Rounded up: who types it must not be refused again.
            least = f"{least_s + 0.005:.2f}"
            rule = f"be >= {least}, what the fastest of {_tried(environment):,} phones needs to report"
            raise invalid("round_deadline_s", scenario.round_deadline_s, rule, "raise it")


_MOST_TRIED = 16_384
"""Phones among which the fastest is sought."""


def _tried(environment: Environment) -> int:
    return min(environment.scenario.devices, _MOST_TRIED)


def _fastest_s(environment: Environment) -> float:
    """Return the least time to a report among the first phones, each able, on its Wi-Fi and up to date.

    Infinite if every transfer fails.
    """
    phones = Phones(environment, DeviceRange(environment.scenario.seed, 0, _tried(environment)))
    yes = np.ones(phones.devices.count, np.bool_)
    rows, sent = _uploads(phones, Availability(yes, yes, yes, yes), yes, 1)
    total_ms = (phones.making_ms(rows) + sent.time_ms)[sent.succeeded]
    return float(total_ms.min(initial=np.inf)) / MS_PER_S
