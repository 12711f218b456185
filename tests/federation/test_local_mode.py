"""Mode local in whole rounds: who sends noise, who knows its seed, and what the server is told."""

import dataclasses
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from small_runs import TINY

from fedbert.device_range import DeviceRange
from fedbert.ei_bert.artefact.artefact import pack
from fedbert.federation.aggregator import Aggregator, AggregatorState, MaskedReport
from fedbert.federation.block_round import BlockRound
from fedbert.federation.environment import Environment, forget, load_mechanism, share, shared_environment
from fedbert.federation.protocol import Member, RoundOrder
from fedbert.federation.server import starting_artefact
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.federation.shard_report import COHORT_KEYS
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.mechanisms import wrap
from fedbert.privacy.once_a_day import Daily
from fedbert.privacy.secure_sum import masked_vector
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import report_layout
from fedbert.simulation import audit, exposure, local_audit, real_path
from fedbert.simulation.audit import audited

LOCAL = TINY.model_copy(
    update={"mode": "local", "mechanism": "daily", "rounds": 2, "round_hours": 12.0, "devices": 80}
)


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """What a run in mode local is made of."""
    yield Environment.create(LOCAL, starting_artefact("tiny"))
    forget()


def test_shards_and_blocks_change_no_bit(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 phones one shard sums what three do, in blocks of 7 too; without the noise it is another sum."""

    def summed(made: Environment, cuts: list[int]) -> Any:
        total = np.zeros(made.layout.size, np.uint32)
        for first, end in pairwise(cuts):
            shard = Shard(made, first, end - first)
            report, _ = shard.run_round(shard.start(), RoundOrder(1, 0, 0), {0: made.encoded_0})
            total += report.server["signal"]
        return total

    whole = summed(environment, [0, 80])
    assert np.array_equal(summed(environment, [0, 30, 31, 80]), whole)
    monkeypatch.setattr("fedbert.federation.shard.BLOCK", 7)
    assert np.array_equal(summed(environment, [0, 80]), whole)
    monkeypatch.setattr(Local, "on_device", lambda self, *given: np.zeros(environment.layout.size, np.int64))
    assert (summed(environment, [0, 80]) != whole).all()


def test_who_has_nothing_to_say_sends_noise_too(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phones that clicked nothing: without noise on the device they are in no sum; with it each that
    completes adds noise, so that a zero does not give it away, and counts as a report, for the observer too.
    """
    found = []
    for scenario in (LOCAL.model_copy(update={"mode": "central"}), LOCAL):
        made = dataclasses.replace(environment, scenario=scenario, mechanism=load_mechanism(scenario))
        shard = Shard(made, 0, 40)
        state = shard.start()
        state.item[:] = -1
        monkeypatch.setattr(BlockRound, "_click", lambda *given: None)
        report, _ = shard.run_round(state, RoundOrder(1, 0, 0), {0: made.encoded_0})
        found.append(report.server)
        assert report.truth["counts"][COHORT_KEYS.index("reported")] == report.server["reported"]
    without, with_noise = found
    assert (without["reported"], without["signal"].any()) == (0, False)
    assert with_noise["reported"] == with_noise["completed"] == without["completed"] > 0
    sent = with_noise["signal"].view(np.int32) / made.layout.scale
    mechanism = made.mechanism
    assert isinstance(mechanism, Local)
    expected = mechanism.report_sigma * math.sqrt(int(with_noise["completed"][0]))
    assert sent.std() == pytest.approx(expected, rel=0.05)


def test_the_sum_s_range_holds_the_noise(environment: Environment) -> None:
    """The largest cohort's clipped reports and twelve deviations of its noise stay below 2^31 steps."""
    layout, mechanism = environment.layout, environment.mechanism
    assert isinstance(mechanism, Local)
    cohort = environment.largest_cohort
    most = cohort * layout.clip_norm + 12 * mechanism.report_sigma * math.sqrt(cohort)
    assert 2**29 < most * layout.scale < 2**31 or layout.scale == 2.0**20
    assert most * layout.scale < 2**31


class _Counts:
    """A layout of three numbers."""

    size = 3


def test_the_server_is_told_the_noise_of_those_that_sent() -> None:
    """Four and five reports in a day's two rounds carry the noise of nine, where hundreds were expected."""
    made = Local.make(Daily, PrivacySettings(8.0, 1e-6, 1.0, 100.0, 2, 2.0, 1000))
    layout = report_layout(_Counts(), clip_norm=100.0, largest_cohort=100)  # type: ignore[arg-type]
    aggregator = Aggregator(
        made,
        layout,
        (Member(0, 1, 0, 500), Member(1, 2, 500, 500)),
        noise_seed=4,
        min_reports=2,
        largest_cohort=100,
        devices=1000,
        secret=bytes(32),
    )
    state = AggregatorState()
    for round_, counts in ((1, (2, 2)), (2, (2, 3))):
        reports: dict[int, Any] = {}
        for index, count in enumerate(counts):
            empty = wrap(np.zeros(3 + RANK_BINS, np.int64))
            masked = masked_vector(empty, index, aggregator.deal(round_)[index])
            reports[index] = MaskedReport(masked, count)
        opened, _, state = aggregator.open(RoundOrder(round_, 0, 0), reports, state)
    assert opened.signal is not None
    assert opened.signal.sigma == opened.signal.total_sigma == pytest.approx(made.report_sigma * 3)
    assert state.opened == ((2, 0, 9),)


def test_phones_are_told_their_seed_in_a_simulation_only(environment: Environment) -> None:
    """Shards get the noise's seed in mode local, as the noise is their phones'; in mode central never; in a
    deployment nobody is told one, and each process draws its own.
    """
    named = LOCAL.model_copy(update={"noise_seed": 71})
    assert named.for_shards().noise_seed == 71
    assert LOCAL.for_shards().noise_seed == LOCAL.effective_noise_seed
    assert named.model_copy(update={"mode": "central"}).for_shards().noise_seed is None

    session = Session(LOCAL, environment, None)  # type: ignore[arg-type]
    assert session.told.noise_seed == LOCAL.effective_noise_seed
    session.noise_seed = 5  # as in a deployment
    assert session.told.noise_seed is None


def test_a_process_without_a_seed_draws_its_own(environment: Environment) -> None:
    """Two deployments' shards do not share noise; shards of a simulation share the environment of the run."""
    blob = pack(environment.release_0)
    unknown = LOCAL.model_copy(update={"noise_seed": None})
    seeds = []
    for _ in range(2):
        forget()
        first = shared_environment(unknown, blob, 1.5)
        assert shared_environment(unknown, blob, 1.5) is first
        seeds.append(first.device_noise_seed)
    assert len({*seeds, LOCAL.effective_noise_seed}) == 3
    share(environment)
    assert shared_environment(LOCAL.for_shards(), blob) is environment


@pytest.fixture(scope="module")
def audited_environment(environment: Environment) -> Environment:
    """The same at an epsilon that an audit of few phones can refute."""
    scenario = LOCAL.model_copy(update={"epsilon": 2.0, "delta": 1e-6, "devices": 2_000})
    return dataclasses.replace(environment, scenario=scenario, mechanism=load_mechanism(scenario))


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.CANARIES, "quick", 3_000)
    monkeypatch.setattr(audit, "PHONES", 8)
    for module in (real_path, exposure):
        monkeypatch.setattr(module, "MOST_NUMBERS", 2_000_000)


