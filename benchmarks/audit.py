"""Lower bounds beside proofs: python benchmarks/audit.py [--seeds 10] [--canaries 20000] [--epsilons 1 2 8].

For each mechanism, epsilon and seed, canaries through the mechanism's functions over a day of 12 rounds, at
delta 1e-6. Figures are means over seeds: what was proved; the lower bounds at 95 %, the better one and that
of one run; the same without noise; and how many seeds were above the proof at the family-wise level .001.
With half of the noise: the lower bound at that level, and how many seeds were caught by it alone.
"""

import argparse
import dataclasses
from collections.abc import Iterator

import numpy as np

from fedbert.federation.environment import load_mechanism
from fedbert.privacy.audit.canaries import Transcript, joins_of, scores_seen, scores_unseen, send
from fedbert.privacy.audit.findings import BoundFinding, Scores, bound_finding
from fedbert.privacy.audit.gaussian_events import is_gaussian
from fedbert.privacy.mechanism import SEES_PARTICIPATION, Mechanism
from fedbert.scenario import Scenario

ROUNDS = 12

SETTINGS: dict[str, dict[str, object]] = {
    "poisson, q .1": {},
    "poisson, q 1": {"sampling_probability": 1.0},
    "once a day": {"sampler": "once-a-day", "sampling_probability": 1.0},
}


def findings(mechanism: Mechanism, transcript: Transcript, law: np.ndarray) -> Iterator[BoundFinding]:
    """Yield what each adversary that has a proof gets of a transcript."""
    took_part = transcript.included & (transcript.mixing @ transcript.joined > 0).any(axis=0)
    for proof in mechanism.spent(ROUNDS):
        noisy, clean = (
            scores_seen(transcript, sums)
            if proof.adversary == SEES_PARTICIPATION
            else scores_unseen(transcript, sums, law)
            for sums in (transcript.opened, transcript.clean)
        )
        scores = Scores(noisy, clean, transcript.included, took_part)
        yield bound_finding("", ROUNDS, proof, scores, is_gaussian(mechanism.event(ROUNDS)), True)


def main() -> None:
    """Run all settings and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--canaries", type=int, default=20_000)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 2.0, 8.0])
    given = parser.parse_args()
    columns = "mechanism|attacker|proved|at least|of one run|no noise|above|half the noise|caught"
    print(f"| {columns.replace('|', ' | ')} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, changes in SETTINGS.items():
        for epsilon in given.epsilons:
            mechanism = load_mechanism(Scenario(rounds=ROUNDS, delta=1e-6, epsilon=epsilon, **changes))
            rows: list[list[tuple[BoundFinding, BoundFinding]]] = []
            for seed in range(given.seeds):
                sound = send(mechanism, 2 * seed, given.canaries, ROUNDS)
                halved = dataclasses.replace(sound, noise=sound.noise / 2)
                law = joins_of(mechanism, 2 * seed + 1, given.canaries, ROUNDS)
                both = (findings(mechanism, each, law) for each in (sound, halved))
                rows.append(list(zip(*both, strict=True)))
            for pairs in zip(*rows, strict=True):
                right, half = ([pair[place] for pair in pairs] for place in (0, 1))
                means = [
                    np.mean([getattr(each, key) for each in right])
                    for key in ("proved", "epsilon", "epsilon_one_run", "epsilon_without_noise")
                ]
                print(
                    f"| {name}, epsilon {epsilon:g} | {right[0].adversary} | "
                    + " | ".join(f"{mean:.2f}" for mean in means)
                    + f" | {sum(bool(each.fault) for each in right)}"
                    + f" | {np.mean([each.epsilon_sure for each in half]):.2f}"
                    + f" | {sum(bool(each.fault) for each in half)} of {len(half)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
