"""The audit of a run whose phones add the noise: what an attacker gets who reads single reports.

Canaries through the mechanism's functions, planted phones through what phones really send, and the noise that
the run's own phones draw.
"""

from dataclasses import dataclass

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.federation.environment import Environment
from fedbert.federation.noised_sum import noised_sum
from fedbert.privacy.audit.attacks import attacked
from fedbert.privacy.audit.canaries import Transcript, coins
from fedbert.privacy.audit.findings import BoundFinding
from fedbert.privacy.audit.noise import LEAST_COORDINATES, NoiseTest, noise_tests
from fedbert.privacy.audit.reports import read_reports, report_noise, send_reports, too_many_reports
from fedbert.privacy.local import Local
from fedbert.signals.report import dense_reports
from fedbert.simulation.real_path import excess, planted_clicks

MECHANISM, REAL_PATH = "through the phone's noise", "through the real path"

NOISE_PHONES, NOISE_ROUNDS = 6, 2
"""Phones and rounds whose noise is tested."""

_ALL = np.ones(1, np.bool_)


@dataclass(frozen=True)
class LocalAudit:
    """What was found, and what is wrong with it."""

    bounds: list[BoundFinding]
    tests: tuple[NoiseTest, ...]
    failures: list[str]


def local_audit(
    environment: Environment, mechanism: Local, seed: int, canaries: int, rounds: int
) -> LocalAudit:
    """Return the audit of single reports; `seed` is the audit's own, of coins and noise."""
    bounds, failures = attacked(
        mechanism, MECHANISM, send_reports(mechanism, seed, canaries), independent=True
    )
    planted, too_long = planted_reports(environment, mechanism, seed + 1)
    if planted is not None:
        found, blind = attacked(mechanism, REAL_PATH, planted, independent=True)
        bounds += found
        failures += blind
    if too_long:
        failures.append(f"{too_long:,} clipped reports are longer than the clip norm")
    many = too_many_reports(mechanism, seed, rounds)
    return LocalAudit(bounds, run_noise(environment, mechanism), failures + [many] * bool(many))


def planted_reports(environment: Environment, mechanism: Local, seed: int) -> tuple[Transcript | None, int]:
    """Return what planted phones send, and how many of their reports are longer than the clip norm.

    Each clicks one item over and over, or by its coin the next phone's; the attacker knows both reports and
    measures along their difference. None with fewer than two phones.
    """
    clicks = planted_clicks(environment)
    count, layout = len(clicks.item), environment.layout
    if count < 2:
        return None, 0
    integers = dense_reports(environment.signal, layout, clicks)
    included, apart = coins(seed, count), np.empty(count)
    clean, noise = np.empty(count), np.empty(count)
    for phone in range(count):
        other = (phone + 1) % count
        chosen = phone if included[phone] else other
        sent = noised_sum(
            environment, [clicks.take(slice(chosen, chosen + 1))], DeviceRange(seed, phone, 1), _ALL, 1
        )
        along = (integers[phone] - integers[other]).astype(np.float64)
        apart[phone] = np.linalg.norm(along) / layout.scale
        along /= max(float(np.linalg.norm(along)), 1.0)
        clean[phone] = along @ (integers[chosen] - integers[other]) / layout.scale
        noise[phone] = along @ (sent - integers[chosen]) / layout.scale
    transcript = read_reports(mechanism, included, clean, noise, float(np.median(apart)))
    return transcript, excess(environment, integers)


def run_noise(environment: Environment, mechanism: Local) -> tuple[NoiseTest, ...]:
    """Return the tests of the noise that the run's first phones draw in its first rounds.

    Rows are phones and rounds: all are independent of each other.
    """
    layout = environment.layout
    if layout.size < LEAST_COORDINATES:
        return ()
    seed, phones = environment.device_noise_seed, min(NOISE_PHONES, environment.scenario.devices)
    rows = np.concatenate(
        [
            report_noise(mechanism, seed, phones, round_, layout.size, layout.scale)
            for round_ in range(1, min(NOISE_ROUNDS, environment.scenario.rounds) + 1)
        ]
    )
    covariance = mechanism.report_sigma**2 * np.eye(len(rows))
    return noise_tests(rows / layout.scale, covariance, gaussian=True)
