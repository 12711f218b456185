"""Privacy planned backwards: noise from a budget, and nothing read beyond what was measured."""

import math
from pathlib import Path
from typing import Any

import pytest
from planning import planning_fakes as fakes
from planning.budget_examples import SCENARIO, grid_folder

from fedbert.errors import FedbertError
from fedbert.planning.budget.account import calibrated
from fedbert.planning.budget.backwards import plan
from fedbert.planning.budget.measured import read_frontiers
from fedbert.planning.budget.noise import Shares, mean_noise, report_shares
from fedbert.planning.budget.plan import BudgetPlan, MeasuredArm, Question, Row
from fedbert.planning.budget.reading import free_fleet, read
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.privacy.accounting import least_multiplier
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.once_a_day import Allocated, Daily

NAN = math.nan
ALL = Shares(1.0, 1.0)
"""Every phone that joins reports."""


def planned(**values: Any) -> BudgetPlan:
    """Return the plan of some settings; all phones are available."""
    return plan(BudgetSettings(**({"availability": "always"} | values)))


def row_of(found: BudgetPlan, mechanism: str, participation: str = "seen") -> Row:
    """Return the row of a mechanism against an adversary."""
    (row,) = (
        row
        for row in found.rows
        if (row.accounted.mechanism, row.accounted.participation) == (mechanism, participation)
    )
    return row


def question(**values: Any) -> Question:
    """Return a question with twelve rounds a day."""
    asked: dict[str, Any] = {
        "epsilon": 2.0,
        "days": 1,
        "delta": None,
        "devices": 12_000,
        "round_hours": 2.0,
        "sampling_probability": 0.1,
        "release_every": 3,
        "availability": "always",
        "shares": ALL,
        "signal": "prototypes",
    }
    return Question(**(asked | values))


def arm(noise: float, *loss: float, seeds: int = 3) -> MeasuredArm:
    """Return an arm with a noise of the mean and its difference to no privacy: value, low, high."""
    value, low, high = loss
    return MeasuredArm(
        *("a folder", "prototypes", "daily", 1.0, 1_000, 1_000),
        seeds=seeds,
        noise=noise,
        loss=(value, low, high),
        gain=(value, low, high),
    )


def loss_of(each: MeasuredArm) -> tuple[float, float, float]:
    """Return the difference that is read."""
    return each.loss


def test_a_year_takes_the_root_of_its_days() -> None:
    """One Gaussian a day over 365 days needs sqrt(365) times the noise of one: 2.23 becomes 42.6."""
    (row,) = planned(epsilon=2, days=365, mechanisms="daily").rows
    settings = PrivacySettings(2.0, 1e-6, 0.1, 1.0, 1, 1.0, 10_000)
    once = least_multiplier(lambda noise: gaussian_epsilon(noise, 1e-6), settings)
    assert once == pytest.approx(2.23, abs=5e-3)
    assert row.accounted.noise_multiplier == pytest.approx(once * math.sqrt(365), rel=2e-3)
    assert row.accounted.noise_multiplier == pytest.approx(42.6, abs=0.1)
    assert 1.998 <= row.accounted.epsilon <= 2.0
    assert row.accounted.horizons[2] == row.accounted.epsilon


def test_each_adversary_has_its_own_noise() -> None:
    """A day at epsilon 2: sampled Gaussians need 1.36 where participation is not seen, and as twelve plain
    ones 2.23 x sqrt(12) where it is; once a day takes 2.23.
    """
    found = planned(epsilon=2, days=1, mechanisms="poisson daily")
    assert [row.accounted.mechanism for row in found.rows] == ["poisson", "poisson", "daily"]
    seen, hidden, daily = (row.accounted for row in found.rows)
    assert (seen.participation, hidden.participation) == ("seen", "not seen")
    assert hidden.noise_multiplier == pytest.approx(1.36, abs=5e-3)
    assert seen.noise_multiplier == pytest.approx(2.234 * math.sqrt(12), rel=2e-3)
    assert daily.noise_multiplier == pytest.approx(2.234, rel=2e-3)
    for each in (seen, hidden, daily):
        assert 1.998 <= each.epsilon <= 2.0


