"""How the sessions of one round end where a server takes the first reports that come. Modelled.

A server that needs K reports selects more devices, 130 % in Bonawitz et al. 2019 ("Towards federated learning
at scale"), and closes the round when K reports are in or its time is up; what comes later is rejected. They
saw 75 % of sessions done, 22 % rejected as late and 2 % interrupted, in rounds of two to three minutes, while
6-10 % of devices dropped out. Both can be true of one fleet only if most drop-outs are not lost for good. So
a drop-out ends here in one of three ways: its user takes the phone (interrupted), it never comes back
(dropped), or its connection returns after the round has closed and its report is rejected as late. That
reading is an assumption.

Times are drawn here from one log-normal. The rounds of a run that closes by the clock take theirs from the
phones' own links and processors (`federation/round_clock.py`). This module is for the check in
`docs/devices.md`, and for planning a server whose phones train for minutes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import interruption_causes
from fedbert.devices.fleet import Flags, Floats, lognormal
from fedbert.devices.round_end import INTERRUPTED_SHARE, LOST_SHARE, EndState, drop_out_ends
from fedbert.errors import invalid
from fedbert.randomness import Purpose, uniforms


@dataclass(frozen=True)
class SessionParameters:
    """How long sessions take and how drop-outs end; see `scripts/calibrate_availability.py`."""

    median_s: float = 94.4
    """Found: median time from selection to report: download, training, upload and waiting in one."""
    sigma: float = 0.5
    """Assumed: log-normal spread of that time over the devices of a round."""
    round_sigma: float = 0.253
    """Found: log-normal spread of the median over rounds (their hour, their devices)."""
    limit_s: float = 180.0
    """A round closes after three minutes, the longest of Bonawitz et al., also with too few reports."""
    interrupted_share: float = INTERRUPTED_SHARE
    """Found: drop-outs that are interruptions."""
    lost_share: float = LOST_SHARE
    """Found: drop-outs that are not heard of again; all others come back too late."""


SESSIONS = SessionParameters()


class RoundEnd(NamedTuple):
    """The end of one round: `EndState` of each cohort device `[device]`, and when it closed (s)."""

    state: NDArray[np.int8]
    closed_s: float


def end_states(
    finish_s: Floats, dropped: Flags, fate: Floats, reports: int, parameters: SessionParameters = SESSIONS
) -> RoundEnd:
    """Return how a round ends for its cohort.

    Args:
        finish_s: time from the round's start at which each device would report, `[device]`.
        dropped: which devices drop out on the way, `[device]`.
        fate: uniform number that settles how a drop-out ends, `[device]`.
        reports: reports the round takes, >= 1; the first that come, of equal times the first in the array.
        parameters: limit of the round, shares of drop-outs.
    """
    if reports < 1:
        raise invalid("reports", reports, "be >= 1")
    arrival = np.where(dropped, np.inf, finish_s)
    first = np.argsort(arrival, kind="stable")[:reports]
    in_time = first[arrival[first] <= parameters.limit_s]
    state = np.full(len(arrival), EndState.LATE, np.int8)
    state[in_time] = EndState.DONE
    state[dropped] = drop_out_ends(fate[dropped], parameters.interrupted_share, parameters.lost_share)
    full = len(in_time) == reports
    return RoundEnd(state, float(arrival[in_time[-1]]) if full else parameters.limit_s)


def _devices_time(round_: int) -> int:
    """Return the time index of what each device of a round draws: even, as that of its common draw is odd."""
    return 2 * round_


def _common_time(round_: int) -> int:
    """Return the time index of what all devices of a round have in common."""
    return 2 * round_ + 1


class Endings(NamedTuple):
    """How sessions ended over many rounds: shares of selected devices, and lengths of rounds (s)."""

    done: float
    late: float
    interrupted: float
    dropped: float
    dropped_out: float  # share that dropped out on the way, however that ended
    closed_s: Floats  # [round]


def round_endings(
    over_selection: float = 1.3,
    reports: int = 300,
    rounds: int = 200,
    seed: int = 0,
    parameters: SessionParameters = SESSIONS,
) -> Endings:
    """Return how the sessions of `rounds` rounds end if each selects `over_selection` x `reports` devices.

    Each round has devices of its own, whose chance to drop out is that of `availability.interruption_causes`.
    """
    if not over_selection >= 1:
        raise invalid("over_selection", over_selection, "be >= 1")
    if reports < 1 or rounds < 1:
        raise invalid("reports, rounds", (reports, rounds), "be >= 1")
    count = round(over_selection * reports)
    states = np.zeros(len(EndState), np.int64)
    closed_s, out = np.zeros(rounds), 0
    for round_ in range(rounds):
        selected = DeviceRange(seed, round_ * count, count)
        draws = selected.uniforms(Purpose.PARTICIPATION, _devices_time(round_), 2)
        common = uniforms(seed, Purpose.PARTICIPATION, _common_time(round_), 0, 1, 1)[:, 0]
        median_s = lognormal(common, parameters.median_s, parameters.round_sigma)
        finish_s = lognormal(draws[:, 0], median_s, parameters.sigma)
        dropped = interruption_causes(selected, round_ + 1).dropped
        end = end_states(finish_s, dropped, draws[:, 1], reports, parameters)
        states += np.bincount(end.state, minlength=len(EndState))
        closed_s[round_], out = end.closed_s, out + int(dropped.sum())
    shares = states / states.sum()
    return Endings(
        done=float(shares[EndState.DONE]),
        late=float(shares[EndState.LATE]),
        interrupted=float(shares[EndState.INTERRUPTED]),
        dropped=float(shares[EndState.DROPPED]),
        dropped_out=out / int(states.sum()),
        closed_s=closed_s,
    )
