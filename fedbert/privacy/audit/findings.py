"""What an audit found, and when it fails: bounds beside their proofs, and tests of the noise.

A bound at .05 exceeds the truth once in twenty times, so that it can exceed the proof of a sound mechanism.
A fault is called one at a family-wise level of .001: all checks of an audit together fail a sound run once in
a thousand times.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.privacy.audit.bounds import independent_lower_bound, one_run_lower_bound
from fedbert.privacy.mechanism import Bound

SIGNIFICANCE = 0.05
"""Of the lower bounds that are reported."""

FAMILY_LEVEL = 0.001
"""Chance that any check of an audit fails a run that is sound."""

# Half of them are in: then none takes part once in e^30 times.
_SOME_CANARIES = 60

CHECKS = 12
"""Most checks of an audit: two paths, two adversaries, two ways to bound; four tests of the noise."""


@dataclass(frozen=True)
class BoundFinding:
    """What one adversary gets along one path, beside the proof against it."""

    path: str
    adversary: str
    canaries: int
    rounds: int
    epsilon: float
    """Lower bound at `SIGNIFICANCE`, the better of the two ways."""
    epsilon_one_run: float
    """The same without taking canaries as independent."""
    epsilon_sure: float
    """Lower bound at the level at which a fault is called one."""
    proved: float
    epsilon_without_noise: float
    """The same audit where the noise is left out: what it can find at all."""

    @property
    def fault(self) -> str:
        """Why the run fails, in a sentence without its full stop; empty if it does not."""
        if self.epsilon_sure > self.proved:
            return (
                f"{self.path}: one who {self.adversary} gets an epsilon of {self.epsilon_sure:.3g} at least, "
                f"and {self.proved:.3g} was proved"
            )
        return ""


@dataclass(frozen=True)
class Scores:
    """Scores of canaries, with the noise and without it: `[canary]` each."""

    noisy: NDArray[np.float64]
    clean: NDArray[np.float64]
    included: NDArray[np.bool_]
    took_part: NDArray[np.bool_]
    """Whether it is in and its sums were opened at least once."""


def bound_finding(
    path: str, rounds: int, proof: Bound, scores: Scores, gaussian: bool, independent: bool
) -> BoundFinding:
    """Return what `scores` show beside `proof`; `independent`: canaries do not lean on each other."""

    def bound(of: NDArray[np.float64], significance: float) -> tuple[float, float]:
        level = significance / 2 if independent else significance
        included, delta = scores.included, proof.delta
        one_run = one_run_lower_bound(of, included, significance=level, delta=delta, gaussian=gaussian)
        if not independent:
            return one_run, one_run
        apart = independent_lower_bound(of, included, significance=level, delta=delta, gaussian=gaussian)
        return one_run, max(one_run, apart)

    one_run, best = bound(scores.noisy, SIGNIFICANCE)
    return BoundFinding(
        path=path,
        adversary=proof.adversary,
        canaries=len(scores.included),
        rounds=rounds,
        epsilon=best,
        epsilon_one_run=one_run,
        epsilon_sure=bound(scores.noisy, 2 * FAMILY_LEVEL / CHECKS)[1],
        proved=proof.epsilon,
        epsilon_without_noise=bound(scores.clean, SIGNIFICANCE)[1],
    )


def blind(path: str, scores: Scores, times: float) -> str:
    """Return why an audit sees nothing, empty if it does: without noise no canary may stay hidden.

    Every canary that took part must then score above every one that is out. `times` is how often a device is
    expected to join in all rounds; where some dozen canaries are, and none does, the audit is at fault too.
    """
    took_part = int(scores.took_part.sum())
    if not took_part:
        return f"{path}: no canary took part" if times * len(scores.included) > _SOME_CANARIES else ""
    outside = scores.clean[~scores.included]
    hidden = int((scores.clean[scores.took_part] <= outside.max(initial=-np.inf)).sum())
    if not hidden:
        return ""
    return (
        f"{path}: {hidden:,} of {took_part:,} canaries that took part do not show in sums without noise, so "
        "the audit could find nothing"
    )
