"""The round without any framework: ``python benchmarks/peers/run_plain.py --work DIR``.

A loop over the phones in one process: what the phones' own Python takes, which is in every peer's time too.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from phone import Clock, phone, read_work, tell
from phone import digest as digest_of


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that run_fedbert.py wrote")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    begun = time.perf_counter()
    work = read_work(given.work)
    phone(work, 0)
    start_s = time.perf_counter() - begun
    clock, total = Clock(), np.zeros(work.size, np.int64)
    counts = np.zeros(3, np.int64)
    for device in range(work.devices):
        sessions, clicks, report = phone(work, device)
        counts += sessions, clicks, report is not None
        if report is not None:
            total[report[0]] += report[1]
    wall_s, cpu_s = clock.read()
    found = {
        "system": "plain loop",
        "version": f"numpy {np.__version__}",
        "how": "one process",
        "devices": work.devices,
        **dict(zip(("sessions", "clicks", "reports"), counts.tolist(), strict=True)),
        "start_s": start_s,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "sum_sha256": digest_of(total),
    }
    tell(found, given.output)


if __name__ == "__main__":
    main()
