"""The fleet: for each device a profile and what differs between phones of one profile, as columns.

Every value is the inverse transform of the device's own uniform numbers, so a device is the same phone in
whichever block it is drawn.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedbert.device_range import DeviceRange
from fedbert.devices.profiles import NORMAL_P90, DeviceProfile
from fedbert.randomness import ONCE, Purpose

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

SPEED_SIGMA = 0.08
"""Log-normal spread of the speed of phones of one profile (bin of the chip, cooling, build): assumed."""

NORMAL_P99 = 2.3263478740408408
"""The 99th percentile of a standard normal variable: beyond it no published quantile says anything."""


@dataclass(frozen=True)
class FleetColumns:
    """A block of devices; all arrays `[device]`.

    `profile` index into the profiles; `tier` into `results.TIERS`. `free_memory_bytes` is what the feature
    may use; `speed_factor` multiplies the speed of the device's cores. Its links are in `network.py`.
    """

    profile: NDArray[np.int16]
    tier: NDArray[np.int8]
    free_memory_bytes: NDArray[np.int64]
    speed_factor: Floats

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self.profile)

    def take(self, rows: Integers | Flags | slice) -> "FleetColumns":
        """Return the devices at `rows` (indices, mask or slice)."""
        return FleetColumns(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def standard_normal(uniform: Floats) -> Floats:
    """Return the standard normal quantiles of `uniform` (any shape, values in (0, 1))."""
    return np.asarray(ndtri(np.ascontiguousarray(uniform)), np.float64)


def lognormal(uniform: Floats, median: Floats | float, sigma: Floats | float) -> Floats:
    """Return log-normal quantiles: median x exp(sigma z(uniform)), same shape as `uniform`."""
    return np.asarray(median * np.exp(sigma * standard_normal(uniform)))


def pick(uniform: Floats, shares: Floats) -> Integers:
    """Return the index [device] that `uniform` [device] falls on in the running sum of `shares` [index].

    `shares` add up to 1; an index with share 0 is never picked.
    """
    edges = np.cumsum(shares)
    last = int(np.flatnonzero(shares)[-1])
    return np.minimum(np.searchsorted(edges, uniform, side="right"), last)


def between_quantiles(
    uniform: Floats, p10: Floats | float, p50: Floats | float, p90: Floats | float
) -> Floats:
    """Return values `[device]` whose 10th, 50th and 90th percentile are the given ones (one, or `[device]`).

    The logarithm is linear in the normal quantile on each side of the median, and stays at its 1st and 99th
    percentile beyond them.
    """
    z = np.clip(standard_normal(uniform), -NORMAL_P99, NORMAL_P99) / NORMAL_P90
    step = np.where(z < 0, np.log(p50 / p10), np.log(p90 / p50))
    return np.asarray(p50 * np.exp(step * z))


def draw_fleet(profiles: tuple[DeviceProfile, ...], devices: DeviceRange) -> FleetColumns:
    """Return what `devices` of the fleet of `profiles` (shares add up to 1) are."""
    identity = devices.uniforms(Purpose.PROFILE, ONCE, 2)
    profile = pick(identity[:, 0], np.array([p.share for p in profiles]))
    memory = devices.uniforms(Purpose.FREE_MEMORY, ONCE, 1)[:, 0]

    def per_class(values: list[float] | list[int]) -> Floats:
        return np.array(values, np.float64)[profile]

    middle = per_class([p.free_memory.p50_bytes for p in profiles])
    spread = per_class([p.free_memory.sigma for p in profiles])
    ram = np.array([p.ram_bytes for p in profiles])[profile]
    return FleetColumns(
        profile=profile.astype(np.int16),
        tier=np.array([p.tier_index for p in profiles], np.int8)[profile],
        free_memory_bytes=np.minimum(lognormal(memory, middle, spread).astype(np.int64), ram),
        speed_factor=lognormal(identity[:, 1], 1.0, SPEED_SIGMA),
    )
