"""Every mechanism, fedbert's own and the worked example's, keeps every rule; broken ones are caught."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dp_accounting
import numpy as np
import pytest
from mechanism_suite import RULES, SETTINGS, VARIANTS

from fedbert.errors import FedbertError
from fedbert.parts import LOCAL_MECHANISMS, MECHANISMS
from fedbert.plugins import load_named
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import Bound
from fedbert.privacy.once_a_day import Allocated, Daily
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.sampling import by_coin
from fedbert.privacy.tree import Tree

OWN = "the worked example"
LOCAL = tuple(f"{name}, on the device" for name in LOCAL_MECHANISMS)
CASES = (*MECHANISMS, *LOCAL, OWN)


@pytest.fixture(scope="module")
def example(worked_example: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The mechanism of docs/how-to/mechanism.md, from a user's file."""
    file = tmp_path_factory.mktemp("mechanism") / "mine.py"
    file.write_text(worked_example("A mechanism"), encoding="utf-8")
    return load_named(f"{file}:OnDevice", {}, "mechanism", "mechanism")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CASES)
def test_every_mechanism_keeps_every_rule(name: str, variant: str, rule: Any, example: Any) -> None:
    """Private and not, with and without days off; see the rule's own text in mechanism_suite.py."""
    kind = (
        example if name == OWN else load_named(name.partition(",")[0], MECHANISMS, "mechanism", "mechanism")
    )
    rule(partial(Local.make, kind) if name in LOCAL else kind.make, VARIANTS[variant])


@dataclass(frozen=True)
class HalfTheNoise(Poisson):
    """Adds half of the noise that it accounts for."""

    def on_sum(self, noise_seed: int, round_: int, size: int) -> np.ndarray:
        """Return too little."""
        return super().on_sum(noise_seed, round_, size) / 2


@dataclass(frozen=True)
class HalfSigma(Poisson):
    """Adds half of the noise, and says so, but not to the accountant."""

    @property
    def sigma(self) -> float:
        """Half of what the bound rests on."""
        return super().sigma / 2


@dataclass(frozen=True)
class JoinsMoreOften(Poisson):
    """Lets devices join at a rate one tenth above the accounted one."""

    def joins(self, devices: Any, round_: int) -> np.ndarray:
        """Return too many."""
        return by_coin(devices, round_, 1.1 * self.round_rate)


@dataclass(frozen=True)
class ForgetsARound(Poisson):
    """Does not count the last round, as if one that was held cost nothing."""

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the bounds of a round less."""
        return super().spent(max(0, rounds - 1))


@dataclass(frozen=True)
class OneNoiseForAll(Poisson):
    """Uses the noise of the first round in every round."""

    def on_sum(self, noise_seed: int, round_: int, size: int) -> np.ndarray:
        """Return the same noise."""
        return super().on_sum(noise_seed, 1, size)


@dataclass(frozen=True)
class AccountsForMoreNoise(Poisson):
    """Describes twice the noise to the accountant, and states what that comes to."""

    def _twice(self) -> Poisson:
        return Poisson(self.settings, 2 * self.noise_multiplier)

    def event(self, rounds: int) -> dp_accounting.DpEvent:
        """Return another mechanism's event."""
        return self._twice().event(rounds)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return another mechanism's bounds."""
        return self._twice().spent(rounds)


@dataclass(frozen=True)
class KeepsASeed(Poisson):
    """Keeps the seed of its noise."""

    noise_seed: int = 3


@dataclass(frozen=True)
class JoinsTwiceADay(Daily):
    """Lets a device into the first round of a day on top of its own."""

    def joins(self, devices: Any, round_: int) -> np.ndarray:
        """Return too many."""
        return super().joins(devices, round_) | super().joins(devices, round_ % self.period + 1)

    @property
    def round_rate(self) -> float:
        """The rate at which they do, owned up to."""
        return 2 * super().round_rate


@dataclass(frozen=True)
class OpensTwice(Daily):
    """Opens a day's sum in its last round, and the last round once more by itself."""

    def gathered(self, round_: int) -> int:
        """Return one round that is in the day's sum too."""
        return super().gathered(round_) or int(round_ == 1)


@dataclass(frozen=True)
class ForgetsWhoComesBack(Correlated):
    """Accounts for one round of each device, though it comes back every day."""

    def sensitivity(self, rounds: int) -> float:
        """Return that of a day."""
        return super().sensitivity(min(rounds, self.period))


@dataclass(frozen=True)
class MovesItsSlot(Correlated):
    """Draws a device's round anew each day, so that two may be closer than a day."""

    fixed_slot = False


