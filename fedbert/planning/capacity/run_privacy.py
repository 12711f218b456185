"""What a capacity plan takes from a run's privacy: mechanism, noise, budget, and the quality with it."""

from collections.abc import Callable
from dataclasses import dataclass

from fedbert.budget import parse_budget
from fedbert.comparison import FINAL, FULL, STUDENTS
from fedbert.errors import FedbertError
from fedbert.intervals import Estimate
from fedbert.privacy.mechanism import Mechanism, PrivacySettings
from fedbert.results import RunResult
from fedbert.units import HOURS_PER_DAY


@dataclass(frozen=True)
class RunPrivacy:
    """The privacy of a run; `devices` are the phones that its noise was made for."""

    mechanism: str
    on_devices: bool  # whether phones add the noise
    noise_multiplier: float | None  # None: not private
    delta: float | None  # as asked for; None: by the fleet
    epsilon: float | None  # of the run, as asked for
    of_hidden: bool  # whether that epsilon is against one who does not see who took part
    budget: str | None
    devices: int
    quality: Estimate | None  # nDCG@10 of the final release, every session scored
    signal: str

    def delta_of(self, devices: int) -> float:
        """Return delta for a fleet: as asked for, or the smaller of 1e-6 and a tenth of 1/devices."""
        return self.delta if self.delta is not None else min(1e-6, 0.1 / devices)


def run_privacy(result: RunResult) -> RunPrivacy:
    """Return the privacy of a finished run; raises TypeError or ValueError for what it cannot be."""
    scenario, found = result["scenario"], result["privacy"]
    epsilon = _number(scenario["epsilon"])
    hidden, seen = _number(found["epsilon"]), _number(found["epsilon_unamplified"])
    of_hidden = False
    if epsilon is not None and hidden is not None and seen is not None:
        of_hidden = abs(hidden - epsilon) < abs(seen - epsilon)
    if (budget := scenario.get("budget")) is not None:
        parse_budget(budget)
    return RunPrivacy(
        mechanism=scenario["mechanism"],
        on_devices=found["mode"] == "local",
        noise_multiplier=_number(found["noise_multiplier"]),
        delta=_number(scenario["delta"]),
        epsilon=epsilon,
        of_hidden=of_hidden,
        budget=budget,
        devices=int(scenario.get("noise_cohort") or scenario["devices"]),
        quality=_final(result),
        signal=scenario["signal"],
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def gathering(result: RunResult) -> Callable[[int], int]:
    """Return how many rounds each round of a run opened as one sum (`Mechanism.gathered`)."""
    from fedbert.planning.budget.account import kind_of

    scenario = result["scenario"]
    settings = PrivacySettings(
        epsilon=scenario["epsilon"],
        delta=result["privacy"]["delta"],
        sampling_probability=result["privacy"]["sampling_probability"],
        clip_norm=1.0,
        rounds=int(scenario["rounds"]),
        rounds_per_day=HOURS_PER_DAY / float(scenario["round_hours"]),
        devices=int(scenario["devices"]),
        noise_multiplier=result["privacy"]["noise_multiplier"] or 0.0,
    )
    try:
        made: Mechanism = kind_of(scenario["mechanism"]).make(settings)
    except (
        FedbertError
    ):  # a mechanism of the user's own that is not there: its rounds are taken by themselves
        return lambda round_: 1
    return made.gathered


def _final(result: RunResult) -> Estimate | None:
    for row in result["comparison"]:
        if row["system"] == STUDENTS[FINAL] and row["inputs"] == FULL:
            return Estimate(row["quality"]["ndcg@10"], row["low"], row["high"])
    return None
