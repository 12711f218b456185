"""What a number of a profile or of the links can be, by its unit.

Each range is less than a factor of 1,000 wide and holds every phone, tablet and small board that is known: so
watts for milliwatts, megabytes for bytes or seconds for milliseconds always leave it. 0 is let in where it
means that a cost is left out.
"""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _within(low: float, high: float, zero: bool = False) -> AfterValidator:
    """Return the check of `low` <= a number < `high`, or 0 if `zero`."""
    assert high <= 1_000 * low

    def check(value: float) -> float:
        if (zero and value == 0) or low <= value < high:
            return value
        rule = f"less than {high:,g}" if value >= high else f"greater than or equal to {low:,g}"
        raise PydanticCustomError("range", "{rule}", {"rule": rule + (", or 0" if zero else "")})

    return AfterValidator(check)


# One busy core, or a radio: an efficient core at its lowest clock draws some 30 mW, a whole board some watts.
Milliwatts = Annotated[float, _within(25, 25_000)]
# One core: 1.8 (Cortex-A7) to 140 (Cortex-X4); a server's vector units reach a few hundred.
Int8Gmacs = Annotated[float, _within(1, 1_000)]
FloatGmacs = Annotated[float, _within(0.5, 500)]
ElementGops = Annotated[float, _within(0.2, 200)]
# How fast one core streams weights: .2 GB/s in the slowest phones, some tens in a desktop.
MemoryBytesPerSecond = Annotated[float, _within(1e8, 1e11)]
FlashBytesPerSecond = Annotated[float, _within(3e7, 3e10)]
# Engines take some microseconds an operator; a fitted cost may come to almost nothing.
OperatorMicroseconds = Annotated[float, _within(0.05, 50, zero=True)]
ProductMicroseconds = Annotated[float, _within(0.02, 20, zero=True)]
RunMicroseconds = Annotated[float, _within(0.5, 500, zero=True)]
# Making a session, beside the weights: 6 to 17 ms in phones.
LoadMilliseconds = Annotated[float, _within(0.4, 400, zero=True)]
# Memory free to one feature: less than .5 MB holds no graph; its upper end is the device's memory.
LEAST_FREE_BYTES = 500_000
RamBytes = Annotated[int, _within(250_000_000, 250_000_000_000)]
StorageBytes = Annotated[int, _within(4_000_000_000, 4_000_000_000_000)]
# Between phones with keys and large tablets.
BatteryMah = Annotated[float, _within(200, 50_000)]
# From a link within a city to one over a satellite.
RoundTripMilliseconds = Annotated[float, _within(1, 1_000)]

MEDIAN_KBIT_PER_S = {
    "fixed_line": (1_000.0, 1_000_000.0),
    "three_g": (64.0, 64_000.0),
    "lte": (300.0, 300_000.0),
    "five_g": (1_500.0, 1_500_000.0),
}
"""From and below: the median downlink of devices by kind of link."""

WIDEST_SPREAD = 1_000.0
"""The fastest tenth of devices is less than so many times as fast as the slowest."""
