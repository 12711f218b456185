"""The audit of a private run: what attackers really get, beside what was proved, and whether both agree.

It works when the run is over, with the run's own mechanism, signal and aggregator, and changes no figure of
it. Four looks: canaries through the mechanism's functions, planted phones through the real path, the noise
that the run's aggregator really adds, and what one report gives away without its mask.
"""

import hashlib
import time

import numpy as np

from fedbert.federation.environment import Environment
from fedbert.federation.session import Session
from fedbert.privacy.audit.attacks import attacked
from fedbert.privacy.audit.canaries import opened_rounds, openings, send
from fedbert.privacy.audit.findings import CHECKS, FAMILY_LEVEL, SIGNIFICANCE, BoundFinding
from fedbert.privacy.audit.gaussian_events import is_gaussian
from fedbert.privacy.audit.noise import LEAST_COORDINATES, NoiseTest, noise_tests
from fedbert.privacy.local import Local
from fedbert.results import AuditBoundRow, AuditRow, ExposureRow
from fedbert.simulation.exposure import Exposure, exposure
from fedbert.simulation.local_audit import local_audit
from fedbert.simulation.real_path import Opening, PlantedAudit, nobody, open_rounds, planted_audit

CANARIES = {"quick": 20_000, "full": 200_000}
ROUNDS = {"quick": 24, "full": 96}
"""Most rounds that are audited; the proof beside them is that of as many."""

PHONES = 40
"""Phones whose reports are read without their masks."""

MECHANISM, REAL_PATH = "through the mechanism", "through the real path"


def audit_seed(noise_seed: int) -> int:
    """Return the seed of the audit's own coins and noise, which say nothing of the run's."""
    digest = hashlib.blake2b(f"audit {noise_seed}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def audit_of(session: Session, rounds: int) -> AuditRow | None:
    """Return the audit of a run of `rounds` rounds; None if it is not private or no audit was asked for.

    With a `noise_cohort` the bounds are of phones that are not there, and those that are have no promise that
    could be kept or broken.
    """
    scenario, environment = session.scenario, session.environment
    promised = environment.mechanism.private and scenario.noise_cohort is None
    if scenario.audit == "off" or not promised or rounds < 1:
        return None
    noise_seed = scenario.effective_noise_seed if session.noise_seed is None else session.noise_seed
    with session.timed("audit"):
        return audited(environment, noise_seed, min(rounds, ROUNDS[scenario.audit]))


def audited(environment: Environment, noise_seed: int, rounds: int) -> AuditRow:
    """Return the audit of `rounds` rounds; the aggregator of the run draws its noise from `noise_seed`."""
    started = time.perf_counter()
    mechanism, seed, level = environment.mechanism, audit_seed(noise_seed), environment.scenario.audit
    bounds, tests, failures, note = list[BoundFinding](), tuple[NoiseTest, ...](), list[str](), ""
    if isinstance(mechanism, Local):
        single = local_audit(environment, mechanism, seed, CANARIES[level], rounds)
        bounds, tests, failures = single.bounds, single.tests, single.failures
    elif mechanism.noise_on_device:
        note = "a mechanism of your own whose devices add the noise: how, only it knows"
    else:
        # The noise itself is what one who sees who takes part is held off by.
        gaussian = is_gaussian(mechanism.event(rounds), seen=True)
        transcript = send(mechanism, seed, CANARIES[level], rounds)
        bounds, failures = attacked(mechanism, MECHANISM, transcript, independent=True)
        alone = open_rounds(environment, noise_seed, rounds, nobody(environment))
        tests = _noise(environment, alone, rounds, gaussian)
        planted = planted_audit(environment, seed + 1, rounds)
        if planted is not None:
            found, blind = attacked(mechanism, REAL_PATH, planted.transcript, independent=planted.independent)
            bounds += found
            failures += blind
            failures += _faults(alone, planted)
    failures += [
        f"{each.name} of the noise: p = {each.p_value:.1g}"
        for each in tests
        if each.p_value < FAMILY_LEVEL / CHECKS
    ]
    failures += [each.fault for each in bounds if each.fault]
    given = exposure(environment, PHONES)
    return {
        "level": level,
        "significance": SIGNIFICANCE,
        "family_level": FAMILY_LEVEL,
        "passed": not failures,
        "failures": failures,
        "note": note or None,
        "bounds": [_bound_row(each) for each in bounds],
        "noise": [{"test": each.name, "p_value": each.p_value, "measured": each.measured} for each in tests],
        "exposure": None if given is None else _exposure_row(given),
        "wall_s": time.perf_counter() - started,
    }


def _faults(alone: list[Opening], planted: PlantedAudit) -> list[str]:
    """Return the faults that no chance can explain: a norm above its bound, a count that is told."""
    found = []
    if planted.too_long:
        found.append(f"{planted.too_long:,} clipped reports are longer than the clip norm")
    told = {each.round: each.public for each in alone}
    if any(told.get(each.round, each.public) != each.public for each in planted.openings):
        found.append("what the server is told beside the noisy sums depends on how many phones took part")
    return found


def _noise(
    environment: Environment, alone: list[Opening], rounds: int, gaussian: bool
) -> tuple[NoiseTest, ...]:
    """Return the tests of the noise that the aggregator added to sums of nobody's reports."""
    mixing, covariance = openings(environment.mechanism, rounds)
    if not alone or environment.layout.size < LEAST_COORDINATES:
        return ()
    rounds_opened = opened_rounds(mixing)
    kept = [rounds_opened.index(each.round) for each in alone]
    noise = np.array([each.values for each in alone])
    return noise_tests(noise, covariance[np.ix_(kept, kept)], gaussian)


def _bound_row(found: BoundFinding) -> AuditBoundRow:
    return {
        "path": found.path,
        "adversary": found.adversary,
        "canaries": found.canaries,
        "rounds": found.rounds,
        "epsilon": found.epsilon,
        "epsilon_one_run": found.epsilon_one_run,
        "epsilon_sure": found.epsilon_sure,
        "proved": found.proved,
        "epsilon_without_noise": found.epsilon_without_noise,
    }


def _exposure_row(given: Exposure) -> ExposureRow:
    return {
        "reports": given.reports,
        "clicks": given.clicks,
        "candidate_items": given.candidate_items,
        "candidate_texts": given.candidate_texts,
        "items": given.items,
        "texts": given.texts,
    }
