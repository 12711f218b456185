"""Who is asked, and what it changes: python benchmarks/selections.py [--seeds 3] [--devices 2000]
[--selections uniform by-tier by-staleness oort].

For each selection and seed a day of rounds without privacy that close with their first reports, each asking
as many phones in the mean: a selection that leaves phones out gets a rate as much higher. Printed are, as
means over seeds with 95 % t-intervals, nDCG@10 of the final release, and minus that of the first selection on
the same seed, every session scored; the median length of a round; the share of flagships in the reports.
"""

import argparse
from statistics import median
from typing import Any

import numpy as np

from fedbert.intervals import t_interval
from fedbert.reporting.run.asked import tier_shares
from fedbert.results import RunResult
from fedbert.scenario import Execution, Scenario
from fedbert.simulation.simulate import run

ASKED = 0.1
KEPT = {"uniform": 1.0, "by-tier": 0.84, "by-staleness": 0.6, "oort": 1.0}
"""Share of drawn phones that each is taken to keep in the mean: by-tier by the default fleet's shares."""

BASE: dict[str, Any] = {
    "model": "tiny",
    "rounds": 12,
    "epsilon": None,
    "mechanism": "poisson",
    "availability": "always",
    "release_every": 1,
    "pooled_bound": False,
    "verify_masks": 0,
}


def one(selection: str, seed: int, devices: int) -> tuple[float, float, float, float]:
    """Return (final nDCG@10, median round in s, flagships' share of reports, phones asked a round)."""
    scenario = Scenario(
        **BASE,
        devices=devices,
        seed=seed,
        selection=selection,
        sampling_probability=ASKED / KEPT[selection],
        target_reports=round(0.6 * ASKED * devices),
    )
    result: RunResult = run(scenario, Execution(shards=1)).result
    final = next(row for row in result["comparison"] if row.get("id") == "final_full")["quality"]["ndcg@10"]
    rows = result["rounds"][1:]
    lengths = [row.get("round_s", 0.0) for row in rows]
    share = tier_shares(result["tiers"], len(rows))["flagship"][3]
    return final, median(lengths), share or 0.0, float(np.mean([row["cohort"] for row in rows]))


def interval(values: list[float], digits: int) -> str:
    """Return the mean with half of its 95 % t-interval over seeds."""
    found = t_interval(np.array(values))
    half = 0.0 if found.high is None else found.high - found.value
    return f"{found.value:.{digits}f} ± {half:.{digits}f}"


def main() -> None:
    """Run every selection on every seed and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--selections", nargs="+", choices=list(KEPT), default=list(KEPT))
    asked = parser.parse_args()
    if asked.seeds < 2:
        parser.error("an interval needs --seeds 2 at least")
    plain: list[float] = []
    print("| selection | drawn a round | final | minus the first | round, median (s) | flagships |")
    for name in asked.selections:
        runs = [one(name, seed, asked.devices) for seed in range(asked.seeds)]
        final, length_s, flagship, cohort = ([run_[place] for run_ in runs] for place in range(4))
        plain = plain or final
        differences = [own - other for own, other in zip(final, plain, strict=True)]
        print(
            f"| `{name}` | {np.mean(cohort):.0f} | {interval(final, 3)} | {interval(differences, 4)} "
            f"| {interval(length_s, 2)} | {interval(flagship, 3)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
