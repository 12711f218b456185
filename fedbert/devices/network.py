"""Time and success of transfers between a device and the server.

A transfer takes the bytes over the link's rate plus the round trips of connecting (TCP, TLS and the request).
Failure is modelled: a constant chance a transfer by kind of link, and any transfer that outlasts its window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fleet import Flags, FleetColumns, Floats
from fedbert.randomness import Purpose, uniforms
from fedbert.units import BITS_PER_BYTE, MS_PER_S

ROUND_TRIPS = 4.0
"""Round trips before the first byte: 1 for TCP, 2 for TLS 1.2, 1 for the request."""

FAILURE_PROBABILITY = np.array([0.02, 0.05, 0.05, 0.10])
"""Chance that a transfer breaks, by `profiles.NETWORK_KINDS` (assumed)."""


@dataclass(frozen=True)
class Download:
    """Whether each device `[device]` got the whole file, and how long it tried (ms)."""

    succeeded: Flags
    time_ms: Floats


def transfer_ms(
    size_bytes: NDArray[np.int64] | int, bits_per_s: Floats, rtt_ms: Floats | float
) -> Floats:
    """Return the time [device] (ms) of moving `size_bytes` at `bits_per_s` with round trips of `rtt_ms`."""
    return np.asarray(size_bytes * (BITS_PER_BYTE * MS_PER_S) / bits_per_s + ROUND_TRIPS * rtt_ms)


def download(
    seed: int, round_: int, fleet: FleetColumns, size_bytes: int, window_ms: float = np.inf
) -> Download:
    """Return how each device of the block `fleet` fares when it fetches `size_bytes` in round `round_`.

    `fleet` is a whole block as `draw_fleet` returns it. A broken transfer stops at a uniform point of its
    way; one that would outlast `window_ms` stops there. Either fails and is tried again in a later round.
    """
    draws = uniforms(seed, Purpose.TRANSFER, round_, fleet.first, len(fleet), 2)
    whole = transfer_ms(size_bytes, fleet.downlink_bits_per_s, fleet.rtt_ms)
    broken = draws[:, 0] < FAILURE_PROBABILITY[fleet.network_kind]
    spent = np.where(broken, whole * draws[:, 1], whole)
    return Download(~broken & (whole <= window_ms), np.minimum(spent, window_ms))
