"""Mechanisms in which a device joins one round of a day at most, so that their bounds survive being watched.

* `allocated`: the round is drawn anew each day, and each sum gets noise of its own. Who sees who joined meets
  one Gaussian a day. Who does not meets random allocation, which hides the round (Feldman and Shenfeld 2025,
  "Privacy amplification by random allocation"; accounted in `allocation.py`).
* `daily`: the sums of a day are added up before anything is opened, and opened with one noise at its end.

Both cost the composition of one Gaussian a day; a day begun counts as a whole one.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy.accounting import rounds_of_day
from fedbert.privacy.allocation import allocation_epsilon
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.privacy.gaussian import GaussianNoise
from fedbert.privacy.mechanism import DEVICE, SEES_PARTICIPATION, SEES_SUMS, Bound
from fedbert.privacy.sampling import once_a_day, slots_of_day

if TYPE_CHECKING:
    from dp_accounting import DpEvent

_SEEN = (
    "Holds even against someone who sees which devices joined each round: a device joins at most one round a "
    "day, and nothing is claimed for the draw of it. The aggregator, which adds the noise, is trusted with "
    "the sums before it."
)
_PUSHED_OUT = (
    " A round closes with its first reports, so a device may also push out one other's: the noise is made "
    "for both."
)


@dataclass(frozen=True)
class OnceADay(GaussianNoise):
    """One round a day for each device; the budget is the epsilon that survives seen participation."""

    bounds_displacement: ClassVar[bool] = True
    """Whether its bounds hold where a report may push out another's (`displacement.py`)."""
    fixed_slot: ClassVar[bool] = False
    """Whether a device keeps its round of the day, so that its rounds are exactly a day apart."""

    @property
    def period(self) -> int:
        """Rounds of a day, rounded up to whole ones."""
        return rounds_of_day(self.settings.rounds_per_day)

    @property
    def slots(self) -> int:
        """Slots among which a device draws its round of the day."""
        return slots_of_day(self.period, self.settings.sampling_probability)

    @property
    def round_rate(self) -> float:
        """Chance that a device of the fleet joins a round."""
        return 1.0 / self.slots

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round (from 1), by their own draw: `[device]`."""
        return once_a_day(devices, round_, self.period, self.slots, self.fixed_slot)

    def days(self, rounds: int) -> int:
        """Return the days that the first `rounds` rounds have begun."""
        return -(-max(rounds, 0) // self.period)

    def sensitivity(self, rounds: int) -> float:
        """Return how far one device moves the white draws of `rounds` rounds, in clip norms."""
        return self.settings.reach * math.sqrt(self.days(rounds))

    def unamplified(self, rounds: int) -> float:
        """Return the epsilon of one Gaussian of that sensitivity: 0 for no round, inf without noise."""
        if rounds <= 0:
            return 0.0
        if not self.private:
            return math.inf
        return gaussian_epsilon(self.noise_multiplier / self.sensitivity(rounds), self.settings.delta)

    def budgeted(self, rounds: int) -> float:
        """Return the epsilon that survives seen participation."""
        return self.unamplified(rounds)

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds: one Gaussian a day."""
        import dp_accounting

        if not self.private:
            return dp_accounting.NonPrivateDpEvent()
        one = dp_accounting.GaussianDpEvent(self.noise_multiplier / self.settings.reach)
        return dp_accounting.SelfComposedDpEvent(one, self.days(rounds))

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the one bound, which no adversary's knowledge of the cohorts weakens."""
        said = _SEEN + (_PUSHED_OUT if self.settings.reach > 1 else "")
        return (Bound(SEES_PARTICIPATION, DEVICE, self.unamplified(rounds), self.settings.delta, said),)


@dataclass(frozen=True)
class Allocated(OnceADay):
    """One random round of each day; independent noise every round."""

    name: str = "allocated"
    bounds_displacement: ClassVar[bool] = False

    def amplified(self, rounds: int) -> float:
        """Return the epsilon against one who does not see which round a device drew."""
        unamplified = self.unamplified(rounds)
        if rounds <= 0 or not self.private:
            return unamplified
        hidden = allocation_epsilon(self.noise_multiplier, self.slots, self.days(rounds), self.settings.delta)
        return min(hidden, unamplified)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the amplified bound and the one that holds when participation is seen."""
        hidden = (
            "Holds against someone who sees the noisy sums but not which devices joined: each device draws "
            f"one of {self.slots} rounds each day, available or not, and which one stays secret."
        )
        bound = Bound(SEES_SUMS, DEVICE, self.amplified(rounds), self.settings.delta, hidden)
        return (bound, *super().spent(rounds))

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds: one Gaussian a day, in a round that nobody sees."""
        import dp_accounting

        from fedbert.privacy.allocation_event import RandomAllocationDpEvent

        if not self.private:
            return dp_accounting.NonPrivateDpEvent()
        one = dp_accounting.GaussianDpEvent(self.noise_multiplier)
        return dp_accounting.SelfComposedDpEvent(RandomAllocationDpEvent(self.slots, one), self.days(rounds))


@dataclass(frozen=True)
class Daily(OnceADay):
    """One noised sum a day. A run that ends within a day opens what there is of it, as a shorter day."""

    name: str = "daily"

    def gathered(self, round_: int) -> int:
        """Return the rounds of the day that ends with `round_`, 0 before its end."""
        place = (round_ - 1) % self.period + 1
        return place if place == self.period or round_ == self.settings.rounds else 0
