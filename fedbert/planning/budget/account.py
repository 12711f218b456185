"""From a budget to noise: each mechanism calibrated against each adversary that it names a bound for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedbert.errors import FedbertError
from fedbert.parts import MECHANISMS
from fedbert.planning.budget.noise import mean_noise, share_of
from fedbert.planning.budget.plan import HORIZON_DAYS, Accounted, Participation, Question, Refused
from fedbert.plugins import load_named
from fedbert.privacy.accounting import CALIBRATION_TOLERANCE, check, least_multiplier, rounds_of_day
from fedbert.privacy.mechanism import SEES_PARTICIPATION, Mechanism, PrivacySettings

Calibrate = Callable[[Question, int], Mechanism]
"""(question, devices) -> the mechanism with the least noise for a fleet of so many; raises FedbertError."""


def settings_of(question: Question, devices: int) -> PrivacySettings:
    """Return what a mechanism is made for, for a fleet of `devices`; raises FedbertError for a bad delta."""
    return check(
        PrivacySettings(
            epsilon=question.epsilon,
            delta=question.delta_of(devices),
            sampling_probability=question.sampling_probability,
            clip_norm=1.0,  # figures here are in clip norms
            rounds=question.rounds,
            rounds_per_day=question.rounds_per_day,
            devices=devices,
        )
    )


def kind_of(name: str) -> Any:
    """Return a registered mechanism's class."""
    return load_named(name, MECHANISMS, "mechanism", "mechanisms")


def calibrated(name: str, place: int, question: Question, devices: int) -> Mechanism:
    """Return the mechanism with the least noise whose bound at `place` of `spent` keeps the budget."""
    kind, settings = kind_of(name), settings_of(question, devices)

    def made(noise: float) -> Mechanism:
        found: Mechanism = kind.make(replace(settings, noise_multiplier=noise))
        return found

    def spent(noise: float) -> float:
        return made(noise).spent(question.rounds)[place].epsilon

    try:
        own: Mechanism = kind.make(settings)
        # What `make` calibrates to is one of the bounds; it is found at once if it is this one.
        mine = own.spent(question.rounds)[place].epsilon
        if question.epsilon * (1 - CALIBRATION_TOLERANCE) <= mine <= question.epsilon:
            return own
    except FedbertError:  # its own bound is out of reach; this one may be within
        pass
    return made(least_multiplier(spent, settings))


def accounts(name: str, question: Question) -> list[tuple[int, Accounted] | Refused]:
    """Return a mechanism against each adversary, the strongest first, each with its place in `spent`."""
    probe: Mechanism = kind_of(name).make(
        replace(settings_of(question, question.devices), noise_multiplier=1.0)
    )
    found: list[tuple[int, Accounted] | Refused] = []
    bounds = probe.spent(1)
    for place in reversed(range(len(bounds))):
        adversary = bounds[place].adversary
        participation: Participation = "seen" if adversary == SEES_PARTICIPATION else "not seen"
        if probe.noise_on_device:
            found.append(
                Refused(name, participation, "devices add its noise, and how much depends on who reports")
            )
            continue
        try:
            mechanism = calibrated(name, place, question, question.devices)
        except FedbertError as error:
            found.append(Refused(name, participation, str(error)))
            continue
        found.append((place, _account(mechanism, place, participation, question)))
    return found


def _account(mechanism: Mechanism, place: int, participation: Participation, question: Question) -> Accounted:
    def spent(rounds: int) -> float:
        return mechanism.spent(rounds)[place].epsilon

    # No release is made before anything is opened.
    cycle = min(question.release_every, question.rounds)
    while cycle < question.rounds and not mechanism.gathered(cycle):
        cycle += 1
    reports = question.devices * mechanism.round_rate * share_of(mechanism, question.shares)
    day = rounds_of_day(question.rounds_per_day)

    def noise(rounds: int) -> float | None:
        return mean_noise(mechanism, rounds, question.devices, question.shares)

    return Accounted(
        mechanism=mechanism.name,
        participation=participation,
        adversary=mechanism.spent(1)[place].adversary,
        noise_multiplier=mechanism.noise_multiplier,
        epsilon=spent(question.rounds),
        horizons=tuple(spent(question.rounds_in(days)) for days in HORIZON_DAYS),
        cycle_rounds=cycle,
        cycle_epsilon=spent(cycle),
        round_reports=reports,
        cycle_reports=reports * cycle,
        day_noise=noise(min(day, question.rounds)),
        horizon_noise=noise(question.rounds),
    )
