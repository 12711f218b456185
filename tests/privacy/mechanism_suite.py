"""The rules that every privacy mechanism keeps, as functions that raise AssertionError for one that does not.

A new mechanism is added to `CASES` in test_every_mechanism.py, and all of `RULES` run over it.
"""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from fedbert.device_range import DeviceRange
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.mechanism import Bound, Mechanism, PrivacySettings

Make = Callable[[PrivacySettings], Mechanism]
"""A mechanism's `make`."""

CHANCE = 1e-6
"""A right mechanism fails a statistical rule by chance once in a million seeds; the seed is fixed."""

FLEET = DeviceRange(5, 0, 60_000)
SCALE = 2.0**14

SETTINGS = PrivacySettings(
    epsilon=4.0,
    delta=1e-6,
    sampler="poisson",
    sampling_probability=0.05,
    clip_norm=2.0,
    rounds=18,
    rounds_per_day=12.0,
    devices=60_000,
)
VARIANTS = {
    f"{sampler}, {'private' if epsilon else 'not private'}": dataclasses.replace(
        SETTINGS, sampler=sampler, epsilon=epsilon
    )
    for sampler in ("poisson", "once-a-day")
    for epsilon in (4.0, None)
}


def chi_square(values: np.ndarray, sigma: float) -> float:
    """Return the two-sided chance that normal numbers of deviation `sigma` have squares as far off."""
    statistic, count = float(((values / sigma) ** 2).sum()), values.size
    return 2 * min(float(chi2.sf(statistic, count)), float(chi2.cdf(statistic, count)))


def _held_by(part: object, path: str) -> list[tuple[str, Any]]:
    """Return (path, value) of all that a value holds, through dataclasses, objects and containers."""
    found = [(path, part)]
    if isinstance(part, dict):
        inner = [(f"{path}.{name}", value) for name, value in part.items()]
    elif isinstance(part, list | tuple | set | frozenset):
        inner = [(f"{path}[]", value) for value in part]
    else:
        inner = [(f"{path}.{name}", value) for name, value in vars(part).items()] if _open(part) else []
    return found + [each for name, value in inner for each in _held_by(value, name)]


def _open(part: object) -> bool:
    return hasattr(part, "__dict__") and not isinstance(part, type) and not callable(part)


def is_frozen_and_holds_no_seed(make: Make, settings: PrivacySettings) -> None:
    """It is a frozen dataclass all the way down, and nothing in it is a seed, a generator or an array."""
    mechanism = make(settings)
    for path, value in _held_by(mechanism, "mechanism"):
        assert "seed" not in path.lower(), path
        plain = value is None or isinstance(value, str | int | float)
        frozen = dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen
        assert plain or frozen, f"{path} is a {type(value).__name__}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        mechanism.name = "another"  # type: ignore[misc]


def comes_out_the_same_when_made_again(make: Make, settings: PrivacySettings) -> None:
    """From its noise multiplier, as shards make it, it draws, noises and costs the same."""
    one = make(settings)
    two = make(dataclasses.replace(settings, noise_multiplier=one.noise_multiplier))
    assert (two.sigma, two.round_rate, two.private) == (one.sigma, one.round_rate, one.private)
    assert two.spent(3) == one.spent(3)


def joins_at_its_rate(make: Make, settings: PrivacySettings) -> None:
    """In each of three rounds as many devices join as coins of `round_rate` show."""
    mechanism = make(settings)
    for round_ in (1, 2, 13):
        joined = mechanism.joins(FLEET, round_)
        assert (joined.dtype, joined.shape) == (np.bool_, (FLEET.count,))
        chance = binomtest(int(joined.sum()), FLEET.count, mechanism.round_rate).pvalue
        assert chance > CHANCE, f"{joined.mean():.4f} join, not {mechanism.round_rate:.4f}"


def joins_no_more_than_is_accounted_for(make: Make, settings: PrivacySettings) -> None:
    """A sampled event's rate covers the devices' rate; without sampling no device joins more often than
    the event composes.
    """
    mechanism = make(settings)
    if not mechanism.private:
        return
    parts, event = [], mechanism.event(settings.rounds)
    while event is not None:
        parts.append(event)
        event = getattr(event, "event", None)
    times = [part.count for part in parts if hasattr(part, "count")]
    rates = [part.sampling_probability for part in parts if hasattr(part, "sampling_probability")]
    joined = sum(mechanism.joins(FLEET, round_).astype(int) for round_ in range(1, settings.rounds + 1))
    assert np.max(joined) <= times[0]
    assert all(mechanism.round_rate <= rate for rate in rates)
    (noise,) = [part.noise_multiplier for part in parts if hasattr(part, "noise_multiplier")]
    assert noise == mechanism.noise_multiplier


def draws_do_not_depend_on_the_split(make: Make, settings: PrivacySettings) -> None:
    """However the fleet is cut, the same devices join, and their noise adds up to the same integers."""
    mechanism, fleet = make(settings), FLEET.part(slice(1000, 1301))
    reporting = mechanism.joins(fleet, 1) | (np.arange(fleet.count) % 3 == 0)
    whole = mechanism.on_device(fleet, reporting, 1, 7, SCALE)
    assert (whole.dtype, whole.shape) == (np.int64, (7,))
    cuts = [slice(low, high) for low, high in pairwise([0, 1, 97, 98, 200, 301])]
    parts = [fleet.part(cut) for cut in cuts]
    joined = np.concatenate([mechanism.joins(part, 2) for part in parts])
    assert np.array_equal(joined, mechanism.joins(fleet, 2))
    noise = [
        mechanism.on_device(part, reporting[cut], 1, 7, SCALE) for part, cut in zip(parts, cuts, strict=True)
    ]
    assert np.array_equal(sum(noise), whole)
    assert not mechanism.on_device(fleet, np.zeros(fleet.count, np.bool_), 1, 7, SCALE).any()


