"""The arms of a grid: what is compared at each seed, and the cells that they make.

An arm is a signal in a mechanism at a budget. Every grid has one arm more that is not asked for: `public`,
the same updates from public texts alone. No update at all needs no run: release 0 is ranked in every cell.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedbert.planning.tradeoff.epsilons import epsilon_text
from fedbert.scenario import Scenario, build

PUBLIC = "public"
"""The signal of the arm without signals (`fedbert.signals.prototypes.public`)."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    scenario: Scenario

    @property
    def name(self) -> str:
        """``<signal>-<mechanism>-<epsilon>-<seed>``, also the cell's folder."""
        scenario = self.scenario
        parts = (_slug(scenario.signal), _slug(scenario.mechanism), epsilon_text(scenario.epsilon))
        return "-".join((*parts, str(scenario.seed)))

    @property
    def words(self) -> str:
        """The cell for people."""
        scenario = self.scenario
        budget = f"epsilon {epsilon_text(scenario.epsilon)}"
        return f"{scenario.signal}, {scenario.mechanism}, {budget}, seed {scenario.seed}"


def _slug(name: str) -> str:
    """Return a part's name as a folder may be called: ``my.py:Votes`` becomes ``my.py_Votes``."""
    return re.sub(r"[^A-Za-z0-9._]+", "_", name).strip("_")


def plan(
    scenario: Scenario,
    epsilons: Sequence[float | None],
    seeds: int,
    signals: Sequence[str] = (),
    mechanisms: Sequence[str] = (),
) -> list[Cell]:
    """Return the cells, seed by seed, so that a stopped grid has whole columns.

    Seeds are `scenario.seed`, `scenario.seed + 1`, ...; without `signals` or `mechanisms` there is one, the
    scenario's own. The arm `public` comes first at each seed. Raises FedbertError where one is out of range.
    """
    values = scenario.model_dump()
    arms: list[dict[str, Any]] = [
        {"signal": signal, "mechanism": mechanism, "epsilon": epsilon}
        for signal in (signals or (scenario.signal,))
        if signal != PUBLIC
        for mechanism in (mechanisms or (scenario.mechanism,))
        for epsilon in epsilons
    ]
    arms.insert(0, {"signal": PUBLIC, "mechanism": (mechanisms or (scenario.mechanism,))[0], "epsilon": None})
    for arm in arms:
        if arm["epsilon"] is None:  # no noise, none to scale
            arm["noise_cohort"] = None
    return [
        Cell(build(values | arm | {"seed": scenario.seed + step})[0]) for step in range(seeds) for arm in arms
    ]
