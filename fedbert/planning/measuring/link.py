"""Check-ins and report uploads through a real SuperLink, as figures of a calibration."""

from pathlib import Path

from fedbert.federation.places.measured_link import LinkMeasured, measure_link
from fedbert.planning.measuring.samples import Sample, fixed_and_each

SMALL_BYTES, LARGE_BYTES = 1_000, 1_000_000
"""Far apart: what a message costs whatever its size would hide the bytes of a report."""
ANSWERS, REPEATS = 10, 4
CHECK_IN_REPEATS = 5

_WHERE = "SuperLink and ServerApp on loopback, no TLS, asked by Flower's own SuperNode connection"
HOW_CHECK_IN = f"a poll that finds nothing; {_WHERE}"
HOW_UPLOAD = f"a question and its answer, a message each, whatever the size; {_WHERE}"
HOW_BYTE = f"for each byte of an answer; {_WHERE}"


def link_samples(folder: Path) -> list[Sample]:
    """Return what check-ins and uploads cost; `folder` is an empty one to work in."""
    pairs = [(ANSWERS, SMALL_BYTES), (ANSWERS, LARGE_BYTES)]
    # The first phase has the start of the ServerApp in it.
    measured = measure_link(folder, [(1, SMALL_BYTES), *pairs * REPEATS], CHECK_IN_REPEATS)
    return samples_of(measured)


def samples_of(measured: LinkMeasured) -> list[Sample]:
    """Return the figures of a deployment's phases: a first one, then pairs of small and large answers."""
    spent = [each / ANSWERS for each in measured.phase_cpu_s[1:]]
    fixed, each = fixed_and_each(spent[0::2], spent[1::2], SMALL_BYTES, LARGE_BYTES)
    grown = max(0, measured.memory_after_bytes - measured.memory_before_bytes)
    return [
        Sample("check_in_cpu_s", measured.check_in_cpu_s, HOW_CHECK_IN),
        Sample("upload_cpu_s", fixed, HOW_UPLOAD),
        Sample("upload_byte_cpu_s", each, HOW_BYTE),
        Sample("link_memory_bytes", (float(measured.memory_before_bytes),), "peak before any message"),
        Sample(
            "link_memory_growth_bytes",
            (float(grown),),
            f"growth with the ServerApp and {ANSWERS} answers of {LARGE_BYTES:,} bytes at a time",
        ),
    ]
