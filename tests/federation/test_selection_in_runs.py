"""Selections in rounds and whole runs: rates that are realised, any split, a clock, a stop in between."""

import copy
import html
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from small_runs import SMALL, figures, stepped

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.asking import announced_for, checked_sums, first_announced
from fedbert.federation.environment import Environment, load_selection, share
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.parts import SELECTIONS
from fedbert.reporting.run import asked
from fedbert.reporting.run.page import render_report
from fedbert.results import TAKING_PART, RunResult
from fedbert.scenario import Execution, Scenario
from fedbert.selection import oort
from fedbert.simulation.simulate import Quiet, run

TIMED = SMALL.model_copy(
    update={
        "timing_only": True,
        "epsilon": None,
        "devices": 300,
        "rounds": 3,
        "release_every": 1,
        "sampling_probability": 0.2,
    }
)
"""Rounds with a release after each, in which nothing is scored or trained."""


CLOSING = {"mechanism": "daily", "target_reports": 5, "round_hours": 12.0}
"""Rounds that close with their first reports, two of which are one sum."""


@pytest.fixture(scope="module", params=[{}, CLOSING], ids=["whole", "closing"])
def opened(request: pytest.FixtureRequest) -> Session:
    """A run without a clock and one with it; all selections of this file run on what they have loaded."""
    return Session.open(TIMED.model_copy(update=request.param))


def _rows(opened: Session, shards: int, **values: Any) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the rounds of a run with other settings without their times, and its counts by tier."""
    environment = copy.copy(opened.environment)
    environment.scenario = opened.scenario.model_copy(update=values)
    environment.selection = load_selection(environment.scenario, environment.profiles, environment.mechanism)
    for name in ("largest_cohort", "layout"):  # they depend on the selection
        environment.__dict__.pop(name, None)
    session = Session(environment.scenario, environment, opened.server)
    share(environment)
    with mock.patch.object(Session, "open", lambda _: session):
        states, _ = stepped(session.scenario, shards)
    rows = [dict(row) | {"wall_s": 0.0} for row in states[-1].rows]
    return rows, states[-1].totals["taking_part"]


@pytest.mark.parametrize("name", SELECTIONS)
def test_shards_change_no_bit(opened: Session, name: str) -> None:
    """One shard and seven, and three, give the same rounds and counts by tier, with a clock and without."""
    rows, taking_part = _rows(opened, 1, selection=name)
    assert sum(row["reported"] for row in rows) > 0
    for shards in (7,) if opened.scenario.clocked else (3, 7):
        more, counts = _rows(opened, shards, selection=name)
        assert more == rows
        assert np.array_equal(counts, taking_part)
    assert taking_part.sum(axis=0).tolist() == [sum(row[key] for row in rows[1:]) for key in TAKING_PART]


@pytest.mark.parametrize("opened", [{}], indirect=True)
def test_tiers_are_drawn_at_their_rates(opened: Session) -> None:
    """Of entry phones none is drawn, half of mid ones within five deviations, and of flagships all that the
    coins of `uniform` draw.
    """
    _, plain = _rows(opened, 1)
    _, thinned = _rows(opened, 1, selection="by-tier", tier_rates="entry=0,mid=0.5")
    entry, mid, flagship = thinned[:, 0].tolist()
    assert (entry, flagship) == (0, int(plain[2, 0]))
    assert abs(mid - plain[1, 0] / 2) <= 5 * np.sqrt(plain[1, 0]) / 2
    assert plain[:, 0].min() > 0


def _learnt(environment: Environment, edges: list[int], rounds: int) -> list[dict[str, np.ndarray]]:
    """Return of each round the truth, the fleet's memory and what it announced, on shards between `edges`."""
    shards = [Shard(environment, a, b - a) for a, b in pairwise(edges)]
    states = [shard.start() for shard in shards]
    selection, found = environment.selection, []
    told = first_announced(selection)
    for round_ in range(rounds + 1):
        order = RoundOrder(round_, 0, 0, asking=tuple(told.tolist()))
        reports = [
            shard.run_round(state, order, {0: environment.encoded_0})[0]
            for shard, state in zip(shards, states, strict=True)
        ]
        told = announced_for(selection, told, [each.selection for each in reports], round_ + 1)  # type: ignore[misc]
        memory = np.concatenate([state.selection for state in states])
        found.append(r.add_all(each.truth for each in reports) | {"memory": memory, "told": told})
    return found


def test_what_oort_learns_is_the_same_on_any_split(small: Scenario, release_0: Artefact) -> None:
    """With sessions really scored: utilities, times and thresholds of three and seven uneven shards are those
    of one; a phone that reported has the round, a time, and a utility by the ranks of its clicks.
    """
    scenario = small.model_copy(update={"selection": "oort", "devices": 120, "sessions_per_day": 24.0})
    environment = Environment.create(scenario, release_0)
    whole = _learnt(environment, [0, 120], 3)
    for edges in ([0, 40, 80, 120], [0, 1, 9, 30, 31, 77, 119, 120]):
        for one, many in zip(whole, _learnt(environment, edges, 3), strict=True):
            assert all(np.array_equal(one[name], many[name]) for name in one)
    last = whole[-1]["memory"]
    explored = last[:, oort.LAST_ROUND] > 0
    assert 0 < explored.sum() <= 120
    assert (last[explored, oort.SPENT_MS] > 0).all()
    assert not last[~explored].any()
    assert len(np.unique(last[explored, oort.UTILITY])) > 5
    assert not whole[0]["memory"].any()


