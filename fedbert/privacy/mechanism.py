"""The socket of privacy mechanisms: frozen data that samples, noises and says what it costs.

One object drives what is done to the sums and what is accounted for, so the two cannot drift. A mechanism
names each bound with its adversary and its unit; `event` describes it to an accountant, which refuses by type
what it cannot account for. `poisson.py`, `once_a_day.py`, `correlated.py` and `tree.py` are those there are;
`local.py` moves the noise of some to the devices; `docs/how-to/mechanism.md` shows how to write another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange

if TYPE_CHECKING:
    from dp_accounting import DpEvent

DEVICE = "one device: whether it is in the fleet at all, with everything it ever reports"
"""The privacy unit of a run: neighbouring fleets differ by one device."""

WHAT_IS_SAID = "what the reports of one device say, not that they were sent"
"""The privacy unit where devices add the noise: neighbouring fleets differ in what one of them reports."""

SEES_SUMS = "sees releases and noisy sums, not who took part"
SEES_PARTICIPATION = "sees releases, noisy sums and which devices took part"
SEES_REPORTS = "sees every single report as it left its phone"
"""Adversaries, as they stand beside an epsilon."""


@dataclass(frozen=True)
class PrivacySettings:
    """What a mechanism is made for, with public numbers only.

    `epsilon` > 0 is the budget of all `rounds`, None for a run without privacy: against one who sees who took
    part, and with a mechanism whose noise is made for sampling alone (`poisson`) against one who does not.
    Where devices add the noise (`local.py`) it is the budget of one report;
    `delta` in (0, 1); `sampling_probability` in (0, 1]; `clip_norm` > 0; `rounds_per_day` > 0.
    """

    epsilon: float | None
    delta: float
    sampling_probability: float
    clip_norm: float
    rounds: int
    rounds_per_day: float
    devices: int
    noise_multiplier: float | None = None
    """What the mechanism was calibrated to before; None calibrates it."""
    reach: float = 1.0
    """How far one device moves the sum of a round that it joins, in clip norms (`displacement.py`)."""


@dataclass(frozen=True)
class Bound:
    """A proved bound on what some rounds reveal of one `unit` to an `adversary`; infinite without noise."""

    adversary: str
    unit: str
    epsilon: float
    delta: float
    assumption: str = ""
    """A sentence for reports: against whom it holds, and on what terms; empty names the adversary."""

    @property
    def sentence(self) -> str:
        """What it holds against, and under which assumption."""
        return self.assumption or f"Holds against one who {self.adversary}."


class Mechanism(Protocol):
    """One way to take part and to add noise. Frozen, and without any seed of the noise."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        ...

    @property
    def settings(self) -> PrivacySettings:
        """What it was made for."""
        ...

    @property
    def private(self) -> bool:
        """Whether anything bounds what it reveals."""
        ...

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation of the noise that its bounds rest on, over the clip norm."""
        ...

    @property
    def round_rate(self) -> float:
        """Chance that a device of the fleet joins a round, in (0, 1]."""
        ...

    @property
    def sigma(self) -> float:
        """Standard deviation of one draw of the noise, per coordinate, as far as public numbers tell."""
        ...

    @property
    def noise_on_device(self) -> bool:
        """Whether devices add the noise (`on_device`), and not the aggregator (`on_sum`)."""
        ...

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round (from 1), available or not: `[device]`."""
        ...

    def gathered(self, round_: int) -> int:
        """Return how many rounds, this one the last, are opened as one sum at the end of `round_`.

        1 where each round is opened by itself; 0 if nothing is opened, and the sum waits with the aggregator.
        A device that joined and could not report may do so in any later round of the same sum.
        """
        ...

    def on_device(
        self, devices: DeviceRange, reporting: NDArray[np.bool_], round_: int, size: int, scale: float
    ) -> NDArray[np.int64]:
        """Return the sum `[size]` of the noise that each reporting device adds to its own integers.

        `reporting` `[device]` are all that send a report, an empty one too: who has nothing to say must not
        show. The seed of `devices` is that of their noise. Integers in steps of 1 / `scale`; zeros for a
        mechanism that trusts the aggregator with the noise.
        """
        ...

    def on_sum(self, noise_seed: int, round_: int, size: int) -> NDArray[np.float64]:
        """Return the noise `[size]` that the aggregator adds to what a round opens; zeros if devices do.

        A function of seed and round alone: whether earlier rounds were held changes nothing.
        """
        ...

    def total_sigma(self, rounds: Sequence[int]) -> float:
        """Return the standard deviation, per coordinate, of the noise in the sum of what `rounds` opened."""
        ...

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds as dp-accounting describes them, against who sees sums only."""
        ...

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the bounds of the first `rounds` rounds, a held one included; weakest adversary first."""
        ...


class MechanismKind(Protocol):
    """A mechanism's class, as a registry or a user's file names it."""

    def make(self, settings: PrivacySettings) -> Mechanism:
        """Return the mechanism with the least noise that keeps the budget; raises FedbertError."""
        ...
