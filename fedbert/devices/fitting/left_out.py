"""How far the fitted times are off where they were not fitted: one SoC, or one network, left out in turn."""

from collections.abc import Sequence

import numpy as np

from fedbert.devices.fitting.fitting import CoreFacts, Flags, Floats, Problem, Timings


def leave_out(
    timings: Timings, cores: dict[str, CoreFacts], part: Sequence[str], fitted: Flags | None = None
) -> Floats:
    """Return predicted / measured - 1 [row], each row predicted from the rows with another `part` [row].

    `fitted` [row] are the rows that may be fitted to; the others are only predicted (default: all are).
    """
    usable = np.ones(len(timings), np.bool_) if fitted is None else fitted
    problem = Problem.of(timings, cores)
    everything = problem.solve(usable)
    errors = np.zeros(len(timings))
    names = np.array(part)
    for name in sorted(set(part)):
        mine = names == name
        # Effects of what is left out are not in the point that the rest is fitted from: start those at 0.
        start = np.where(_seen(problem, usable & ~mine), everything, 0.0)
        point = problem.solve(usable & ~mine, start)
        errors[mine] = problem.seconds(point)[mine] / timings.seconds[mine] - 1
    return errors


def _seen(problem: Problem, rows: Flags) -> Flags:
    """Return which effects some of `rows` have."""
    return np.concatenate([(design[rows] != 0).any(axis=0) for design in problem.designs])


def known_cores(timings: Timings) -> Flags:
    """Return the rows whose core also stands in another SoC: leaving theirs out, something is known."""
    socs: dict[str, set[str]] = {}
    for core, soc in zip(timings.core, timings.soc, strict=True):
        socs.setdefault(core, set()).add(soc)
    return np.array([len(socs[core]) > 1 for core in timings.core])


def with_one_time(timings: Timings, errors: Floats, network: str, precision: int) -> tuple[Floats, Flags]:
    """Return (errors, rows) where the time of `network` on the same board and core is known.

    All predictions of that board and core are scaled by what that one time is off. Rows that this says
    nothing about, and that of `network` itself, are left out.
    """
    places = list(zip(timings.board, timings.core, strict=True))
    probe = np.array([name == network for name in timings.network]) & (timings.precision == precision)
    scale: dict[tuple[str, str], float] = {places[row]: 1 + errors[row] for row in np.flatnonzero(probe)}
    rows = np.array([place in scale for place in places]) & ~probe
    factor = np.array([scale.get(place, 1.0) for place in places])
    return (1 + errors) / factor - 1, rows
