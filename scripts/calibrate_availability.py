"""Find the parameters of availability and of sessions from the published shapes:
``calibrate_availability.py``.

Prints the parameters, which then stand in `fedbert/devices/habits.py` and `participation.py` by hand, and the
tables of docs/devices.md that they give. The search is Nelder-Mead on the squared distances from the targets
in units of their tolerances, with a weak pull towards plausible values, over fixed random numbers: the same
machine finds the same parameters again. About five minutes on one core. ``--check`` only prints the shapes of
the parameters as they are.
"""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from fedbert.devices.fitting.availability_report import availability_table, shapes
from fedbert.devices.fitting.participation import SESSIONS, SessionParameters, round_endings
from fedbert.devices.habits import PARAMETERS, Parameters

DEVICES, SEED = 8_000, 1
"""Devices and seed of the search; the check in the docs has others."""

SWING, ELIGIBLE, TOP_SHARE = 4.0, 0.22, 0.86
DONE, LATE, INTERRUPTED, ROUND_S = 0.75, 0.22, 0.02, 150.0
"""Targets: FLINT's 22 % eligible, Bonawitz et al.'s swing and ends of sessions, FLASH's top 30 %, and the
middle of rounds of two to three minutes."""


class Free(NamedTuple):
    """A parameter to find: a plausible value to start from and be pulled to, and how far off is one unit."""

    name: str
    plausible: float
    spread: float  # of the logarithm, or of the log odds of a share
    share: bool = True


HABITS = (
    Free("docked_share", 0.05, 1.0),
    Free("nightly_share", 0.31, 1.0),
    Free("stay_hours", 6.0, 1.0, share=False),
    Free("top_up", 0.06, 0.3),
    Free("seldom_plug", 0.05, 0.3),
)
ENDS = (
    Free("median_s", 100.0, 2.0, share=False),
    Free("round_sigma", 0.2, 2.0, share=False),
    Free("interrupted_share", 0.25, 2.0),
    Free("lost_share", 0.10, 2.0),
)


def values_of(free: tuple[Free, ...], at: NDArray[np.float64]) -> dict[str, float]:
    """Return the parameters at a point of the search, one coordinate each, 0 at the plausible values."""
    found = {}
    for one, step in zip(free, at.tolist(), strict=True):
        odds = one.plausible / (1 - one.plausible) if one.share else one.plausible
        moved = odds * math.exp(step * one.spread)
        found[one.name] = moved / (1 + moved) if one.share else moved
    return found


def search(free: tuple[Free, ...], misfit: Callable[[dict[str, float]], float]) -> dict[str, float]:
    """Return the parameters of least `misfit` and pull, to three digits."""

    def objective(at: NDArray[np.float64]) -> float:
        # The pull: one unit away from what is plausible costs as much as a fifth of a tolerance.
        return misfit(values_of(free, at)) + 0.04 * float(at @ at)

    start = np.vstack([np.zeros(len(free)), 0.3 * np.eye(len(free))])
    options: dict[str, Any] = {"initial_simplex": start, "maxfev": 150, "xatol": 0.01, "fatol": 1e-4}
    best = minimize(objective, start[0], method="Nelder-Mead", options=options)
    return {name: float(f"{value:.3g}") for name, value in values_of(free, best.x).items()}


def habits_misfit(values: dict[str, float]) -> float:
    """Return the squared distance of the habits' shapes from those published."""
    parameters = replace(PARAMETERS, **values)
    if parameters.docked_share + parameters.nightly_share > 1:
        return 1e6
    found = shapes(parameters, DEVICES, seed=SEED)
    return (
        ((found.eligible - ELIGIBLE) / 0.01) ** 2
        + (math.log(found.swing / SWING) / 0.05) ** 2
        + ((found.top_share - TOP_SHARE) / 0.01) ** 2
    )


def ends_misfit(values: dict[str, float]) -> float:
    """Return the squared distance of the ends of sessions from those published."""
    parameters = replace(SESSIONS, **values)
    if parameters.interrupted_share + parameters.lost_share > 1:
        return 1e6
    found = round_endings(seed=SEED, parameters=parameters)
    return (
        ((found.done - DONE) / 0.005) ** 2
        + ((found.late - LATE) / 0.005) ** 2
        + ((found.interrupted - INTERRUPTED) / 0.002) ** 2
        + ((float(found.closed_s.mean()) - ROUND_S) / 5) ** 2
    )


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="search nothing, print the shapes as they are")
    habits: Parameters = PARAMETERS
    sessions: SessionParameters = SESSIONS
    if not parser.parse_args().check:
        habits = replace(habits, **search(HABITS, habits_misfit))
        sessions = replace(sessions, **search(ENDS, ends_misfit))
    for settings, free in ((habits, HABITS), (sessions, ENDS)):
        for one in free:
            print(f"{one.name} = {getattr(settings, one.name):g}")
    print("", *availability_table(habits, sessions), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
