"""Time and memory of whole runs: python benchmarks/scale.py 10000 100000 1000000.

Each run is a process of its own; the figures are wall time from start to finished report, and the largest
resident memory of the process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run each fleet once and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", nargs="+", type=int)
    parser.add_argument("flags", nargs="*", help="after --: further flags of simulations/run.py")
    arguments = parser.parse_args()
    print("| devices | wall, s | peak memory, GB | device-rounds per second |")
    print("|---|---|---|---|")
    for devices in arguments.devices:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "run"
            command = [sys.executable, str(ROOT / "simulations" / "run.py"), "--devices", str(devices)]
            started = time.perf_counter()
            subprocess.run(
                [*command, *arguments.flags, "--output", str(output)], check=True, stdout=subprocess.DEVNULL
            )
            wall = time.perf_counter() - started
            result = json.loads((output / "run.json").read_text())
        memory = result["peak_memory_bytes"] / 1e9
        rate = devices * len(result["rounds"]) / wall
        print(f"| {devices:,} | {wall:.0f} | {memory:.2f} | {rate:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