def test_cohorts_and_cycles_by_hand() -> None:
    """12,000 phones: a rate of .1 is 1,200 a round and 3,600 a release; once a day it is 1,000 a round, and
    the first release waits for the day's sum.
    """
    found = planned(days=1, devices=12_000, mechanisms="poisson daily")
    poisson, daily = row_of(found, "poisson").accounted, row_of(found, "daily").accounted
    assert poisson.round_reports == pytest.approx(1_200)
    assert (poisson.cycle_rounds, poisson.cycle_reports) == (3, pytest.approx(3_600))
    assert daily.round_reports == pytest.approx(1_000)
    assert (daily.cycle_rounds, daily.cycle_reports) == (12, pytest.approx(12_000))


def test_the_noise_of_a_mean_by_hand() -> None:
    """12,000 phones once a day: one noise of z over 12,000 reports where the day is one sum, twelve of them
    (sqrt(12) z) where each round is opened; nothing before a sum is opened, and half as much with twice the
    phones.
    """
    settings = PrivacySettings(2.0, 1e-6, 0.1, 2.0, 24, 12.0, 12_000, noise_multiplier=3.0)
    daily, allocated = Daily.make(settings), Allocated.make(settings)
    assert mean_noise(daily, 12, 12_000, ALL) == pytest.approx(3 / 12_000)
    assert mean_noise(daily, 11, 12_000, ALL) is None
    assert mean_noise(daily, 24, 12_000, ALL) == pytest.approx(3 * math.sqrt(2) / 24_000)
    assert mean_noise(allocated, 12, 12_000, ALL) == pytest.approx(3 * math.sqrt(12) / 12_000)
    assert mean_noise(allocated, 12, 24_000, Shares(0.25, 0.5)) == pytest.approx(3 * math.sqrt(12) / 6_000)


def test_fewer_report_than_join() -> None:
    """Where all are available all report; by the model of days about a fifth do."""
    assert report_shares(2.0, "always") == ALL
    found = report_shares(2.0, "default")
    assert 0.15 < found.in_time < 0.25
    assert 0.3 < found.by_opening < 0.4


def test_the_mechanism_with_least_noise_that_survives_is_named() -> None:
    """Against one who does not see participation `poisson` has the least noise; it is not named for that."""
    found = planned(epsilon=2, days=1, mechanisms="poisson correlated")
    hidden, correlated = (
        row_of(found, *which).accounted.day_noise
        for which in (("poisson", "not seen"), ("correlated", "seen"))
    )
    assert hidden is not None and correlated is not None and hidden < correlated
    assert found.chosen == row_of(found, "correlated")


ARMS = [arm(0.01, -0.002, -0.003, -0.001), arm(0.03, -0.010, -0.014, -0.006)]


@pytest.mark.parametrize(
    ("noise", "value", "low", "high"),
    [
        (0.01, -0.002, -0.003, -0.001),
        (0.02, -0.006, -0.014, -0.001),
        (0.025, -0.008, -0.014, -0.001),
        (0.03, -0.010, -0.014, -0.006),
    ],
)
def test_interpolation_by_hand(noise: float, value: float, low: float, high: float) -> None:
    """Linear between two arms, with both intervals together; at an arm it is that arm's own."""
    found = read(ARMS, noise, loss_of)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))
    assert (found.seeds, found.why) == (3, "")


@pytest.mark.parametrize(("noise", "side"), [(0.009, "less"), (0.031, "more")])
def test_nothing_is_read_beyond_what_was_measured(noise: float, side: str) -> None:
    """Outside there is no value, and the reason names the nearest arm; no arms, and no noise, have theirs."""
    found = read(ARMS, noise, loss_of)
    assert found.value is None
    assert found.why.startswith(f"{side} noise than any arm")
    assert read([], noise, loss_of).why.startswith("no private arm")
    assert read(ARMS, None, loss_of).why.startswith("nothing is opened")