def test_each_phones_utility_is_of_the_clicks_it_reported(small: Scenario, release_0: Artefact) -> None:
    """After a round, U follows from the ranks that the phone keeps of its newest clicks."""
    scenario = small.model_copy(update={"selection": "oort", "clicks_per_report": 3})
    environment = Environment.create(scenario, release_0)
    shard = Shard(environment, 0, scenario.devices)
    state, told = shard.start(), first_announced(environment.selection)
    for round_ in (0, 1):
        order = RoundOrder(round_, 0, 0, asking=tuple(told.tolist()))
        report, _ = shard.run_round(state, order, {0: environment.encoded_0})
        told = announced_for(environment.selection, told, [report.selection], round_ + 1)  # type: ignore[list-item]
    for row in np.flatnonzero(state.selection[:, oort.LAST_ROUND] == 1):
        known = [int(rank) for rank in state.rank[row, -3:] if rank >= 0]
        squares = [np.log(1 + rank) ** 2 for rank in known]
        utility = len(known) * np.sqrt(np.mean(squares)) if known else 0.0
        assert state.selection[row, oort.UTILITY] == pytest.approx(1_000 * utility, abs=0.51)


class _Stopped(Quiet):
    """Stops a run behind a round, as Ctrl-C does."""

    def round_done(self, row: Any, devices_per_s: float) -> None:
        """Stop after the first round."""
        if row["round"] == 1:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def learnt() -> RunResult:
    """An undisturbed run with `oort`."""
    return run(TIMED.model_copy(update={"selection": "oort"}), Execution(shards=2)).result


def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path: Path, learnt: RunResult) -> None:
    """Thresholds and phones' utilities are in the checkpoint: stopped after round 1 and resumed on other
    shards, the run equals the undisturbed one.
    """
    scenario = TIMED.model_copy(update={"selection": "oort"})
    run(scenario, Execution(shards=3), _Stopped(), folder=tmp_path)
    again = run(scenario, Execution(shards=2), folder=tmp_path, resume=True).result
    assert again.get("execution", {}).get("resumed_rounds") == 2
    assert figures(again) == figures(learnt)


def test_a_run_says_whom_it_asked(learnt: RunResult) -> None:
    """run.json and report have the selection, what it costs, and the shares of tiers, which add up to 1."""
    row = learnt["selection"]
    assert (row["name"], row["reveals"]) == ("oort", "private")
    assert "not private" in row["statement"]
    page = render_report(learnt)
    assert "Who is asked" in page
    assert row["statement"] in html.unescape(page)
    shares = asked.tier_shares(learnt["tiers"], 3)
    for column in range(4):
        assert sum(each[column] or 0.0 for each in shares.values()) == pytest.approx(1.0)
    counts = {name: tier["taking_part"]["cohort"] for name, tier in learnt["tiers"].items()}
    drawn = sum(row["cohort"] for row in learnt["rounds"][1:])
    assert sum(counts.values()) == drawn
    entry = learnt["tiers"]["entry"]
    assert shares["entry"][4] == counts["entry"] / (3 * entry["devices"])


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        (None, "selection must be 2049 whole numbers"),
        (np.zeros(3, np.int64), "selection must be 2049 whole numbers"),
        (np.zeros(2049), "selection must be 2049 whole numbers"),
        (np.full(2049, -1), "selection must be from 0 to 10,000,000 for each of 5 devices"),
        (np.full(2049, 60_000_000), "selection must be from 0 to 10,000,000 for each of 5 devices"),
    ],
)
def test_sums_that_cannot_be_are_refused(sums: Any, said: str) -> None:
    """A shard's sums must have the selection's shape, and be what its devices can add up to."""
    with pytest.raises(FedbertError, match=said):
        checked_sums(sums, oort.Oort(10.0), 5)


def test_sums_nobody_asked_for_are_refused(environment: Environment) -> None:
    """A selection that learns nothing takes none."""
    assert checked_sums(None, environment.selection, 5) is None
    with pytest.raises(FedbertError, match="selection must not be there"):
        checked_sums(np.zeros(3, np.int64), environment.selection, 5)


def test_phones_keep_no_column_for_coins(environment: Environment) -> None:
    """Who uses no selection that learns pays no byte for it."""
    state = Shard(environment, 0, environment.scenario.devices).start()
    assert state.selection.shape == (environment.scenario.devices, 0)
    assert PhoneState.empty(3, 1, 1, 1, columns=2).selection.shape == (3, 2)
