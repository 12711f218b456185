"""Units, in one place: bytes are decimal (1 MB = 10^6 bytes), times end in their unit."""

KILOBYTE = 1_000
MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
TERABYTE = 1_000_000_000_000
PETABYTE = 1_000_000_000_000_000

MS_PER_S = 1_000.0
MS_PER_HOUR = 3_600_000.0
HOURS_PER_DAY = 24.0
S_PER_HOUR = 3_600.0
S_PER_DAY = 86_400.0
BITS_PER_BYTE = 8

MJ_PER_J = 1_000.0
"""Millijoules in one joule."""

MJ_PER_MWH = 3_600.0
"""Millijoules in one milliwatt-hour."""


def significant(value: float, digits: int = 4) -> float:
    """Return `value` rounded to `digits` significant digits."""
    return float(f"{value:.{digits}g}")


def format_bytes(value: float) -> str:
    """Return `value` bytes as a short text with a decimal unit, as in ``1.91 MB``."""
    units = (("PB", PETABYTE), ("TB", TERABYTE), ("GB", GIGABYTE), ("MB", MEGABYTE), ("kB", KILOBYTE))
    for unit, size in units:
        if abs(value) >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:.0f} B"