def test_one_seed_has_no_interval() -> None:
    """A value between arms of which one has a single seed has no interval."""
    found = read([ARMS[0], arm(0.03, -0.010, NAN, NAN, seeds=1)], 0.02, loss_of)
    assert (found.value, found.low, found.high, found.seeds) == (pytest.approx(-0.006), None, None, 1)


def fleet(arms: list[MeasuredArm], most: int = 10**9) -> Any:
    """Return the fleet that loses nothing, where noise is 200 over the phones."""
    return free_fleet(arms, lambda devices: 200 / devices, 1_000, most)


def test_the_fleet_that_loses_nothing_by_hand() -> None:
    """The most noise at and below which no interval lies under zero is .02: 200 / .02 = 10,000 phones. The
    wide interval at .04 says nothing, since .03 is resolved.
    """
    arms = [
        arm(0.04, -0.030, -0.090, 0.030),
        arm(0.01, 0.001, -0.001, 0.003),
        arm(0.03, -0.010, -0.014, -0.006),
        arm(0.02, -0.002, -0.005, 0.001),
    ]
    found = fleet(arms)
    assert (found.devices, found.value, found.seeds) == (10_000, -0.002, 3)
    assert (found.low, found.high) == (-0.005, 0.001)
    assert fleet(arms, most=9_999).why == "more than 9,999 phones"


def test_no_fleet_is_smaller_than_the_one_that_was_run() -> None:
    """Noise .5 would do with 200 / .5 = 400 phones, but 1,000 were run."""
    assert fleet([arm(0.5, -0.002, -0.005, 0.001)]).devices == 1_000


def test_no_fleet_is_named_from_what_does_not_say() -> None:
    """Where even the least noise costs, or with one seed, there is no such fleet."""
    assert fleet(ARMS).why.startswith("even the least noise measured is resolved: -0.002")
    assert fleet([arm(0.01, -0.002, NAN, NAN, seeds=1)]).why.startswith("one seed")
    assert fleet([]).devices is None


def test_a_plan_reads_the_arms_of_its_mechanism(tmp_path: Path) -> None:
    """Invented noise multipliers 1, 2 and 4 at epsilon 2, 1 and .5: epsilon 3 needs 1.55, which lies between
    the first two. 1,000 phones once a day are 1,000 reports, less the sixth of the slots.
    """
    grid = grid_folder(tmp_path / "grid", (0.5, 1.0, 2.0))
    found = plan(BudgetSettings(epsilon=3, days=1, devices=1_000, mechanisms="daily tree", frontiers=(grid,)))
    row = row_of(found, "daily")
    multiplier = row.accounted.noise_multiplier
    assert 1 < multiplier < 2
    assert [each.noise for each in found.arms] == pytest.approx([0.004, 0.002, 0.001])
    assert row.noise == pytest.approx(multiplier / 1_000)
    lost = {epsilon: fakes.final_ndcg(epsilon, 0) - fakes.final_ndcg(None, 0) for epsilon in (1.0, 2.0)}
    expected = lost[2.0] + (multiplier - 1) * (lost[1.0] - lost[2.0])
    assert row.loss.value == pytest.approx(expected)
    assert row.loss.low == pytest.approx(lost[1.0])
    assert row.loss.high == pytest.approx(lost[2.0])
    assert row_of(found, "tree").loss.why.startswith("no private arm")


def test_a_plan_beyond_the_frontier_has_no_loss(tmp_path: Path) -> None:
    """Epsilon .1 needs far more noise than was measured, a hundred times the phones far less."""
    grid = grid_folder(tmp_path / "grid", (0.5, 1.0, 2.0))
    for values, side in (({"epsilon": 0.1, "devices": 1_000}, "more"), ({"devices": 100_000}, "less")):
        found = plan(BudgetSettings(days=1, mechanisms="daily", frontiers=(grid,), **values))
        assert found.rows[0].loss.value is None
        assert found.rows[0].loss.why.startswith(f"{side} noise")


