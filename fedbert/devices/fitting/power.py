"""What a busy core draws, from the one power profile at hand: the Pixel 5's.

The profile is an Android ``power_profile.xml``: currents in mA at the battery's voltage, clocks in kHz
(source.android.com, "Measure device power", says what each row means). The excerpt is
``device_profiles/sources/power_profile_pixel5.csv``. For any other phone the result is an extrapolation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.paths import profiles_folder
from fedbert.table_files import rows_of

LITTLE, PRIME = 0, 2
"""Clusters of the Pixel 5: six A55; one A76 at 2.2 GHz; one A76 at 2.4 GHz, the prime core."""

POWER_PROFILE = "power_profile_pixel5.csv"

EXCERPT_PREFIXES = (
    "battery.capacity",
    "cpu.",
    "ambient.on",
    "screen.",
    "video",
    "audio",
    "gps.",
    "modem.controller",
    "wifi.controller",
)
"""Names of the rows that the excerpt keeps of the full profile begin with one of these."""


@dataclass(frozen=True)
class PowerProfile:
    """The rows of a power profile by name; several numbers in one row are separated by ``|``."""

    values: Mapping[str, str]

    def number(self, name: str) -> float:
        """Return the one number of a row."""
        return float(self.values[name])

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the numbers of a row."""
        return np.array([float(value) for value in self.values[name].split("|")])

    def core_ma(self, cluster: int, clock_ghz: float) -> float:
        """Return the current of one busy core of a cluster, linear between (and beyond) the table's clocks.

        The table's current of a cluster is taken as that of all its cores: one little core would otherwise
        draw more than the prime core.
        """
        cores = self.numbers("cpu.clusters.cores")[cluster]
        speeds = self.numbers(f"cpu.core_speeds.cluster{cluster}") / 1e6
        currents = self.numbers(f"cpu.core_power.cluster{cluster}") / cores
        if clock_ghz > speeds[-1]:
            slope = (currents[-1] - currents[-2]) / (speeds[-1] - speeds[-2])
            return float(currents[-1] + slope * (clock_ghz - speeds[-1]))
        return float(np.interp(clock_ghz, speeds, currents))

    def awake_ma(self, cluster: int) -> float:
        """Return what the SoC and a cluster draw beside its cores while one of them is busy."""
        return self.number("cpu.active") + self.number(f"cpu.cluster_power.cluster{cluster}")

    def top_clock_ghz(self, cluster: int) -> float:
        """Return the highest clock of a cluster."""
        return float(self.numbers(f"cpu.core_speeds.cluster{cluster}")[-1] / 1e6)


def read_power_profile(path: Path | None = None) -> PowerProfile:
    """Return the power profile in `path`, a CSV with the columns name, value (default: the Pixel 5's)."""
    path = profiles_folder() / "sources" / POWER_PROFILE if path is None else path
    return PowerProfile({row["name"]: row["value"] for row in rows_of(path)})


@dataclass(frozen=True)
class Power:
    """Power of one busy core by kind, clock and work, extrapolated from the Pixel 5's profile."""

    profile: PowerProfile
    voltage_v: float  # turns mA into mW
    a76_int8_per_cycle: float  # fitted multiply-adds per cycle of the core that the prime curve was taken on

    def curve_mw(self, cluster: int, clock_ghz: float) -> float:
        """Return the power of the SoC, the cluster and one core of it."""
        current = self.profile.core_ma(cluster, clock_ghz) + self.profile.awake_ma(cluster)
        return current * self.voltage_v

    def core_mw(self, in_order: bool, clock_ghz: float, int8_per_cycle: float) -> float:
        """Return the power of one busy core: in-order cores by the little curve, others by the prime core's,
        in proportion to the multiply-adds per cycle of an A76 (equal energy for equal work)."""
        if in_order:
            return self.curve_mw(LITTLE, clock_ghz)
        return self.curve_mw(PRIME, clock_ghz) * int8_per_cycle / self.a76_int8_per_cycle
