"""The power profile against measured drain rates of the same phone: Markdown lines for docs/devices.md.

Five uses of one Pixel 5, each of 29 to 42 minutes, whose battery was read in whole per cent before and after
(``device_profiles/sources/drain_rates_pixel5.csv``). The profile's currents are added up as Android does for
its own estimates; how busy cores and Wi-Fi were was not recorded, so those duties are assumed, below.
"""

from dataclasses import dataclass
from pathlib import Path

from fedbert.devices.energy import energy_of_charge_mj
from fedbert.devices.fitting.power import LITTLE, PRIME, PowerProfile, read_power_profile
from fedbert.paths import profiles_folder
from fedbert.table_files import rows_of

DRAIN_RATES = "drain_rates_pixel5.csv"
DRAIN_COLUMNS = (
    "scenario",
    "name",
    "duration_min",
    "soc_drop_percent",
    "screen_on",
    "brightness_percent",
    "network",
    "gps",
    "cpu_load",
    "notes",
)
"""Columns that the excerpt keeps of the full table."""

BUSY_CORES = {"low": (0.3, 0.05), "med": (1.0, 0.25), "high": (3.0, 1.0)}
"""Little and prime cores busy at their highest clock, in the mean, by the table's `cpu_load` (assumed)."""

AWAKE_SCREEN_OFF = 0.02
"""Share of the time that a phone is awake with its screen off, as busy as its load says (assumed)."""

WIFI_IDLE, WIFI_RECEIVING = 0.2, 0.1
"""Shares of the time awake that the Wi-Fi controller listens and receives (assumed); else it sleeps."""

READING_PERCENT = 1.0
"""Readings are whole per cent: a drop of d read off lies between d - 1 and d + 1."""

VOLTAGE_V = 3.85
"""The profiles' nominal voltage of a lithium-ion cell."""


@dataclass(frozen=True)
class Drain:
    """One measured use and what the power profile says of it; rates in per cent of the battery per hour."""

    name: str
    measured_low: float  # the least that the whole-per-cent readings allow
    measured: float
    measured_high: float
    screen_ma: float
    cpu_ma: float
    rest_ma: float  # Wi-Fi, GPS, decoders of video and audio
    predicted: float

    @property
    def predicted_ma(self) -> float:
        """The whole predicted current."""
        return self.screen_ma + self.cpu_ma + self.rest_ma


def cpu_ma(profile: PowerProfile, load: str, awake: float) -> float:
    """Return the mean current of SoC and cores that are as busy as `load` says for the share `awake`."""
    little, prime = BUSY_CORES[load]
    busy = profile.number("cpu.idle") + profile.number("cpu.active")
    for cluster, cores in ((LITTLE, little), (PRIME, prime)):
        core = profile.core_ma(cluster, profile.top_clock_ghz(cluster))
        busy += cores * core + min(cores, 1.0) * profile.number(f"cpu.cluster_power.cluster{cluster}")
    return profile.number("cpu.suspend") + awake * busy


def screen_ma(profile: PowerProfile, brightness: float | None) -> float:
    """Return the screen's current at a brightness in 0..1 (linear above its least), 0 for None: off."""
    if brightness is None:
        return 0.0
    return profile.number("screen.on") + brightness * profile.number("screen.full")


def predict(profile: PowerProfile, row: dict[str, str]) -> Drain:
    """Return the measured rates of one `row` of the excerpt beside the predicted one."""
    on = row["screen_on"] == "1"
    awake = 1.0 if on else AWAKE_SCREEN_OFF
    wifi = WIFI_IDLE * profile.number("wifi.controller.idle")
    wifi += WIFI_RECEIVING * profile.number("wifi.controller.rx")
    rest = awake * wifi
    if row["gps"] == "yes":
        rest += float(profile.numbers("gps.signalqualitybased")[1])  # out of doors: a good signal
    if "Video" in row["name"]:
        rest += profile.number("video")
    if "Video" in row["name"] or "Gaming" in row["name"]:
        rest += profile.number("audio")
    screen = screen_ma(profile, float(row["brightness_percent"]) / 100 if on else None)
    cpu = cpu_ma(profile, row["cpu_load"], awake)
    hours, drop = float(row["duration_min"]) / 60, float(row["soc_drop_percent"])
    return Drain(
        row["name"],
        max(0.0, drop - READING_PERCENT) / hours,
        drop / hours,
        (drop + READING_PERCENT) / hours,
        screen,
        cpu,
        rest,
        100 * (screen + cpu + rest) / profile.number("battery.capacity"),
    )


def drains(path: Path | None = None) -> list[Drain]:
    """Return all measured uses of the Pixel 5 (`path`: another table of the same shape)."""
    path = profiles_folder() / "sources" / DRAIN_RATES if path is None else path
    profile = read_power_profile()
    return [predict(profile, row) for row in rows_of(path)]


def resolution_mj() -> float:
    """Return the energy (mJ) of one per cent of the Pixel 5's battery, the step of the readings."""
    capacity_mah = read_power_profile().number("battery.capacity")
    return float(energy_of_charge_mj(capacity_mah * READING_PERCENT / 100, VOLTAGE_V))


def energy_table() -> list[str]:
    """Return predicted against measured drain of the Pixel 5, a line per use."""
    lines = [
        "| use | screen | CPU | rest | predicted | measured (as read) | predicted / measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in drains():
        ratio = f"{each.predicted / each.measured:.1f}" if each.measured else "–"
        lines.append(
            f"| {each.name} | {each.screen_ma:.0f} mA | {each.cpu_ma:.0f} mA | {each.rest_ma:.0f} mA "
            f"| {each.predicted:.1f} %/h "
            f"| {each.measured:.1f} %/h ({each.measured_low:.1f} to {each.measured_high:.1f}) | {ratio} |"
        )
    return lines
