"""The profile of the machine at hand, as the TOML that any class of devices has."""

import os
import platform
import tempfile
import time
from pathlib import Path

import psutil

from fedbert.devices.host.fit import CoreConstants
from fedbert.devices.profiles import DeviceProfile
from fedbert.machine import cores, cpu_info, instruction_sets
from fedbert.units import significant

# Larger than the read-ahead of any system, small enough for three reads in a moment.
_FLASH_BYTES = 32_000_000
# A profile takes no more; what a phone stores is less by far.
_MOST_STORAGE_BYTES = 3_900_000_000_000
_POWER_MW, _BATTERY_MAH, _VOLTAGE_V = 5_000.0, 4_500.0, 3.85
_WIDEST_FIRST = ("avx512_vnni", "avx512f", "avx_vnni", "avx2", "asimddp", "asimd")


def processor() -> str:
    """Return the kind of processor in words, without a maker: `x86-64, 2 cores, AVX2`."""
    found = instruction_sets()
    widest = [name.upper() for name in _WIDEST_FIRST if name in found][:1]
    return ", ".join([platform.machine().replace("_", "-"), f"{cores()} cores", *widest])


def clock_ghz() -> float:
    """Return the processor's highest known clock, or 2 where the system does not tell."""
    known = psutil.cpu_freq()
    mhz = max(known.max, known.current) if known else float(cpu_info("cpu MHz") or 2_000)
    return round(min(max(mhz / 1e3, 0.2), 6.0), 3)


def flash_bytes_per_s() -> float:
    """Return how fast a file that is not in memory is read: the best of three."""
    best = 0.0
    with tempfile.NamedTemporaryFile() as file:
        file.write(os.urandom(_FLASH_BYTES))
        file.flush()
        os.fsync(file.fileno())
        for _ in range(3):
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            Path(file.name).read_bytes()
            best = max(best, _FLASH_BYTES / (time.perf_counter() - begin))
    return min(max(best, 1e6), 1e11)


def _core(fitted: CoreConstants) -> dict[str, float]:
    """Return the table of a core; rates are counts per microsecond, a thousandth of billions per second."""
    return {
        "int8_gmacs_per_s": significant(fitted.integer_per_us / 1e3),
        "float_gmacs_per_s": significant(fitted.float_per_us / 1e3),
        "memory_bytes_per_s": significant(fitted.bytes_per_us * 1e6),
        "overhead_us_per_operator": significant(fitted.operator_us),
        "power_mw": _POWER_MW,
        "element_gops_per_s": significant(fitted.element_per_us / 1e3),
        "overhead_us_per_product": significant(fitted.product_us),
        "overhead_us_per_run": significant(fitted.run_us),
        "parallel_share": significant(fitted.share),
        "wake_us_per_product": significant(fitted.wake_us),
    }


_MEASURED = "measured by fedbert profiles calibrate-host: "
_CORE_SOURCES = {
    "int8_gmacs_per_s": "fit of quantised products and attention, 8 to 128 rows",
    "float_gmacs_per_s": "fit of float products and attention, 8 to 128 rows",
    "memory_bytes_per_s": "fit of 4 to 8 MiB of matrices, each used once, for 8 rows",
    "overhead_us_per_operator": "fit of chains of operators on one element",
    "element_gops_per_s": "fit of sums, normalisations, soft-max, GELU and quantisation",
    "overhead_us_per_product": "fit of quantised and float products of few rows",
    "overhead_us_per_run": "fit of chains of 2 and 32 operators on one element",
    "parallel_share": "fit of all operators on two threads",
    "wake_us_per_product": "fit of all operators on two threads",
}


def host_profile(fitted: CoreConstants, load_ms: float, flash: float) -> DeviceProfile:
    """Return the profile of this machine, with nothing in it that a profile's file may leave out."""
    memory, core = psutil.virtual_memory(), _core(fitted)
    free = int(memory.available)
    sources = {
        "year": "assumed: the year of the calibration",
        "ram_bytes": "measured by psutil: all memory",
        "storage_bytes": "measured by psutil: the disk of the system",
        "battery_mah": "assumed: a usual phone's; a machine on the mains has none",
        "battery_voltage_v": "assumed: nominal voltage of a lithium-ion cell",
        "clusters": "measured by the operating system: cores this process may use, highest known clock",
        "free_memory": "measured by psutil: memory available now is the median; spread assumed",
        "load.fixed_ms": _MEASURED + "session of a BERT of 4 layers that is 32 wide",
        "load.flash_bytes_per_s": _MEASURED + "file read from the disk",
        "radios": "assumed: not known of this machine",
    }
    for table in ("big_core", "little_core"):
        sources |= {f"{table}.{key}": _MEASURED + text for key, text in _CORE_SOURCES.items()}
        sources[f"{table}.power_mw"] = "assumed: one busy core of a laptop"
    values = {
        "name": f"This machine · {memory.total / 1e9:.0f} GB",
        "tier": "flagship",
        "year": time.localtime().tm_year,
        "soc": processor(),
        "ram_bytes": int(memory.total),
        "storage_bytes": min(int(psutil.disk_usage("/").total), _MOST_STORAGE_BYTES),
        "battery_mah": _BATTERY_MAH,
        "battery_voltage_v": _VOLTAGE_V,
        "clusters": [{"core": platform.machine(), "count": min(cores(), 16), "clock_ghz": clock_ghz()}],
        "big_core": core,
        "little_core": dict(core),
        "free_memory": {
            "p10_bytes": free // 2,
            "p50_bytes": free,
            "p90_bytes": (free + int(memory.total)) // 2,
        },
        "load": {"fixed_ms": significant(load_ms), "flash_bytes_per_s": significant(flash)},
        "radios": {"three_g": 0.0, "lte": 1.0, "five_g": 0.0},
        "sources": sources,
    }
    return DeviceProfile.model_validate(values)
