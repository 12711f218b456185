"""What the signals win: python benchmarks/gap.py [--devices 10000] [--seeds 3].

For each setting and seed one run. Figures are means over seeds, with t-intervals, of the int8 student on all
evaluation sessions: release 0, the final release, the pooled-data bound, and the share of the gap closed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fedbert.intervals import t_interval

ROOT = Path(__file__).parent.parent

SETTINGS = {
    "always available, no noise": ["--availability", "always"],
    "always available, epsilon 2": ["--availability", "always", "--epsilon", "2", "--delta", "1e-6"],
    "default availability, no noise": [],
    "default availability, epsilon 2": ["--epsilon", "2", "--delta", "1e-6"],
}


def _interval(values: list[float], digits: int = 3) -> str:
    found = t_interval(np.array(values))
    if found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"


def main() -> None:
    """Run all settings and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(SETTINGS), help="one setting")
    arguments = parser.parse_args()
    print("| setting | scoring | release 0 | final | pooled bound | gap | closed |")
    print("|---|---|---|---|---|---|---|")
    for name, flags in SETTINGS.items():
        if arguments.only not in (None, name):
            continue
        gaps = []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "run"
                command = [sys.executable, str(ROOT / "simulations" / "run.py"), *flags]
                command += ["--devices", str(arguments.devices), "--seed", str(seed), "--output", str(output)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                gaps.append(json.loads((output / "run.json").read_text())["gap"])
        for scoring, prefix in (("text, history, user model", ""), ("text only", "text_only_")):
            first, final, pooled = (
                [gap[prefix + key] for gap in gaps] for key in ("release_0", "final", "pooled")
            )
            gap = [b - a for a, b in zip(first, pooled, strict=True)]
            closed = [(b - a) / g for a, b, g in zip(first, final, gap, strict=True)]
            cells = [_interval(values) for values in (first, final, pooled, gap)]
            print(f"| {name} | {scoring} | {' | '.join(cells)} | {_interval(closed, 2)} |", flush=True)


if __name__ == "__main__":
    main()
