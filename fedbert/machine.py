"""What can be asked of the machine a run is on: its processor, its cores, memory and CPU time used so far.

Which precision a run trains in may depend on the processor, so what decides it is asked for here.
"""

import os
import platform
import resource
import sys
import time
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.errors import invalid

Precision = Literal["auto", "float32", "bfloat16"]
"""What matrix products of training are computed in; `auto` leaves it to the processor."""
Used = Literal["float32", "bfloat16"]

PRECISIONS: tuple[str, ...] = get_args(Precision)
INSTRUCTION_SETS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
"""The instruction sets that decide how matrices are multiplied here, by the names that Linux gives them."""
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CPU_INFO = Path("/proc/cpuinfo")


_most_cores: int | None = None


def limit_cores(most: int) -> None:
    """Let this process take at most `most` cores from now on: it shares the machine with others like it."""
    global _most_cores
    _most_cores = most


def cores() -> int:
    """Return the processor cores this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return here if _most_cores is None else min(here, _most_cores)


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far.

    Linux's own counter is asked first: `getrusage` has that of the process that started this one in it.
    """
    if (own := _peak_of(os.getpid())) is not None:
        return own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds that process `pid` has used so far, all its threads together.

    Raises ProcessLookupError if there is none.
    """
    try:
        # What clock_getcpuclockid(3) gives: nanoseconds, where the process table has hundredths of a second.
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, AttributeError):
        import psutil

    try:
        spent = psutil.Process(pid).cpu_times()
    except psutil.Error:
        raise ProcessLookupError(pid) from None
    return float(spent.user + spent.system)


def process_memory_bytes(pid: int) -> int:
    """Return the largest resident memory of process `pid` so far; where that is not told, its present one."""
    if (peak := _peak_of(pid)) is not None:
        return peak
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        raise ProcessLookupError(pid) from None


def _peak_of(pid: int) -> int | None:
    """Return the largest resident memory of a process as Linux has it, None where it is not told."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        return int(next(line for line in text.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
    except (OSError, StopIteration):
        return None


@cache
def _description() -> str:
    """Return Linux's description of the processor; nothing on another system, where no figure needs it."""
    try:
        return _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def cpu_info(key: str, description: str | None = None) -> str:
    """Return the first value of `key` in Linux's description of the processor, or nothing."""
    lines = (_description() if description is None else description).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")


def instruction_sets(description: str | None = None) -> list[str]:
    """Return those of `INSTRUCTION_SETS` that the processor has, in that order.

    `description` is a text like Linux's /proc/cpuinfo; without one it is that of this machine. Where the
    system has no such text the list is empty: nothing is known.
    """
    # x86 calls the line flags, Arm Features.
    named = f"{cpu_info('flags', description)} {cpu_info('Features', description)}".split()
    return [name for name in INSTRUCTION_SETS if name in named]


def processor_name() -> str:
    """Return the processor's name as the system tells it, else its architecture."""
    return cpu_info("model name") or platform.processor() or platform.machine()


def checked_precision(precision: str) -> Precision:
    """Return `precision`; raises FedbertError unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise invalid("precision", precision, f"be one of {', '.join(PRECISIONS)}")
    return cast(Precision, precision)


def precision_used(precision: str, sets: Collection[str] | None = None) -> Used:
    """Return what `precision` means on a processor with the instruction `sets` (default: this one).

    `auto` is bfloat16 where the processor multiplies it itself; elsewhere it would only be slower. Raises
    FedbertError for an unknown precision.
    """
    if checked_precision(precision) == "auto":
        native = not _BFLOAT16.isdisjoint(instruction_sets() if sets is None else sets)
        return "bfloat16" if native else "float32"
    return "bfloat16" if precision == "bfloat16" else "float32"


class MachineRecord(TypedDict):
    """What a figure may depend on of the machine."""

    processor: str
    architecture: str
    instruction_sets: list[str]  # those of `INSTRUCTION_SETS`
    cores: int
    training_threads: int  # torch's
    precision: str  # float32 | bfloat16, whichever is in use


def machine_record(precision: str, training_threads: int) -> MachineRecord:
    """Return what a figure may depend on of the machine: processor, cores, and the precision in use.

    `training_threads` are torch's. Raises FedbertError for an unknown precision.
    """
    return {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "instruction_sets": instruction_sets(),
        "cores": cores(),
        "training_threads": training_threads,
        "precision": precision_used(precision),
    }