def noise_repeats_and_is_never_used_twice(make: Make, settings: PrivacySettings) -> None:
    """One seed and round give the same noise; another round, or for the sum another seed, another one."""
    mechanism, fleet = make(settings), FLEET.part(slice(0, 40))
    everyone = np.ones(fleet.count, np.bool_)
    draws = {
        "on the sum": [
            mechanism.on_sum(seed, round_, 50) for seed, round_ in ((3, 1), (3, 1), (3, 2), (4, 1))
        ],
        "on the device": [
            mechanism.on_device(DeviceRange(seed, 0, 40), everyone, round_, 50, SCALE)
            for seed, round_ in ((3, 1), (3, 1), (3, 2), (4, 1))
        ],
    }
    used = "on the device" if mechanism.noise_on_device else "on the sum"
    for place, (first, again, *others) in draws.items():
        assert np.array_equal(first, again)
        if place == used and mechanism.private:
            assert all((first != other).mean() > 0.9 for other in others)
        else:
            assert not any(each.any() for each in (first, *others))


def noise_has_its_variance(make: Make, settings: PrivacySettings) -> None:
    """The noise is as wide as `sigma` says (chi-square) and white; its bound rests on no more."""
    mechanism = make(settings)
    assert mechanism.sigma >= mechanism.noise_multiplier * settings.clip_norm
    assert (mechanism.sigma > 0) == mechanism.private
    if not mechanism.private:
        return
    if mechanism.noise_on_device:
        fleet = FLEET.part(slice(500, 700))
        everyone = np.ones(fleet.count, np.bool_)
        noise = [mechanism.on_device(fleet, everyone, round_, 3_000, SCALE) / SCALE for round_ in (1, 2)]
        # `sigma` is that of the expected reports; these are 200.
        sigma = mechanism.sigma * np.sqrt(fleet.count / (mechanism.round_rate * settings.devices))
    else:
        noise, sigma = [mechanism.on_sum(9, round_, 20_000) for round_ in (1, 2)], mechanism.sigma
    one, two = noise
    assert chi_square(one, sigma) > CHANCE, f"deviation {one.std():.4g}, not {sigma:.4g}"
    # Products of independent numbers: neighbours, and the same place in two rounds.
    for left, right in ((one[:-1], one[1:]), (one, two)):
        assert abs(float(left @ right)) < 5 * sigma**2 * np.sqrt(len(left))


def bounds_say_what_they_are(make: Make, settings: PrivacySettings) -> None:
    """Each bound has an adversary, a unit, the delta and a sentence on what it rests on; the weakest
    adversary's is the least; rounds add up; the whole run keeps the budget.
    """
    mechanism = make(settings)
    assert mechanism.name
    if not mechanism.private:
        assert all(bound.epsilon == np.inf for bound in mechanism.spent(1))
        return
    spent = [mechanism.spent(rounds) for rounds in (0, 1, 2, 12, 13, settings.rounds)]
    for bounds in spent:
        assert bounds
        assert all(isinstance(bound, Bound) and bound.adversary and bound.unit for bound in bounds)
        assert all(bound.sentence.startswith("Holds ") and bound.sentence.endswith(".") for bound in bounds)
        assert {bound.delta for bound in bounds} == {settings.delta}
        assert all(weaker.epsilon <= stronger.epsilon for weaker, stronger in pairwise(bounds))
    assert len({tuple((bound.adversary, bound.unit) for bound in bounds) for bounds in spent}) == 1
    for place in range(len(spent[0])):
        figures = [bounds[place].epsilon for bounds in spent]
        assert figures[0] == 0 < figures[1]
        assert all(earlier <= later for earlier, later in pairwise(figures))
        assert figures[1] < figures[-1]
    assert settings.epsilon is not None
    assert 0.98 * settings.epsilon <= spent[-1][0].epsilon <= settings.epsilon


def the_event_is_what_is_spent(make: Make, settings: PrivacySettings) -> None:
    """dp-accounting makes of the event the epsilon that is stated, within 1 %."""
    mechanism = make(settings)
    for rounds in (1, settings.rounds):
        proved = epsilon_of(mechanism.event(rounds), settings.delta)
        if mechanism.private:
            assert mechanism.spent(rounds)[0].epsilon == pytest.approx(proved, rel=0.01)
        else:
            assert proved == np.inf


RULES: tuple[Callable[[Make, PrivacySettings], None], ...] = (
    is_frozen_and_holds_no_seed,
    comes_out_the_same_when_made_again,
    joins_at_its_rate,
    joins_no_more_than_is_accounted_for,
    draws_do_not_depend_on_the_split,
    noise_repeats_and_is_never_used_twice,
    noise_has_its_variance,
    bounds_say_what_they_are,
    the_event_is_what_is_spent,
)
