"""Time, success and energy of transfers between a device and the server, with retries.

Every device has Wi-Fi, with a fixed line behind it, and one cellular link. On an unmetered network a
transfer uses the first, on a metered one the second. A device's own median rate is drawn once; each transfer
has its own rate around it:

    rate    = the device's median x exp(sigma z)        sigma of the link's transfers, z standard normal
    attempt = 4 round trips + bytes x 8 / rate

An attempt breaks with the link's probability, at a uniform point of its time. Nothing is resumed: the next
attempt, after a wait, starts from the first byte, until there have been `ATTEMPTS`. What is not done when
the window ends has failed. The radio's energy is that of all attempts; waiting costs none.
"""

from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import Devices
from fedbert.devices.availability import Availability
from fedbert.devices.energy import energy_mj
from fedbert.devices.fleet import (
    NORMAL_P99,
    Flags,
    Floats,
    Integers,
    between_quantiles,
    lognormal,
    standard_normal,
)
from fedbert.devices.links import FIXED_LINE, LinkTable
from fedbert.devices.profiles import DeviceProfile
from fedbert.randomness import ONCE, Purpose
from fedbert.units import BITS_PER_BYTE, MS_PER_S

Metered = Literal["never", "uploads", "always"]
"""What a phone may do on a metered link: nothing, send its signal, or also fetch releases."""

ROUND_TRIPS = 4.0
"""Round trips before the first byte: 1 for TCP, 2 for TLS 1.2, 1 for the request."""

ATTEMPTS = 3
"""Attempts at a transfer, the first included (assumed)."""

BACK_OFF_MS = 30_000.0
"""Wait before the second attempt, doubled before the third (assumed; default of Android's WorkManager)."""

UPLOAD_DEADLINE_MS = 600_000.0
"""Longest upload of a signal, ten minutes with all its attempts; a phone that takes longer is late."""

UPLINK_SIGMA = 0.3
"""Log-normal spread of a device's uplink around its link's share of the downlink: assumed."""

_LINK_DRAWS = 5
TRANSFER_DRAWS = 1 + ATTEMPTS


