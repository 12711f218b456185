"""The noise of a large fleet on a small one, so that few phones show what many would reach.

Noise is added once to a sum, however many phones are in it: a sum of N phones carries as much as one of n, so
its mean carries n / N as much. A mechanism that is scaled by n / N gives n phones the mean of N. Where each
phone adds its own noise, that of the mean falls with the root of the phones only: each of the n then adds the
root of n / N of it. The bounds are those of the N phones. Of the n that are really run it protects none:
their sum has too little noise.
(McMahan et al. 2018, "Learning differentially private recurrent language models", section 3, scale noise and
cohort together in the same way.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.errors import invalid
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import Bound, Mechanism, PrivacySettings

if TYPE_CHECKING:
    from dp_accounting import DpEvent


def scaled(mechanism: Mechanism, devices: int, noise_cohort: int | None) -> Mechanism:
    """Return `mechanism` with the noise that `devices` phones need to show what `noise_cohort` would reach.

    Without `noise_cohort` it is `mechanism` itself. Raises FedbertError for a mechanism without noise, and
    for one of a user's own whose noise devices add: how, only it knows.
    """
    if noise_cohort is None:
        return mechanism
    if not mechanism.private:
        rule = "come with an epsilon: without one there is no noise to scale"
        raise invalid("noise_cohort", noise_cohort, rule, "add --epsilon or leave it out")
    if mechanism.noise_on_device and not isinstance(mechanism, Local):
        rule = f"be left out with mechanism {mechanism.name!r}, whose phones add its noise"
        raise invalid("noise_cohort", noise_cohort, rule)
    return Scaled(mechanism, devices / noise_cohort)


@dataclass(frozen=True)
class Scaled:
    """A mechanism whose noise is multiplied by `factor` (0 to 1) and whose bounds are those of `full`."""

    full: Mechanism
    factor: float

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.full.name

    @property
    def settings(self) -> PrivacySettings:
        """What the whole mechanism was made for."""
        return self.full.settings

    @property
    def private(self) -> bool:
        """Whether anything bounds what the whole mechanism reveals."""
        return self.full.private

    @property
    def noise_multiplier(self) -> float:
        """Of the whole mechanism, which its bounds rest on."""
        return self.full.noise_multiplier

    @property
    def round_rate(self) -> float:
        """Chance that a device of the fleet joins a round."""
        return self.full.round_rate

    @property
    def sigma(self) -> float:
        """Standard deviation of one draw of the scaled noise, per coordinate."""
        return self.factor * self.full.sigma

    @property
    def noise_on_device(self) -> bool:
        """Whether devices add the noise."""
        return self.full.noise_on_device

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round: `[device]`."""
        return self.full.joins(devices, round_)

    def gathered(self, round_: int) -> int:
        """Return how many rounds are opened as one sum at the end of `round_`."""
        return self.full.gathered(round_)

    def on_device(
        self, devices: DeviceRange, reporting: NDArray[np.bool_], round_: int, size: int, scale: float
    ) -> NDArray[np.int64]:
        """Return the sum `[size]` of the devices' scaled noise; zeros if they add none."""
        full = self.full.shrunk(math.sqrt(self.factor)) if isinstance(self.full, Local) else self.full
        return full.on_device(devices, reporting, round_, size, scale)

    def on_sum(self, noise_seed: int, round_: int, size: int) -> NDArray[np.float64]:
        """Return the scaled noise `[size]` of what a round opens."""
        return self.factor * self.full.on_sum(noise_seed, round_, size)

    def total_sigma(self, rounds: Sequence[int]) -> float:
        """Return the standard deviation of the scaled noise in the sum of what `rounds` opened."""
        return self.factor * self.full.total_sigma(rounds)

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds of the whole mechanism."""
        return self.full.event(rounds)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the bounds of the whole mechanism."""
        return self.full.spent(rounds)
