"""The audit of a run: sound parts pass, and each fault that it is there for is found.

It runs on the shipped world with fewer canaries and planted phones than a run has.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.federation.aggregator import Aggregator
from fedbert.federation.environment import Environment, forget, load_mechanism
from fedbert.federation.server import starting_artefact
from fedbert.parts import MECHANISMS
from fedbert.privacy.audit import canaries
from fedbert.privacy.audit.attacks import attacked
from fedbert.privacy.audit.canaries import scores_seen, scores_unseen
from fedbert.privacy.audit.findings import Scores, blind
from fedbert.results import AuditRow
from fedbert.scenario import Scenario
from fedbert.signals import ranks
from fedbert.signals.prototypes import contribution
from fedbert.simulation import audit, exposure, real_path
from fedbert.simulation.audit import MECHANISM, REAL_PATH, audited

ROUNDS = 4
SCENARIO = Scenario(
    model="tiny", devices=2_000, rounds=ROUNDS, mechanism="poisson", epsilon=2, sampling_probability=0.5
)
NOISE_SEED = 5


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """What a private run of 2,000 devices is made of."""
    yield Environment.create(SCENARIO, starting_artefact("tiny"))
    forget()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.CANARIES, "quick", 4_000)
    monkeypatch.setattr(audit, "PHONES", 8)
    for module in (real_path, exposure):
        monkeypatch.setattr(module, "MOST_NUMBERS", 2_000_000)


def faults(environment: Environment) -> str:
    """Return what the audit of an environment finds wrong, as one text."""
    return "; ".join(audited(environment, NOISE_SEED, ROUNDS)["failures"])


def mechanism_with(environment: Environment, monkeypatch: pytest.MonkeyPatch, **methods: Any) -> None:
    """Give the environment's mechanism other methods."""
    kind = type(environment.mechanism)
    for name, method in methods.items():
        monkeypatch.setattr(kind, name, method)


def test_a_sound_run_passes(environment: Environment) -> None:
    """Nothing is found wrong; each bound is below its proof; without noise far more is found; what one
    report gives away are all of its items and most of its texts; and a second audit finds the same.
    """
    found = audited(environment, NOISE_SEED, ROUNDS)
    assert found["failures"] == []
    assert found["passed"]
    assert {row["path"] for row in found["bounds"]} == {MECHANISM, REAL_PATH}
    assert len(found["bounds"]) == 4
    for row in found["bounds"]:
        assert row["epsilon_one_run"] <= row["epsilon"]
        assert row["epsilon_sure"] <= row["epsilon"] <= row["proved"]
        assert row["epsilon_without_noise"] > (5 if row["path"] == MECHANISM else 2)
    strongest = max(row["epsilon"] for row in found["bounds"])
    assert strongest > 0.5
    assert [row["test"] for row in found["noise"]] == [
        *("variance", "whiteness over coordinates", "whiteness over rounds", "shape"),
    ]
    given = found["exposure"]
    assert given is not None
    assert given["items"] == 1.0
    assert given["texts"] > 0.8
    again = audited(environment, NOISE_SEED, ROUNDS)
    assert _timeless(again) == _timeless(found)


def _timeless(row: AuditRow) -> str:
    return json.dumps({name: value for name, value in row.items() if name != "wall_s"})


