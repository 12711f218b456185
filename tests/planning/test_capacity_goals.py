"""Goals in, plan out: what is found meets the goal and no less would; what is out of reach says why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import planning_fakes as fakes
import pytest

from fedbert.cli.capacity import run_capacity
from fedbert.errors import FedbertError
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Met, Plan
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.goal_text import Goal, parse_goal
from fedbert.planning.capacity.goals import meet
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.record import load_forecast
from fedbert.results import save_run
from fedbert.scenario import build

N = 8_400_000


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goals are met at best guess, which is the first draw."""
    monkeypatch.setattr(draws, "DRAWS", 10)


def base(**values: Any) -> BaseRun:
    """Return the forecast's view of an invented run, whose noise multiplier is 2 / epsilon."""
    plain = {"devices": 10_000, "rounds": 12, "mechanism": "poisson", "epsilon": 4.0}
    return base_of(fakes.fake_run(*build(plain | values)))


def plan(**values: Any) -> Plan:
    """Return the plan of 8.4 million phones with some values changed."""
    return replace(Plan(N, 1.5e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2), **values)


def met(run: BaseRun, asked: Plan, *goals: str) -> tuple[Plan, tuple[Met, ...]]:
    """Return the plan that meets goals, and what was found."""
    return meet(run, asked, tuple(map(parse_goal, goals)))


def test_a_goal_is_read() -> None:
    """Kind, value, and hours or days."""
    assert parse_goal("rounds-fill=0.99") == Goal("rounds-fill", 0.99, 1.0, "rounds-fill=0.99")
    assert parse_goal("updated-12h=0.8") == Goal("updated", 0.8, 12.0, "updated-12h=0.8")
    assert parse_goal("epsilon=2/day") == Goal("epsilon", 2.0, 1.0, "epsilon=2/day")
    assert parse_goal("epsilon=9/30") == Goal("epsilon", 9.0, 30.0, "epsilon=9/30")


@pytest.mark.parametrize(
    "goals",
    [
        ["rounds-fill=1.5"],
        ["rounds-fill=nan"],
        ["updated-999h=.5"],
        ["updated-24h=0"],
        ["epsilon=2"],
        ["epsilon=-1/day"],
        ["fast"],
        ["rounds-fill=.5", "rounds-fill=.9"],
    ],
)
def test_a_goal_that_cannot_be_read_is_one_line(goals: list[str]) -> None:
    """The value and the forms that there are."""
    with pytest.raises(FedbertError, match=r"^goals\(=[^\n]*rounds-fill=SHARE[^\n]*$"):
        CapacitySettings(goals=goals)


@pytest.mark.parametrize(
    ("goal", "flag"),
    [
        ("rounds-fill=.9", "over_selection"),
        ("updated-24h=.5", "release_mbit_per_s"),
        ("epsilon=2/day", "rounds_per_day"),
    ],
)
def test_a_flag_that_a_goal_finds_is_refused_beside_it(goal: str, flag: str) -> None:
    """A given value and a goal that finds it contradict each other."""
    with pytest.raises(FedbertError, match=rf"^{flag}\(=2\) must be left out with the goal '{goal}'[^\n]*$"):
        CapacitySettings(goals=[goal], **{flag: 2})


def test_over_selection_is_found_and_no_smaller_one_does() -> None:
    """Eligible shares that swing by the hour: 99 % of the rounds fill, with a little less they do not."""
    run = base()
    run = replace(run, eligible=0.3 + 0.1 * np.cos(np.arange(24) / 24 * 2 * np.pi))
    found, (said,) = met(run, plan(), "rounds-fill=0.99")
    assert said.found == f"--over-selection {found.over_selection:g}"

    def filled(over_selection: float) -> float:
        asked = replace(found, over_selection=over_selection)
        return forecast(run, asked).find("rounds that fill").estimate.value

    assert filled(found.over_selection) == pytest.approx(said.value)
    assert said.value >= 0.99 > filled(0.99 * found.over_selection)


def test_over_selection_is_found_below_a_mechanism_s_own_limit() -> None:
    """A phone joins one of 12 rounds: five times 200 reports are out of reach, and what fills 50 % is not."""
    found, (said,) = met(
        base(mechanism="daily"),
        plan(devices=10_000, reports_per_round=200, over_selection=5.0),
        "rounds-fill=0.5",
    )
    assert found.over_selection == pytest.approx(1.0, rel=0.02)
    assert 0.5 <= said.value < 0.6


def test_a_round_that_no_cohort_fills_names_the_most_reports_that_it_can_get() -> None:
    """1,000 phones, 27 % of whom report: 900 are out of reach; the nearest fills and one more does not."""
    with pytest.raises(FedbertError, match=r"largest cohort brings[^\n]*--reports-per-round \d+$") as caught:
        met(base(), plan(devices=1_000, reports_per_round=900), "rounds-fill=0.9")
    nearest = int(str(caught.value).rpartition(" ")[2])
    asked = plan(devices=1_000, reports_per_round=nearest)
    assert met(base(), asked, "rounds-fill=0.9")[1][0].value >= 0.9
    with pytest.raises(FedbertError, match="out of reach"):
        met(base(), replace(asked, reports_per_round=nearest + 1), "rounds-fill=0.9")


