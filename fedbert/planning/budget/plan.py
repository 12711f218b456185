"""What a privacy plan is: the question, and what each mechanism makes of it. Values only."""

from dataclasses import dataclass
from typing import Literal

from fedbert.planning.budget.noise import Shares
from fedbert.units import HOURS_PER_DAY

HORIZON_DAYS = (1, 30, 365)
"""Days after which the epsilon of the planned noise is said, beside those of the budget."""

Participation = Literal["seen", "not seen"]
"""Whether the adversary sees which devices took part."""


@dataclass(frozen=True)
class Question:
    """The budget and the fleet; `days` >= 1, `delta` as asked for or None for the default of the fleet."""

    epsilon: float
    days: int
    delta: float | None
    devices: int
    round_hours: float
    sampling_probability: float  # over-selection included
    release_every: int
    availability: str  # the model of when phones can take part
    shares: Shares  # of those that join a round: who reports. Modelled
    signal: str

    @property
    def rounds_per_day(self) -> float:
        """Rounds in 24 hours."""
        return HOURS_PER_DAY / self.round_hours

    @property
    def rounds(self) -> int:
        """Rounds of the whole budget."""
        return self.rounds_in(self.days)

    def rounds_in(self, days: float) -> int:
        """Return the rounds of some days, one at least."""
        return max(1, round(days * self.rounds_per_day))

    def delta_of(self, devices: int) -> float:
        """Return delta for a fleet: as asked for, or the smaller of 1e-6 and a tenth of 1/devices."""
        return self.delta if self.delta is not None else min(1e-6, 0.1 / devices)


@dataclass(frozen=True)
class Reading:
    """A difference in nDCG@10 read from measured arms, with its interval; None and `why` if not measured."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int | None = None  # the fewest of the arms that it is read from
    why: str = ""


@dataclass(frozen=True)
class FreeFleet:
    """The fleet from which privacy costs nothing that the seeds resolve; None and `why` if not known."""

    devices: int | None = None
    value: float | None = None  # nDCG@10 against no privacy, of the measured arm that it rests on
    low: float | None = None
    high: float | None = None
    seeds: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Accounted:
    """One mechanism against one adversary, with the least noise that keeps the budget.

    Epsilons are proved, expected reports and noises of the mean modelled.
    """

    mechanism: str
    participation: Participation
    adversary: str
    noise_multiplier: float
    epsilon: float  # of the whole budget's rounds
    horizons: tuple[float, ...]  # epsilon after each of `HORIZON_DAYS`
    cycle_rounds: int  # rounds up to the first release that something opened can make
    cycle_epsilon: float
    round_reports: float  # expected a round, modelled
    cycle_reports: float  # expected in `cycle_rounds`
    day_noise: float | None  # of the mean, per coordinate, in clip norms, over the first day
    horizon_noise: float | None  # the same over all rounds of the budget


@dataclass(frozen=True)
class Row:
    """What is planned with one mechanism against one adversary, and what was measured at its noise."""

    accounted: Accounted
    noise: float | None  # of the mean over as many rounds as the frontier's runs had; None without one
    loss: Reading
    gain: Reading
    free: FreeFleet


@dataclass(frozen=True)
class Refused:
    """A mechanism that the budget is out of reach of, and why."""

    mechanism: str
    participation: Participation
    why: str


@dataclass(frozen=True)
class MeasuredArm:
    """One private arm of a frontier."""

    frontier: str
    signal: str
    mechanism: str
    epsilon: float  # of the run, participation seen
    devices: int  # phones that were really run
    noise_devices: int  # phones whose noise they had
    seeds: int
    noise: float  # of the mean over the run, per coordinate, in clip norms
    loss: tuple[float, float, float]  # nDCG@10 minus no privacy: value, low, high; NaN where not known
    gain: tuple[float, float, float]  # nDCG@10 minus public texts only


@dataclass(frozen=True)
class BudgetPlan:
    """The whole plan; `chosen` is the row's mechanism that survives seen participation with least noise."""

    question: Question
    measured_rounds: int | None  # rounds of the frontier's runs
    rows: tuple[Row, ...]
    refused: tuple[Refused, ...]
    arms: tuple[MeasuredArm, ...]

    @property
    def chosen(self) -> Row | None:
        """The row with the least noise of the mean over the first day, participation seen."""
        return self._least("day_noise")

    @property
    def chosen_at_the_end(self) -> Row | None:
        """The row with the least noise of the mean over the whole budget, participation seen."""
        return self._least("horizon_noise")

    def _least(self, figure: str) -> Row | None:
        seen = [
            row
            for row in self.rows
            if row.accounted.participation == "seen" and getattr(row.accounted, figure) is not None
        ]
        return min(seen, key=lambda row: float(getattr(row.accounted, figure)), default=None)
