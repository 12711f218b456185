"""Canaries where devices add the noise: an attacker reads each one's single report.

Neighbours are two reports that are as far apart as any can be. A canary's coin says which of the two it
sends: the clip norm on its coordinate, or the same with the other sign. It is sent once, so that what is
found stands beside the proof of one report.
"""

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy.audit.canaries import Transcript, coins, joins_of
from fedbert.privacy.local import SENSITIVITY, Local
from fedbert.privacy.mechanism import Mechanism

_SCALE = 2.0**20
"""Steps of a clip norm in which canaries send: finer than any report's."""

_ALL = np.ones(1, np.bool_)
_COUNTED_DEVICES = 2_000


def send_reports(mechanism: Local, seed: int, canaries: int) -> Transcript:
    """Return what one report of each of `canaries` canaries shows, less the report of those that are out."""
    included, clip_norm = coins(seed, canaries), mechanism.settings.clip_norm
    scale = _SCALE / clip_norm
    step = int(clip_norm * scale)
    report = np.where(included, step, -step)
    noise = report_noise(mechanism, seed, canaries, 1, 1, scale)[:, 0]
    sent = report + noise
    return read_reports(mechanism, included, (report + step) / scale, (sent - report) / scale)


def read_reports(
    mechanism: Local,
    included: NDArray[np.bool_],
    clean: NDArray[np.float64],
    noise: NDArray[np.float64],
    apart: float | None = None,
) -> Transcript:
    """Return the transcript of one report each: `clean` `[canary]` is `apart` or 0, and `noise` is added.

    `apart` is by default the farthest that two reports can be.
    """
    farthest = SENSITIVITY * mechanism.settings.clip_norm
    return Transcript(
        included,
        np.ones((1, len(included)), np.bool_),
        farthest if apart is None else apart,
        np.eye(1),
        np.full((1, 1), mechanism.report_sigma**2),
        clean[None, :],
        noise[None, :],
    )


def report_noise(
    mechanism: Mechanism, seed: int, count: int, round_: int, size: int, scale: float
) -> NDArray[np.int64]:
    """Return the noise `[device, size]` that each of the first devices adds to its own report of a round.

    Integers in steps of 1 / `scale`; `seed` is that of the devices' noise.
    """
    devices = [DeviceRange(seed, place, 1) for place in range(count)]
    each = [mechanism.on_device(device, _ALL, round_, size, scale) for device in devices]
    return np.array(each, np.int64).reshape(count, size)


def too_many_reports(mechanism: Local, seed: int, rounds: int) -> str:
    """Return the fault that a device sends more reports than its bound counts; empty if none does."""
    most = int(joins_of(mechanism, seed, _COUNTED_DEVICES, rounds).sum(axis=0).max())
    counted = mechanism.reports(rounds)
    if most <= counted:
        return ""
    return f"a phone sends {most} reports in {rounds} rounds, and its bound counts {counted}"