@pytest.mark.usefixtures("_small")
def test_the_audit_reads_single_reports(audited_environment: Environment) -> None:
    """A sound run passes on both paths, beside the proof of one report; without noise far more is found; and
    a report as it is sent names next to nothing of what its phone clicked.
    """
    found = audited(audited_environment, 5, 2)
    assert found["failures"] == []
    assert [row["path"] for row in found["bounds"]] == [local_audit.MECHANISM, local_audit.REAL_PATH]
    for row, least in zip(found["bounds"], (9, 4), strict=True):
        assert row["epsilon_sure"] <= row["epsilon"] <= row["proved"]
        assert row["epsilon_without_noise"] > least
        assert row["rounds"] == 1
    assert len(found["noise"]) == 4


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("halved", "variance of the noise"),
        ("one for all phones", "whiteness over rounds of the noise"),
        ("one for all rounds", "whiteness over rounds of the noise"),
    ],
)
def test_the_audit_finds_faults_of_phones_noise(
    audited_environment: Environment, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    """Half the noise; the noise of phone 0 for every phone; the noise of round 1 in every round."""
    plain = Local.on_device

    def broken(self: Local, devices: DeviceRange, reporting: Any, round_: int, *rest: Any) -> Any:
        if fault == "one for all phones":
            devices = dataclasses.replace(devices, first=0)
        if fault == "one for all rounds":
            round_ = 1
        noise = plain(self, devices, reporting, round_, *rest)
        return noise // 2 if fault == "halved" else noise

    monkeypatch.setattr(Local, "on_device", broken)
    assert said in "; ".join(audited(audited_environment, 5, 2)["failures"])


@pytest.mark.usefixtures("_small")
def test_the_audit_finds_noise_that_is_left_out_of_what_is_sent(
    audited_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mechanism is sound, and phones send their reports without its noise."""
    from fedbert.signals.report import report_sum

    monkeypatch.setattr(
        local_audit,
        "noised_sum",
        lambda environment, clicks, *rest: report_sum(environment.signal, environment.layout, *clicks),
    )
    assert "through the real path: one who sees every single report" in "; ".join(
        audited(audited_environment, 5, 2)["failures"]
    )