@dataclass(frozen=True)
class CountsLevelsOnce(Tree):
    """Accounts for one node of the tree."""

    def sensitivity(self, rounds: int) -> float:
        """Return that of a leaf."""
        return 1.0


@dataclass(frozen=True)
class SumsVariances(Correlated):
    """Says of a total what it would be if the rounds' noises were independent."""

    def total_sigma(self, rounds: Any) -> float:
        """Return the root of the sum of their variances."""
        return math.sqrt(sum(super(SumsVariances, self).total_sigma([round_]) ** 2 for round_ in rounds))


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (HalfTheNoise, "noise_has_its_variance"),
        (HalfSigma, "noise_has_its_variance"),
        (JoinsMoreOften, "joins_at_its_rate"),
        (ForgetsARound, "the_event_is_what_is_spent"),
        (OneNoiseForAll, "noise_repeats_and_is_never_used_twice"),
        (AccountsForMoreNoise, "joins_no_more_than_is_accounted_for"),
        (KeepsASeed, "is_frozen_and_holds_no_seed"),
        (JoinsTwiceADay, "joins_no_more_than_is_accounted_for"),
        (OpensTwice, "opens_each_round_once"),
        (ForgetsWhoComesBack, "joins_no_more_than_is_accounted_for"),
        (MovesItsSlot, "joins_no_more_than_is_accounted_for"),
        (CountsLevelsOnce, "joins_no_more_than_is_accounted_for"),
        (SumsVariances, "a_total_s_deviation_is_that_of_its_noise"),
    ],
)
def test_broken_mechanisms_are_caught(broken: type[Any], caught_by: str) -> None:
    """Each way to cheat breaks the rule that is there for it; the sound one that it is made of keeps it."""
    settings = replace(SETTINGS, sampling_probability=0.2, rounds=30)
    rule = next(rule for rule in RULES if rule.__name__ == caught_by)
    with pytest.raises(AssertionError):
        rule(broken.make, settings)
    rule(broken.__mro__[1].make, settings)


def test_what_once_a_day_costs_is_what_one_gaussian_does() -> None:
    """For epsilon 2 in a day every mechanism that survives being watched has the multiplier 2.23 a unit of
    its sensitivity: 1 for one sum a day, 1.36 for the root of the total, 2 for the tree of twelve rounds.
    """
    day = replace(SETTINGS, epsilon=2.0, rounds=12, sampling_probability=0.1)
    for kind, sensitivity in ((Allocated, 1.0), (Daily, 1.0), (Correlated, 1.3604), (Tree, 2.0)):
        made = kind.make(day)
        assert made.noise_multiplier / made.sensitivity(12) == pytest.approx(2.2307, abs=1e-3)
        assert made.sensitivity(12) == pytest.approx(sensitivity, abs=1e-4)
        assert made.spent(12)[-1].epsilon == pytest.approx(2.0, rel=1e-3)


@dataclass(frozen=True)
class Shuffled(dp_accounting.DpEvent):
    """A kind of event that no accountant knows."""

    event: dp_accounting.DpEvent


def test_what_cannot_be_accounted_for_is_refused_by_type() -> None:
    """An event of an unknown type, bare or inside known ones, is one line with all types down to it."""
    unknown = Shuffled(dp_accounting.GaussianDpEvent(1.0))
    for event, named in (
        (unknown, "Shuffled of GaussianDpEvent"),
        (dp_accounting.SelfComposedDpEvent(unknown, 3), "SelfComposedDpEvent of Shuffled of GaussianDpEvent"),
    ):
        with pytest.raises(FedbertError) as caught:
            epsilon_of(event, 1e-6)
        said = str(caught.value)
        assert f"no accountant covers {named}" in said
        assert "\n" not in said


def test_an_epsilon_is_that_of_the_textbook() -> None:
    """One Gaussian with multiplier 1 at delta 1e-5 has epsilon 4.38 (Balle and Wang 2018); no noise none."""
    assert epsilon_of(dp_accounting.GaussianDpEvent(1.0), 1e-5) == pytest.approx(4.377, abs=2e-3)
    assert epsilon_of(dp_accounting.NonPrivateDpEvent(), 1e-5) == np.inf


def test_an_event_is_accounted_for_at_the_edges() -> None:
    """A tiny delta and a small epsilon are bounded closely, as a Gaussian's exact curve shows."""
    import dp_accounting

    tiny = dp_accounting.GaussianDpEvent(4.0)
    assert gaussian_epsilon(4.0, 1e-15) < epsilon_of(tiny, 1e-15) < 1.1 * gaussian_epsilon(4.0, 1e-15)
    small = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(10_000.0), 12)
    assert epsilon_of(small, 1e-6) == pytest.approx(gaussian_epsilon(10_000 / math.sqrt(12), 1e-6), rel=0.01)
