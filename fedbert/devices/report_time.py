"""How long a phone takes to make a report, once it has the vectors that go into it.

Clipping, fixed point and masks are passes over the coordinates, in the background on one little core. Its own
session has encoded each text already (`docs/architecture.md`), so no model runs.
"""

import numpy as np

from fedbert.devices.fleet import FleetColumns, Floats, Integers
from fedbert.devices.profiles import DeviceProfile

PASSES = 6
"""Passes over a report beside its masks: add up, square, scale, truncate, wrap, write (counted)."""
MASK_OPERATIONS = 8
"""Elementwise operations of one mask's coordinate: four bytes of AES in counter mode, and an addition
(assumed: two a byte, as slow as without instructions for it)."""


def report_ms(
    profiles: tuple[DeviceProfile, ...], fleet: FleetColumns, rows: Integers, coordinates: int, masks: int
) -> Floats:
    """Return the time (ms) in which the devices `rows` [device] make a report with so many masks."""
    cores = [profile.little_core for profile in profiles]
    rate = np.array([core.element_gops_per_s or core.float_gmacs_per_s for core in cores]) * 1e6
    operations = float(coordinates) * (PASSES + MASK_OPERATIONS * masks)
    return np.asarray(operations / rate[fleet.profile[rows]] / fleet.speed_factor[rows])
