"""The table of transfers in docs/devices.md, made from links and model as they are: Markdown lines."""

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.links import LINK_KINDS, LinkTable
from fedbert.devices.network import UPLOAD_DEADLINE_MS, Transfers, draw_link, transfer, transfer_uniforms
from fedbert.randomness import ONCE, Purpose
from fedbert.units import KILOBYTE, MEGABYTE, MS_PER_HOUR, MS_PER_S, format_bytes

RELEASE_BYTES, SIGNAL_BYTES = 19 * MEGABYTE // 10, 108 * KILOBYTE
ROUND_MS = 2 * MS_PER_HOUR
"""Window of a download: a round of two hours."""

NAMES = {"fixed_line": "Wi-Fi, fixed line", "three_g": "3G", "lte": "LTE", "five_g": "5G"}


def network_table(links: LinkTable, devices: int = 100_000) -> list[str]:
    """Return times of downloads and uploads that succeeded, the share that failed, and energy, by link.

    Each link is given to `devices` devices, each of which makes one transfer of each kind.
    """
    lines = [
        "| link | transfer | s p10 / p50 / p90 / p99 | failed | attempts | mJ, mean |",
        "|---|---|---|---|---|---|",
    ]
    sample = DeviceRange(0, 0, devices)
    rates = sample.uniforms(Purpose.NETWORK, ONCE, 2)
    for kind, key in enumerate(LINK_KINDS):
        which = np.full(devices, kind)
        down, up = draw_link(links, which, rates[:, 0], rates[:, 1])
        for what, rate, power, size, window, purpose in (
            ("download", down, links.receive_mw, RELEASE_BYTES, ROUND_MS, Purpose.TRANSFER),
            ("upload", up, links.transmit_mw, SIGNAL_BYTES, UPLOAD_DEADLINE_MS, Purpose.UPLOAD),
        ):
            uniform = transfer_uniforms(sample, purpose, ONCE)
            got = transfer(links, which, rate, power[which], size, uniform, window)
            lines.append(f"| {NAMES[key]} | {what} of {format_bytes(size)} {_figures(got)} |")
    return lines


def _figures(got: Transfers) -> str:
    seconds = np.quantile(got.time_ms[got.succeeded], [0.1, 0.5, 0.9, 0.99]) / MS_PER_S
    times = " / ".join(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in seconds)
    failed, attempts = 1 - got.succeeded.mean(), got.attempts.mean()
    return f"| {times} | {failed:.3%} | {attempts:.2f} | {got.energy_mj.mean():,.0f}"
