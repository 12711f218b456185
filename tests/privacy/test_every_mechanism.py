"""Every mechanism, fedbert's own and the worked example's, keeps every rule; broken ones are caught."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import dp_accounting
import numpy as np
import pytest
from mechanism_suite import RULES, SETTINGS, VARIANTS, Make

from fedbert.errors import FedbertError
from fedbert.parts import MECHANISMS
from fedbert.plugins import load_named
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.privacy.gaussian import Gaussian
from fedbert.privacy.mechanism import Bound, PrivacySettings
from fedbert.privacy.sampling import cohort

OWN = "the worked example"
CASES = (*MECHANISMS, OWN)


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
    """With both samplers, private and not; see the rule's own text in mechanism_suite.py."""
    kind = example if name == OWN else load_named(name, MECHANISMS, "mechanism", "mechanism")
    rule(kind.make, VARIANTS[variant])


@dataclass(frozen=True)
class HalfTheNoise(Gaussian):
    """Adds half of the noise that it accounts for."""

    def on_sum(self, noise_seed: int, round_: int, size: int) -> np.ndarray:
        """Return too little."""
        return super().on_sum(noise_seed, round_, size) / 2


@dataclass(frozen=True)
class HalfSigma(Gaussian):
    """Adds half of the noise, and says so, but not to the accountant."""

    @property
    def sigma(self) -> float:
        """Half of what the bound rests on."""
        return super().sigma / 2


@dataclass(frozen=True)
class JoinsMoreOften(Gaussian):
    """Lets devices join at a rate one tenth above the accounted one."""

    def joins(self, devices: Any, round_: int) -> np.ndarray:
        """Return too many."""
        plan = self.plan
        return cohort(devices, round_, plan.sampler, 1.1 * plan.sampling_probability, plan.rounds_per_day)


@dataclass(frozen=True)
class ForgetsARound(Gaussian):
    """Does not count the last round, as if one that was held cost nothing."""

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the bounds of a round less."""
        return super().spent(max(0, rounds - 1))


@dataclass(frozen=True)
class OneNoiseForAll(Gaussian):
    """Uses the noise of the first round in every round."""

    def on_sum(self, noise_seed: int, round_: int, size: int) -> np.ndarray:
        """Return the same noise."""
        return super().on_sum(noise_seed, 1, size)


@dataclass(frozen=True)
class AccountsForMoreNoise(Gaussian):
    """Describes twice the noise to the accountant, and states what that comes to."""

    def _twice(self) -> Gaussian:
        return Gaussian(self.settings, replace(self.plan, noise_multiplier=2 * self.plan.noise_multiplier))

    def event(self, rounds: int) -> dp_accounting.DpEvent:
        """Return another mechanism's event."""
        return self._twice().event(rounds)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return another mechanism's bounds."""
        return self._twice().spent(rounds)


@dataclass(frozen=True)
class KeepsASeed(Gaussian):
    """Keeps the seed of its noise."""

    noise_seed: int = 3


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
    ],
)
def test_broken_mechanisms_are_caught(broken: type[Gaussian], caught_by: str) -> None:
    """Each way to cheat breaks the rule that is there for it."""

    def make(settings: PrivacySettings) -> Gaussian:
        sound = Gaussian.make(settings)
        return broken(**{field.name: getattr(sound, field.name) for field in fields(sound)})

    assert caught_by in _broken_rules(make)
    assert not _broken_rules(Gaussian.make)


def _broken_rules(make: Make) -> set[str]:
    found = set()
    for rule in RULES:
        try:
            rule(make, SETTINGS)
        except AssertionError:
            found.add(rule.__name__)
    return found


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