def test_noise_of_a_larger_fleet_is_read_as_such(tmp_path: Path) -> None:
    """1,000 phones with the noise of 100,000 have a hundredth of the noise in their mean; two grids of one
    scenario are read together.
    """
    small = grid_folder(tmp_path / "small", (1.0,))
    large = grid_folder(tmp_path / "large", (1.0,), noise_cohort=100_000)
    arms = read_frontiers((small, large)).arms
    assert [(each.devices, each.noise_devices) for each in arms] == [(1_000, 1_000), (1_000, 100_000)]
    assert [each.noise for each in arms] == pytest.approx([0.002, 0.00002])


def test_a_grid_of_noise_on_the_phones_is_refused(tmp_path: Path) -> None:
    """Its noise grows with the phones, which the plan's arithmetic does not know: one line."""
    grid = grid_folder(tmp_path / "grid", (1.0,), mode="local", mechanism="daily")
    with pytest.raises(FedbertError, match=r"^frontier\(=.*must have noise that the aggregator adds[^\n]+$"):
        read_frontiers((grid,))


def test_the_fleet_pays_for_its_own_delta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 100,000 phones need a smaller delta and so more noise: the fleet named has it, and one a
    hundredth smaller has more noise than was measured to cost nothing.
    """
    monkeypatch.setattr(fakes, "final_ndcg", lambda epsilon, seed: 0.9 + 0.001 * (seed % 3))
    grid = grid_folder(tmp_path / "grid", (1_000.0,), devices=1_000, noise_cohort=10_000)
    (row,) = plan(BudgetSettings(days=1, mechanisms="daily", frontiers=(grid,))).rows
    assert row.free.devices is not None and row.free.devices > 1_000_000
    allowed = 2 / 1_000 / 10_000
    for devices, enough in ((row.free.devices, True), (row.free.devices * 99 // 100, False)):
        asked = question()
        noise = mean_noise(calibrated("daily", 0, asked, devices), 12, devices, ALL)
        assert asked.delta_of(devices) < 1e-7
        assert noise is not None and (noise <= 1.002 * allowed) == enough
    (row,) = plan(BudgetSettings(days=1, mechanisms="daily", frontiers=(grid,), delta=1e-6)).rows
    assert row.free.why == "more than 999,999 phones"


def test_settings_are_the_frontiers(tmp_path: Path) -> None:
    """What is not given is as in the grid; its sums are of that rate, those hours and that availability."""
    grid = grid_folder(tmp_path / "grid", (1.0,), round_hours=4, sampling_probability=0.5, over_selection=1.2)
    found = plan(BudgetSettings(days=1, mechanisms="daily", frontiers=(grid,)))
    asked = found.question
    assert (asked.round_hours, asked.sampling_probability) == (4, pytest.approx(0.6))
    assert (asked.shares, asked.release_every) == (ALL, 3)
    assert SCENARIO["availability"] == "always"
    assert found.measured_rounds == 12


def test_a_grid_of_rounds_with_a_clock_is_refused(tmp_path: Path) -> None:
    """How many reports a deadline lets in, the plan's shares do not say."""
    grid = grid_folder(tmp_path / "grid", (1.0,), round_deadline_s=60.0)
    with pytest.raises(FedbertError, match=r"frontier.*close by the clock; run the grid without"):
        read_frontiers((grid,))


def test_a_grid_with_a_selection_is_refused(tmp_path: Path) -> None:
    """Nor whom a selection leaves out."""
    grid = grid_folder(tmp_path / "grid", (1.0,), selection="by-staleness")
    with pytest.raises(
        FedbertError, match=r"frontier.*ask by 'by-staleness'; run the grid without selection"
    ):
        read_frontiers((grid,))