def test_the_narrowest_link_is_found() -> None:
    """80 % within 12 hours: the cap found brings it, one of 0.2 % less does not."""
    run = base()
    found, (said,) = met(run, plan(), "updated-12h=0.8")
    curve = forecast(run, found)
    at = int(np.flatnonzero(curve.rollout_hours == 12.0)[0])
    assert curve.rollout.value[at] == pytest.approx(said.value)
    narrower = forecast(run, replace(found, release_bits_per_s=0.998 * found.release_bits_per_s))
    assert narrower.rollout.value[at] < 0.8 <= said.value


def test_what_no_link_brings_is_refused() -> None:
    """The run's releases reached 83.5 %: more is not known; with two releases a day 24 hours never pass."""
    with pytest.raises(FedbertError, match=r"reach 83\.5% at most; [^\n]*--goal updated-24h=0\.834$"):
        met(base(), plan(), "updated-24h=0.95")
    met(base(), plan(), "updated-24h=0.834")
    with pytest.raises(FedbertError, match=r"after 12 hours; [^\n]*--releases-per-day 1$"):
        met(base(), plan(releases_per_day=2.0), "updated-24h=0.5")


def test_rounds_are_found_that_keep_epsilon() -> None:
    """Fewer rounds than 12 keep it, a hundredth more do not; a goal that is kept changes nothing."""
    run = base(mechanism="poisson")
    asked = plan(devices=100_000, reports_per_round=1_000)
    spent = forecast(run, asked).privacy.guarantees[0].epsilons[1]
    same, (kept,) = met(run, asked, f"epsilon={spent * 1.01:.6g}/30")
    assert same.rounds_per_day == 12.0
    assert kept.value == pytest.approx(spent)
    fewer, (said,) = met(run, asked, f"epsilon={spent * 0.8:.6g}/30")
    assert 1.0 <= fewer.rounds_per_day < 12.0
    assert said.value <= 0.8 * spent
    more = replace(fewer, rounds_per_day=fewer.rounds_per_day + 0.1)
    assert forecast(run, more).privacy.guarantees[0].epsilons[1] > 0.8 * spent * 0.999


def test_the_cohort_is_found_where_rounds_alone_do_not_do() -> None:
    """One round a day is too much: fewer reports keep it, and still fill as asked."""
    run = replace(base(mechanism="poisson"), waits=True)  # a day's sum has one chance to fill, not 24
    asked = plan(devices=100_000, reports_per_round=10_000, rounds_per_day=1.0)
    spent = forecast(run, asked).privacy.guarantees[0].epsilons[0]
    goal = f"epsilon={0.7 * spent:.6g}/day"
    found, (fills, budget) = met(run, asked, "rounds-fill=0.9", goal)
    assert found.rounds_per_day == 1.0
    assert 1 < found.reports_per_round < 10_000
    assert budget.value <= 0.7 * spent
    assert fills.value >= 0.9


def test_an_epsilon_below_the_run_s_noise_names_the_least() -> None:
    """A device of a daily sum costs one Gaussian a day, however few rounds: the least epsilon is said."""
    run = base(mechanism="daily")
    with pytest.raises(
        FedbertError, match=r"noise multiplier \(0\.5\)[^\n]* --goal epsilon=([\d.]+)/1, or"
    ) as caught:
        met(run, plan(), "epsilon=1/day")
    least = str(caught.value).partition("epsilon=1/day")[2].partition("--goal ")[2].partition(",")[0]
    assert met(run, plan(), least)[0].rounds_per_day == 12.0


def test_a_run_without_privacy_has_no_epsilon_to_keep() -> None:
    """Said in one line, with what to start from."""
    with pytest.raises(FedbertError, match=r"the run is not private[^\n]*start from a run that has one$"):
        met(base(epsilon=None), plan(), "epsilon=1/day")


def test_the_command_keeps_goals_and_writes_nothing_for_one_out_of_reach(tmp_path: Path) -> None:
    """The record has what was asked and found; a refusal leaves no folder."""
    (tmp_path / "run").mkdir()
    save_run(fakes.fake_run(*build({"devices": 10_000, "rounds": 12, "epsilon": None})), tmp_path / "run")

    def command(goal: str, output: Path) -> None:
        run_capacity(CapacitySettings(base=tmp_path / "run", goals=[goal], output=output))

    command("rounds-fill=0.99", tmp_path / "out")
    (goal,) = load_forecast(tmp_path / "out")[0].goals
    assert goal.goal == "rounds-fill=0.99"
    assert "rounds-fill=0.99" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(FedbertError, match="out of reach"):
        command("updated-24h=0.99", tmp_path / "not")
    assert not (tmp_path / "not").exists()