@dataclass(frozen=True)
class NetworkColumns:
    """The links of a block of devices; all arrays `[device]`, rates are the device's own medians.

    `cellular_kind` is an index into `links.LINK_KINDS`, never that of the fixed line.
    """

    wifi_downlink_bits_per_s: Floats
    wifi_uplink_bits_per_s: Floats
    cellular_kind: Integers
    cellular_downlink_bits_per_s: Floats
    cellular_uplink_bits_per_s: Floats

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self.cellular_kind)

    def take(self, rows: Integers | Flags | slice) -> "NetworkColumns":
        """Return the devices at `rows` (indices, mask or slice)."""
        return NetworkColumns(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class Transfers(NamedTuple):
    """How transfers went, all `[device]`.

    `time_ms` from the first byte to the end of the last attempt, waits included; `attempts` made;
    `moved_bytes` over the link, repeated ones included; `energy_mj` of the radio.
    """

    succeeded: Flags
    time_ms: Floats
    attempts: Integers
    moved_bytes: Integers
    energy_mj: Floats


def draw_network(
    profiles: tuple[DeviceProfile, ...],
    links: LinkTable,
    profile: NDArray[np.int16],
    devices: Devices,
) -> NetworkColumns:
    """Return the links of `devices`, whose classes are `profile` [device].

    The two links of a device are drawn independently of each other.
    """
    draws = devices.uniforms(Purpose.NETWORK, ONCE, _LINK_DRAWS)
    edges = np.cumsum([phone.radios.shares for phone in profiles], axis=1)  # [profile, cellular link]
    edges[edges == edges[:, -1:]] = np.inf  # the last link with a share takes what rounding leaves
    which = draws[:, 0]
    cellular = FIXED_LINE + 1 + (edges[profile, 0] <= which) + (edges[profile, 1] <= which)
    wifi = draw_link(links, FIXED_LINE, draws[:, 1], draws[:, 2])
    return NetworkColumns(*wifi, cellular, *draw_link(links, cellular, draws[:, 3], draws[:, 4]))


def draw_link(links: LinkTable, kind: Integers | int, down: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Return downlink and uplink (bits/s) of links of `kind` from uniform numbers, all `[device]`.

    One kind may stand for all. The downlink goes through the link's three quantiles, the uplink is log-normal
    around its ratio to it.
    """
    downlink = 1000 * between_quantiles(
        down,
        links.downlink_p10_kbit_per_s[kind],
        links.downlink_p50_kbit_per_s[kind],
        links.downlink_p90_kbit_per_s[kind],
    )
    return downlink, downlink * lognormal(up, links.uplink_ratio[kind], UPLINK_SIGMA)


def upload_state(metered: Metered) -> Literal["eligible", "ready"]:
    """Return the state (`availability.STATES`) in which a device may send its signal."""
    return "eligible" if metered == "never" else "ready"


def may_upload(state: Availability, metered: Metered) -> Flags:
    """Return which devices [device] may send their signal; `metered` decides about those on such a link."""
    return state.eligible if upload_state(metered) == "eligible" else state.ready


def may_download(state: Availability, metered: Metered) -> Flags:
    """Return which devices [device] may fetch a release: unmetered, or just online if `metered` 'always'."""
    return state.online if metered == "always" else state.download_window


def transfer_uniforms(devices: Devices, purpose: Purpose, time: int) -> Floats:
    """Return the uniform numbers `[device, TRANSFER_DRAWS]` of one transfer of each of `devices`."""
    return devices.uniforms(purpose, time, TRANSFER_DRAWS)


def download(
    links: LinkTable,
    network: NetworkColumns,
    unmetered: Flags,
    size_bytes: Integers | int,
    uniform: Floats,
    window_ms: float = np.inf,
) -> Transfers:
    """Return how downloads of `size_bytes` (one, or `[device]`) go, a transfer a device of `network`; see
    `transfer`.
    """
    kind = _kind(network, unmetered)
    rate = np.where(unmetered, network.wifi_downlink_bits_per_s, network.cellular_downlink_bits_per_s)
    return transfer(links, kind, rate, links.receive_mw[kind], size_bytes, uniform, window_ms)


def upload(
    links: LinkTable,
    network: NetworkColumns,
    unmetered: Flags,
    size_bytes: int,
    uniform: Floats,
    window_ms: float = np.inf,
) -> Transfers:
    """Return how uploads of `size_bytes` go, a transfer a device of `network`; see `transfer`."""
    kind = _kind(network, unmetered)
    rate = np.where(unmetered, network.wifi_uplink_bits_per_s, network.cellular_uplink_bits_per_s)
    return transfer(links, kind, rate, links.transmit_mw[kind], size_bytes, uniform, window_ms)


def transfer(
    links: LinkTable,
    kind: Integers,
    median_bits_per_s: Floats,
    radio_mw: Floats,
    size_bytes: Integers | int,
    uniform: Floats,
    window_ms: float = np.inf,
) -> Transfers:
    """Return how transfers of `size_bytes` go over links of `kind` at `median_bits_per_s`, all `[device]`;
    one size may stand for all.

    `radio_mw` [device] is drawn while an attempt lasts; `uniform` [device, TRANSFER_DRAWS] in (0, 1) holds
    the rate's draw and one number an attempt; a transfer must be done within `window_ms` > 0.
    """
    # Between its 1st and 99th percentile: no draw is faster than links are.
    z = np.clip(standard_normal(uniform[:, 0]), -NORMAL_P99, NORMAL_P99)
    rate = median_bits_per_s * np.exp(links.transfer_sigma[kind] * z)
    connecting = ROUND_TRIPS * links.rtt_ms[kind]
    whole = connecting + size_bytes * (BITS_PER_BYTE * MS_PER_S) / rate
    chance = links.failure_probability[kind]
    succeeded = np.zeros(len(kind), np.bool_)
    time_ms, active_ms = np.zeros(len(kind)), np.zeros(len(kind))
    attempts, moved = np.zeros(len(kind), np.int64), np.zeros(len(kind), np.int64)
    rows, wait = np.arange(len(kind)), 0.0
    size = np.broadcast_to(np.asarray(size_bytes), kind.shape)
    for attempt in range(ATTEMPTS):
        # Below the chance of breaking, a number over that chance is uniform again: the point of the way.
        draw, limit = uniform[rows, 1 + attempt], chance[rows]
        broken = draw < limit
        way = np.where(broken, draw / np.where(broken, limit, 1.0), 1.0)
        start = time_ms[rows] + wait
        end = start + way * whole[rows]
        done = ~broken & (end <= window_ms)
        busy = np.minimum(end, window_ms) - start
        sent = np.maximum(busy - connecting[rows], 0.0) * rate[rows] / (BITS_PER_BYTE * MS_PER_S)
        succeeded[rows] = done
        time_ms[rows] = start + busy
        active_ms[rows] += busy
        attempts[rows] += 1
        most = size[rows]
        moved[rows] += np.where(done, most, np.minimum(sent, most).astype(np.int64))
        wait = BACK_OFF_MS * 2**attempt
        rows = rows[broken & (end + wait < window_ms)]
    return Transfers(succeeded, time_ms, attempts, moved, np.asarray(energy_mj(radio_mw, active_ms)))


def _kind(network: NetworkColumns, unmetered: Flags) -> Integers:
    return np.where(unmetered, FIXED_LINE, network.cellular_kind)
