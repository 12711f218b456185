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
from fedbert.privacy.curves import gaussian_epsilon
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
    sampling_probability=0.05,
    clip_norm=2.0,
    rounds=18,
    rounds_per_day=12.0,
    devices=60_000,
)
VARIANTS = {
    "private": SETTINGS,
    "not private": dataclasses.replace(SETTINGS, epsilon=None),
    "every device every day": dataclasses.replace(SETTINGS, sampling_probability=0.2, rounds=30),
}
"""At q .05 a device sits out two days of five; in 30 rounds of 12 a day it joins three times at most."""

ROUNDS_TRIED = (1, 13)
"""Horizons within the first day and within the second."""


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
    assert two.total_sigma([1, 2]) == one.total_sigma([1, 2])


def joins_at_its_rate(make: Make, settings: PrivacySettings) -> None:
    """In each of three rounds as many devices join as coins of `round_rate` show."""
    mechanism = make(settings)
    for round_ in (1, 2, 13):
        joined = mechanism.joins(FLEET, round_)
        assert (joined.dtype, joined.shape) == (np.bool_, (FLEET.count,))
        chance = binomtest(int(joined.sum()), FLEET.count, mechanism.round_rate).pvalue
        assert chance > CHANCE, f"{joined.mean():.4f} join, not {mechanism.round_rate:.4f}"


def openings(mechanism: Mechanism, rounds: int) -> dict[int, range]:
    """Return the rounds that are opened as one sum, by the round in which they are."""
    counts = {round_: mechanism.gathered(round_) for round_ in range(1, rounds + 1)}
    return {round_: range(round_ - count + 1, round_ + 1) for round_, count in counts.items() if count}


def opens_each_round_once(make: Make, settings: PrivacySettings) -> None:
    """Every round up to the last is in one opened sum and in no other."""
    mechanism = make(settings)
    opened = [round_ for part in openings(mechanism, settings.rounds).values() for round_ in part]
    assert opened == list(range(1, settings.rounds + 1))


def covariance(mechanism: Mechanism, opened: list[int]) -> np.ndarray:
    """Return the covariance of the noise of two openings, from the deviations of their sums."""
    alone = np.array([mechanism.total_sigma([round_]) ** 2 for round_ in opened])
    both = np.array(
        [
            [mechanism.total_sigma([one] if one == two else [one, two]) ** 2 for two in opened]
            for one in opened
        ]
    )
    found = (both - alone[:, None] - alone[None, :]) / 2
    np.fill_diagonal(found, alone)
    return found


def joins_no_more_than_is_accounted_for(make: Make, settings: PrivacySettings) -> None:
    """The epsilon against one who sees who took part is no less than that of any device's own rounds.

    A device that joins the rounds v with a full contribution shifts the Gaussian noise of the openings, of
    covariance S, by v: one Gaussian of multiplier 1 / sqrt(v S^-1 v). A sampled event's rate covers the
    devices' rate.
    """
    mechanism = make(settings)
    if not mechanism.private:
        return
    parts, event = [], mechanism.event(settings.rounds)
    while event is not None:
        parts.append(event)
        event = getattr(event, "event", None)
    rates = [part.sampling_probability for part in parts if hasattr(part, "sampling_probability")]
    assert all(mechanism.round_rate <= rate for rate in rates)
    fleet = FLEET.part(slice(0, 5_000))
    opened = openings(mechanism, settings.rounds)
    joined = {r: mechanism.joins(fleet, r).astype(float) for r in range(1, settings.rounds + 1)}
    shifts = np.stack([sum(joined[r] for r in part) for part in opened.values()], axis=1)
    if mechanism.noise_on_device:
        # Each report carries all the noise that its bound rests on.
        own = (mechanism.noise_multiplier * settings.clip_norm) ** 2
        precision = np.eye(len(opened)) / own
    else:
        precision = np.linalg.inv(covariance(mechanism, list(opened)))
    farthest = settings.clip_norm**2 * np.einsum("di,ij,dj->d", shifts, precision, shifts).max()
    least = gaussian_epsilon(1 / np.sqrt(farthest), settings.delta)
    assert mechanism.spent(settings.rounds)[-1].epsilon >= least * (1 - 1e-6)


def a_total_s_deviation_is_that_of_its_noise(make: Make, settings: PrivacySettings) -> None:
    """The noise of several openings added up is as wide as `total_sigma` says, also where some are held."""
    mechanism = make(settings)
    opened = list(openings(mechanism, settings.rounds))
    if not mechanism.private or mechanism.noise_on_device:
        return
    for chosen in (opened, opened[1:], opened[::3], opened[-1:]):
        total = sum(mechanism.on_sum(21, round_, 20_000) for round_ in chosen)
        sigma = mechanism.total_sigma(chosen)
        assert chi_square(np.asarray(total), sigma) > CHANCE, (chosen, np.std(total), sigma)


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
    """A round's noise is as wide as it says (chi-square) and white over the coordinates, and no less wide
    than the draw that its bound rests on.
    """
    mechanism = make(settings)
    assert mechanism.sigma >= mechanism.noise_multiplier * settings.clip_norm
    first, second = list(openings(mechanism, settings.rounds))[:2]
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
        noise = [mechanism.on_sum(9, round_, 20_000) for round_ in (first, second)]
        sigma = mechanism.total_sigma([first])
    one, two = noise
    assert chi_square(one, sigma) > CHANCE, f"deviation {one.std():.4g}, not {sigma:.4g}"
    # Products of neighbours, which are independent; of the same place in two openings, where they should be.
    assert abs(float(one[:-1] @ one[1:])) < 5 * sigma**2 * np.sqrt(len(one) - 1)
    together = 0.0 if mechanism.noise_on_device else covariance(mechanism, [first, second])[0, 1]
    spread = 5 * np.sqrt(one.var() * two.var() * len(one))
    assert abs(float(one @ two) - len(one) * together) < spread


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
    # The budget is that of one of the adversaries; where devices add the noise it may be that of one report.
    budgeted = [*spent[-1], *(spent[1] if mechanism.noise_on_device else ())]
    assert any(0.98 * settings.epsilon <= bound.epsilon <= settings.epsilon for bound in budgeted)


def the_event_is_what_is_spent(make: Make, settings: PrivacySettings) -> None:
    """dp-accounting makes of the event an epsilon that is stated, within 1 %."""
    mechanism = make(settings)
    for rounds in ROUNDS_TRIED if mechanism.private else (1,):
        proved = epsilon_of(mechanism.event(rounds), settings.delta)
        if mechanism.private:
            stated = [bound.epsilon for bound in mechanism.spent(rounds)]
            assert any(epsilon == pytest.approx(proved, rel=0.01) for epsilon in stated), (stated, proved)
        else:
            assert proved == np.inf


RULES: tuple[Callable[[Make, PrivacySettings], None], ...] = (
    is_frozen_and_holds_no_seed,
    comes_out_the_same_when_made_again,
    joins_at_its_rate,
    opens_each_round_once,
    joins_no_more_than_is_accounted_for,
    draws_do_not_depend_on_the_split,
    noise_repeats_and_is_never_used_twice,
    noise_has_its_variance,
    a_total_s_deviation_is_that_of_its_noise,
    bounds_say_what_they_are,
    the_event_is_what_is_spent,
)