def test_noise_that_is_halved_is_found(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the noise: the test of its variance fails, and an attacker gets more than was proved."""
    plain = type(environment.mechanism).on_sum
    mechanism_with(environment, monkeypatch, on_sum=lambda *given: plain(*given) / 2)
    found = faults(environment)
    assert "variance of the noise" in found
    assert "through the mechanism: one who sees" in found


def test_noise_drawn_twice_from_one_seed_is_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same noise in every round, which averages over rounds cannot remove, and differences can."""
    plain = type(environment.mechanism).on_sum
    mechanism_with(
        environment, monkeypatch, on_sum=lambda self, seed, round_, size: plain(self, seed, 1, size)
    )
    assert "whiteness over rounds of the noise" in faults(environment)


def test_an_aggregator_that_adds_less_noise_is_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mechanism is sound, and the aggregator adds nine tenths of its noise: its own sums tell."""
    plain = Aggregator.open

    def weak(self: Aggregator, order: Any, *rest: Any) -> Any:
        opened, *others = plain(self, order, *rest)
        if opened.signal is not None:
            noise = self._mechanism.on_sum(self._noise_seed, order.round, self._layout.size)
            part, _ = self._layout.split(noise)
            signal = dataclasses.replace(opened.signal, values=opened.signal.values - 0.1 * part)
            opened = dataclasses.replace(opened, signal=signal)
        return (opened, *others)

    monkeypatch.setattr(Aggregator, "open", weak)
    assert "variance of the noise" in faults(environment)


def test_a_report_that_is_rounded_after_clipping_is_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding to the nearest step, where truncation is needed, makes some reports longer than the norm."""

    def rounded(vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
        shape = (len(factors),) + (1,) * (vectors.ndim - 1)
        return np.rint(vectors * factors.reshape(shape)).astype(np.int64)

    for module in (contribution, ranks):
        monkeypatch.setattr(module, "to_fixed_point", rounded)
    assert "clipped reports are longer than the clip norm" in faults(environment)


def test_a_count_of_the_round_as_denominator_is_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The expected reports are public; a server that is told the real ones is told who took part."""
    plain = Aggregator.open

    def telling(self: Aggregator, order: Any, reports: Any, *rest: Any) -> Any:
        opened, *others = plain(self, order, reports, *rest)
        count = float(sum(report.reported for report in reports.values()))
        if opened.signal is not None:
            signal = dataclasses.replace(opened.signal, expected_reports=count)
            opened = dataclasses.replace(opened, signal=signal)
        return (opened, *others)

    monkeypatch.setattr(Aggregator, "open", telling)
    assert "depends on how many phones took part" in faults(environment)


def test_canaries_that_are_left_out_are_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit whose canaries never arrive bounds nothing, and must not pass for a good result."""
    plain = audit.send

    def lost(*given: Any) -> Any:
        transcript = plain(*given)
        return dataclasses.replace(transcript, clean=np.zeros_like(transcript.clean))

    monkeypatch.setattr(audit, "send", lost)
    found = faults(environment)
    assert "through the mechanism: " in found
    assert "do not show in sums without noise" in found


def test_planted_phones_that_are_left_out_are_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is on the real path, where sums of nobody's reports are opened."""
    size = environment.layout.size
    monkeypatch.setattr(real_path, "report_sum", lambda *given: np.zeros(size, np.int64))
    assert "through the real path: " in faults(environment)


def test_a_law_by_which_nobody_takes_part_is_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where hundreds should have joined and none did, the audit says so."""
    mechanism_with(
        environment, monkeypatch, joins=lambda self, devices, round_: np.zeros(devices.count, np.bool_)
    )
    assert "no canary took part" in faults(environment)


def test_without_privacy_or_where_it_is_off_there_is_no_audit(environment: Environment) -> None:
    """There is no proof to hold an attack against, or none was asked for."""
    from fedbert.federation.session import Session

    for changes in ({"audit": "off"}, {"epsilon": None}):
        scenario = SCENARIO.model_copy(update=changes)
        changed = dataclasses.replace(environment, scenario=scenario, mechanism=load_mechanism(scenario))
        session = Session(scenario, changed, None)  # type: ignore[arg-type]
        assert audit.audit_of(session, ROUNDS) is None


def test_few_canaries_that_never_join_are_no_fault() -> None:
    """Where a few joins at most are expected, none is no fault."""
    nothing, half = np.zeros(10), np.arange(10) < 5
    none = np.zeros(10, np.bool_)
    assert blind("path", Scores(nothing, nothing, half, none), times=1.0) == ""
    assert blind("path", Scores(nothing, nothing, half, none), times=10.0) != ""
    assert blind("path", Scores(half + 0.0, half + 0.0, half, half), times=1.0) == ""


def test_scores_are_log_likelihood_ratios(environment: Environment) -> None:
    """Two rounds, noise of deviation 2, clip norm 2: the ratios of normal densities, written out."""
    transcript = canaries.Transcript(
        included=np.array([True, False]),
        joined=np.array([[True, True], [False, True]]),
        clip_norm=2.0,
        mixing=np.eye(2),
        covariance=4.0 * np.eye(2),
        clean=np.array([[2.0, 0.0], [0.0, 0.0]]),
        noise=np.array([[1.0, -1.0], [0.5, 3.0]]),
    )

    def density(value: float, mean: float) -> float:
        return float(np.exp(-((value - mean) ** 2) / 8))

    seen = [np.log(density(3, 2) / density(3, 0))]
    seen.append(np.log(density(-1, 2) * density(3, 2) / (density(-1, 0) * density(3, 0))))
    assert scores_seen(transcript, transcript.opened) == pytest.approx(seen)
    # By a law of one pattern in three, (joined, not), and two in three, (joined, joined).
    law = np.array([[True, True, True], [False, True, True]])
    unseen = [
        np.log(
            density(one, 2)
            * (density(two, 0) + 2 * density(two, 2))
            / (3 * density(one, 0) * density(two, 0))
        )
        for one, two in transcript.opened.T
    ]
    assert scores_unseen(transcript, transcript.opened, law) == pytest.approx(unseen)


def test_rounds_alone_score_as_patterns_do_where_rounds_are_independent(
    monkeypatch: pytest.MonkeyPatch, environment: Environment
) -> None:
    """With a coin for each round the two ways to score without seen participation agree."""
    transcript = canaries.send(environment.mechanism, 3, 50, 2)
    law = np.array([[True, True, False, False], [True, False, True, False]])
    whole = scores_unseen(transcript, transcript.opened, law)
    monkeypatch.setattr(canaries, "MOST_PATTERNS", 1)
    assert scores_unseen(transcript, transcript.opened, law) == pytest.approx(whole)


def test_canaries_join_as_devices_do(environment: Environment) -> None:
    """A canary's coins are the mechanism's for a device of the audit's own seed; half of them are in."""
    transcript = canaries.send(environment.mechanism, 9, 2_000, 3)
    joined = environment.mechanism.joins(DeviceRange(9, 0, 2_000), 2)
    assert np.array_equal(transcript.joined[1], joined)
    assert 900 < transcript.included.sum() < 1_100
    assert np.array_equal(
        transcript.clean[1], environment.scenario.clip_norm * (joined & transcript.included)
    )


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_no_mechanism_gives_more_than_its_proof(name: str) -> None:
    """Canaries of three seeds through a day of each mechanism: no bound above the proof at the family-wise
    level, and bounds far above it without noise.
    """
    scenario = Scenario(mechanism=name, rounds=12, epsilon=2, sampling_probability=0.5)
    mechanism = load_mechanism(scenario)
    for seed in (1, 2, 3):
        transcript = canaries.send(mechanism, seed, 3_000, 12)
        found, blind_ones = attacked(mechanism, "canaries", transcript, independent=True)
        assert found
        assert blind_ones == []
        assert [each.fault for each in found if each.fault] == []
        assert all(each.epsilon_without_noise > max(5, 2 * each.proved) for each in found[-1:])
