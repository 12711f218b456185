"""Mechanisms in whole runs: sums that wait, noise of totals, budgets, and stopped runs that go on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from small_runs import TINY, loaded_once, stepped

from fedbert.errors import FedbertError
from fedbert.federation.aggregator import Aggregator, AggregatorState, MaskedReport
from fedbert.federation.protocol import Member, RoundOrder
from fedbert.federation.run_state import RunState
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.mechanisms import wrap
from fedbert.privacy.once_a_day import Allocated, Daily, OnceADay
from fedbert.privacy.secure_sum import masked_vector
from fedbert.privacy.tree import Tree
from fedbert.scenario import Execution, Scenario
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import report_layout
from fedbert.simulation.budget import check_budget, overspent
from fedbert.simulation.simulate import run

HALF_DAYS = TINY.model_copy(update={"rounds": 5, "round_hours": 12.0, "sampling_probability": 1.0})
"""Two rounds a day, and a last day of one."""


class _Counts:
    """A layout of three numbers."""

    size = 3


LAYOUT = report_layout(_Counts(), clip_norm=100.0, largest_cohort=100)  # type: ignore[arg-type]


def _aggregator(kind: type[OnceADay] = Daily, rounds: int = 5, min_reports: int = 5) -> Aggregator:
    settings = PrivacySettings(8.0, 1e-6, 1.0, 100.0, rounds, 2.0, 1000)
    return Aggregator(
        kind.make(settings),
        LAYOUT,
        (Member(0, 1, 0, 500), Member(1, 2, 500, 500)),
        noise_seed=4,
        min_reports=min_reports,
        largest_cohort=100,
        devices=1000,
        secret=bytes(32),
    )


def _reports(aggregator: Aggregator, round_: int, values: tuple[int, int], reported: int) -> dict:
    """Return two shards' masked reports, whose first coordinates are `values`."""
    made = {}
    for index, value in enumerate(values):
        vector = np.zeros(3 + RANK_BINS, np.int64)
        vector[0] = int(value * LAYOUT.scale)
        masked = masked_vector(wrap(vector), index, aggregator.deal(round_)[index])
        made[index] = MaskedReport(masked, reported)
    return made


def test_a_day_is_opened_as_one_sum_with_one_noise() -> None:
    """Two rounds of 3 + 4 and 10 + 20 are one sum of 37 with the noise of the second; then nothing waits."""
    aggregator = _aggregator()
    order, state = RoundOrder(1, 0, 0), AggregatorState()
    opened, _, state = aggregator.open(order, _reports(aggregator, 1, (3, 4), 2), state)
    assert (opened.signal, opened.ranks) == (None, None)
    assert opened.held.startswith("gathered: ")
    assert (state.rounds, state.reports, state.pending[0]) == (1, 4, 7.0)
    order = RoundOrder(2, 0, 0)
    opened, _, state = aggregator.open(order, _reports(aggregator, 2, (10, 20), 2), state)
    assert opened.signal is not None
    mechanism = aggregator._mechanism
    assert opened.signal.values[0] == 37.0 + mechanism.on_sum(4, 2, 3 + RANK_BINS)[0]
    assert opened.signal.total_sigma == mechanism.sigma > 0
    assert opened.signal.expected_reports == 2 * 0.5 * 1000
    assert (state.rounds, state.reports, len(state.pending), state.opened) == (0, 0, 0, ((2, 0, 8),))


@pytest.mark.parametrize(
    ("reported", "status"), [(1, "held: fewer than 5 reports"), (0, "held: fewer than 5")]
)
def test_a_day_with_too_few_reports_is_dropped(reported: int, status: str) -> None:
    """Below `min_reports` over the whole day nothing is opened, and nothing is left for another day."""
    aggregator, state = _aggregator(), AggregatorState()
    for round_ in (1, 2):
        reports = _reports(aggregator, round_, (1 if reported else 0, 0), reported)
        opened, _, state = aggregator.open(RoundOrder(round_, 0, 0), reports, state)
    assert opened.signal is None
    assert opened.held.startswith(status)
    assert (state.rounds, state.opened) == (0, ())


def test_a_last_round_that_is_held_does_not_hold_the_day() -> None:
    """If too few shards answer in a day's last round, what the day has is opened, and the reason is said."""
    aggregator, state = _aggregator(min_reports=2), AggregatorState()
    _, _, state = aggregator.open(RoundOrder(1, 0, 0), _reports(aggregator, 1, (3, 4), 2), state)
    late = {0: _reports(aggregator, 2, (1, 1), 2)[0]}
    opened, _, state = aggregator.open(RoundOrder(2, 0, 0), late, state)
    assert opened.signal is not None
    assert opened.held == "held: fewer than 2 of 2 shards answered"
    assert opened.signal.expected_reports == 0.5 * 1000


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with loaded_once():
        yield


