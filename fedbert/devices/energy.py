"""Energy in the units phones are spoken of: millijoules, and milliampere-hours of a battery."""

import numpy as np
from numpy.typing import NDArray

from fedbert.units import MJ_PER_MWH

Values = float | NDArray[np.float64]


def energy_mj(power_mw: Values, time_ms: Values) -> Values:
    """Return the energy (mJ) of `power_mw` over `time_ms`."""
    return power_mw * time_ms / 1000.0


def charge_mah(energy_mj: Values, voltage_v: Values) -> Values:
    """Return the charge (mAh) that `energy_mj` takes from a battery of nominal `voltage_v`."""
    return energy_mj / (MJ_PER_MWH * voltage_v)


def energy_of_charge_mj(charge_mah: Values, voltage_v: Values) -> Values:
    """Return the energy (mJ) of `charge_mah` at nominal `voltage_v`; the inverse of `charge_mah`."""
    return charge_mah * MJ_PER_MWH * voltage_v
