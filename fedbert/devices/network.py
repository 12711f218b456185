"""Time and success of transfers between a device and the server.

A transfer takes the bytes over the link's rate plus the round trips of connecting (TCP, TLS and the request).
Failure is modelled: a constant chance a transfer by kind of link, and any transfer that outlasts its window.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fleet import Flags, FleetColumns, Floats
from fedbert.randomness import Purpose, uniforms
from fedbert.units import BITS_PER_BYTE, MS_PER_S

ROUND_TRIPS = 4.0
"""Round trips before the first byte: 1 for TCP, 2 for TLS 1.2, 1 for the request."""

FAILURE_PROBABILITY = np.array([0.02, 0.05, 0.05, 0.10])
"""Chance that a transfer breaks, by `profiles.NETWORK_KINDS` (assumed)."""


class Download(NamedTuple):
    """Whether each device `[device]` got the whole file, and how long it tried (ms)."""

    succeeded: Flags
    time_ms: Floats


def transfer_ms(size_bytes: NDArray[np.int64] | int, bits_per_s: Floats, rtt_ms: Floats | float) -> Floats:
    """Return the time [device] (ms) of moving `size_bytes` at `bits_per_s` with round trips of `rtt_ms`."""
    return np.asarray(size_bytes * (BITS_PER_BYTE * MS_PER_S) / bits_per_s + ROUND_TRIPS * rtt_ms)


def download(
    seed: int,
    round_: int,
    first: int,
    count: int,
    fleet: FleetColumns,
    size_bytes: int,
    window_ms: float = np.inf,
) -> Download:
    """Return how each device of the block `fleet` (`first`, `count`) fares in round `round_`.

    A broken transfer stops at a uniform point of its way; one that would outlast `window_ms` stops there.
    Either fails, and may be tried again in a later round.
    """
    draws = uniforms(seed, Purpose.TRANSFER, round_, first, count, 2)
    whole = transfer_ms(size_bytes, fleet.downlink_bits_per_s, fleet.rtt_ms)
    broken = draws[:, 0] < FAILURE_PROBABILITY[fleet.network_kind]
    spent = np.where(broken, whole * draws[:, 1], whole)
    return Download(~broken & (whole <= window_ms), np.minimum(spent, window_ms))