def test_a_daily_run_learns_at_the_end_of_each_day() -> None:
    """Rounds 1 and 3 are gathered; 2, 4 and the short last day's 5 update; epsilon goes by day."""
    states, updates = stepped(HALF_DAYS.model_copy(update={"mechanism": "daily"}), 2)
    told = [update.status.partition(":")[0] for update in updates[1:]]
    assert told == ["gathered", "updated", "gathered", "updated", "updated"]
    assert [update.gate for update in updates if update.status.startswith("gathered")] == [
        "gathered: no update"
    ] * 2
    assert updates[1].loss is None
    assert updates[1].epsilon == updates[2].epsilon < updates[3].epsilon == updates[4].epsilon
    assert [round_ for round_, *_ in states[-1].aggregator.opened] == [2, 4, 5]
    # What waits is in the state, and comes back from its parts.
    waiting = states[2]
    again = RunState.from_parts(waiting.plain(), waiting.arrays(), waiting.artefacts())
    assert waiting.aggregator.rounds == again.aggregator.rounds == 1
    assert waiting.aggregator.pending.any()
    assert np.array_equal(again.aggregator.pending, waiting.aggregator.pending)


@pytest.mark.parametrize("kind", [Allocated, Correlated, Tree])
def test_a_held_round_s_noise_is_never_used(kind: type[OnceADay]) -> None:
    """With round 1 held, round 2 is opened with its own noise, and totals are as wide as without round 1."""
    aggregator, state = _aggregator(kind=kind), AggregatorState()
    mechanism = aggregator._mechanism
    opened, _, state = aggregator.open(RoundOrder(1, 0, 0), _reports(aggregator, 1, (3, 4), 2), state)
    assert opened.held == "held: fewer than 5 reports (min_reports)"
    for round_, before in ((2, [2]), (3, [2, 3])):
        order = RoundOrder(round_, int(round_ == 3), 1)
        opened, _, state = aggregator.open(order, _reports(aggregator, round_, (3, 4), 3), state)
        assert opened.signal is not None
        assert opened.ranks is not None
        assert opened.signal.values[0] == 7.0 + mechanism.on_sum(4, round_, 3 + RANK_BINS)[0]
        assert opened.signal.total_sigma == mechanism.total_sigma(before)
        # Round 3 is of another release, whose ranks are a total of their own.
        assert opened.ranks.total_sigma == mechanism.total_sigma([round_])
    assert mechanism.total_sigma([2, 3]) != mechanism.total_sigma([1, 2, 3])


@pytest.mark.parametrize("mechanism", ["daily", "correlated"])
def test_shards_change_no_bit(mechanism: str) -> None:
    """One shard and seven end in the same rows, the same waiting sum and the same memory."""
    scenario = HALF_DAYS.model_copy(update={"mechanism": mechanism, "rounds": 4})
    one, seven = (stepped(scenario, shards)[0][-2] for shards in (1, 7))
    assert np.array_equal(one.aggregator.pending, seven.aggregator.pending)
    assert one.aggregator.opened == seven.aggregator.opened
    for name, array in one.server.memory.items():
        assert np.array_equal(array, seven.server.memory[name])
    assert one.server.current.sha256 == seven.server.current.sha256


def test_a_budget_ends_the_run_before_the_round_that_breaks_it() -> None:
    """Of five rounds, two a day at epsilon 20 for three days, a budget of 11 in 30 days leaves the first day:
    the run is finished, says why, and its comparison is of the rounds that there were.
    """
    scenario = HALF_DAYS.model_copy(update={"mechanism": "daily", "budget": "11/30", "pooled_bound": False})
    result = run(scenario, Execution(shards=2)).result
    assert [row["round"] for row in result["rounds"]] == [0, 1, 2]
    assert result["status"] == "finished"
    assert result["ended"].startswith("the budget 11/30 is spent: round 3 would take it to epsilon 1")
    assert result["privacy"]["epsilon_unamplified"] <= 11  # type: ignore[operator]
    assert result["privacy"]["budget"] == "11/30"
    assert result["comparison"]


def test_a_budget_goes_by_its_horizon() -> None:
    """A day's budget is not broken by a second day, since it is one of each; a month's is."""
    base = Scenario(mechanism="daily", epsilon=4, rounds=24)
    made = Daily.make(PrivacySettings(4.0, 1e-6, 0.1, 2.0, 24, 12.0, 10_000))
    day = made.spent(1)[-1].epsilon
    assert day < 3
    assert overspent(made, base.model_copy(update={"budget": "3/1"}), 24) == ""
    assert "round 13 would take it to epsilon 4" in overspent(
        made, base.model_copy(update={"budget": "3/30"}), 13
    )
    with pytest.raises(FedbertError, match=r"^budget\(='1/30'\) must allow one round: .*raise it"):
        check_budget(made, base.model_copy(update={"budget": "1/30"}))
    assert overspent(replace(made, noise_multiplier=0.0), base, 24) == ""


@pytest.mark.parametrize("text", ["4", "4/0", "0/3", "nan/3", "4/1.5", "-1/30", "4/30/7", "x/y", "1e9/1"])
def test_a_budget_that_is_none_is_one_line(text: str) -> None:
    """Anything but a positive epsilon and whole days is refused with the form."""
    with pytest.raises(FedbertError, match=r"^budget\(=.*must be written EPSILON/DAYS, as 4/30[^\n]*$"):
        Scenario(epsilon=4, budget=text)


def test_a_budget_needs_an_epsilon() -> None:
    """Without noise there is nothing to spend."""
    with pytest.raises(FedbertError, match=r"^budget\(='4/30'\) must come with an epsilon"):
        Scenario(budget="4/30", epsilon=None)
