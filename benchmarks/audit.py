"""Lower bounds beside proofs: python benchmarks/audit.py [--seeds 10] [--epsilons 1 2 8] [--real-path]
[--settings daily "daily, local"].

For each mechanism, epsilon and seed, 20,000 canaries through the mechanism's functions, or with `--real-
path` planted phones through clipping, masks and aggregator, over a day of 12 rounds at delta 1e-6. Figures
are means over seeds: what was proved; the lower bounds at 95 %, the better one and that of one run; the
same without noise; and how many seeds were above the proof at the family-wise level .001. With half of the
noise: the lower bound at that level, and how many seeds were caught by it alone. Where phones add the noise
an attacker reads single reports, and each figure is of one report.
"""

import argparse
import dataclasses

import numpy as np

from fedbert.federation.environment import Environment, load_mechanism
from fedbert.federation.server import starting_artefact
from fedbert.privacy.audit.attacks import attacked
from fedbert.privacy.audit.canaries import Transcript, send
from fedbert.privacy.audit.reports import send_reports
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import SEES_PARTICIPATION, SEES_REPORTS
from fedbert.scenario import Scenario
from fedbert.simulation.local_audit import planted_reports
from fedbert.simulation.real_path import planted_audit

ROUNDS, CANARIES = 12, 20_000

SETTINGS: dict[str, dict[str, object]] = {
    "poisson, q .1": {"mechanism": "poisson"},
    "poisson, q 1": {"mechanism": "poisson", "sampling_probability": 1.0},
    "allocated": {"mechanism": "allocated"},
    "correlated": {"mechanism": "correlated"},
    "tree": {"mechanism": "tree"},
    "daily": {"mechanism": "daily"},
    "daily, local": {"mechanism": "daily", "mode": "local"},
}

ATTACKERS = {SEES_PARTICIPATION: "participation seen", SEES_REPORTS: "single reports seen"}

COLUMNS = "| mechanism | attacker | proved | at least | of one run | no noise | above | half noise | caught |"


def transcripts(scenario: Scenario, seeds: int, real_path: bool) -> list[tuple[Transcript, bool]]:
    """Return a transcript for each seed, and whether its canaries are independent."""
    mechanism, numbers = load_mechanism(scenario), range(2, seeds + 2)
    if not real_path and isinstance(mechanism, Local):
        return [(send_reports(mechanism, seed, CANARIES), True) for seed in numbers]
    if not real_path:
        return [(send(mechanism, seed, CANARIES, ROUNDS), True) for seed in numbers]
    environment = Environment.create(scenario, starting_artefact(scenario.model))
    if isinstance(mechanism, Local):
        reports = [planted_reports(environment, mechanism, seed)[0] for seed in numbers]
        return [(each, True) for each in reports if each is not None]
    planted = [planted_audit(environment, seed, ROUNDS) for seed in numbers]
    return [(each.transcript, each.independent) for each in planted if each is not None]


def main() -> None:
    """Run all settings and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 2.0, 8.0])
    parser.add_argument("--real-path", action="store_true")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    given = parser.parse_args()
    print(f"{COLUMNS}\n|---|---|---|---|---|---|---|---|---|")
    for name, changes in ((name, SETTINGS[name]) for name in given.settings):
        for epsilon in given.epsilons:
            scenario = Scenario(rounds=ROUNDS, delta=1e-6, epsilon=epsilon, **changes)
            mechanism = load_mechanism(scenario)
            rows = []
            for sound, alone in transcripts(scenario, given.seeds, given.real_path):
                halved = dataclasses.replace(sound, noise=sound.noise / 2)
                both = (attacked(mechanism, "", each, alone)[0] for each in (sound, halved))
                rows.append(list(zip(*both, strict=True)))
            for pairs in zip(*rows, strict=True):
                right, half = ([pair[place] for pair in pairs] for place in (0, 1))
                attacker = ATTACKERS.get(right[0].adversary, "participation not seen")
                means = [
                    np.mean([getattr(each, key) for each in right])
                    for key in ("proved", "epsilon", "epsilon_one_run", "epsilon_without_noise")
                ]
                print(
                    f"| {name}, epsilon {epsilon:g} | {attacker} | "
                    + " | ".join(f"{mean:.2f}" for mean in means)
                    + f" | {sum(bool(each.fault) for each in right)}"
                    + f" | {np.mean([each.epsilon_sure for each in half]):.2f}"
                    + f" | {sum(bool(each.fault) for each in half)} of {len(half)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
