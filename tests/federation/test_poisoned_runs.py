"""Phones that lie in rounds and runs: the same figures on any split, and rounds that are held for it."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import numpy as np
import pytest
from small_runs import TINY, stepped

from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.aggregator import BEYOND_REACH
from fedbert.federation.block_round import BlockRound
from fedbert.federation.environment import Environment, _check_bound, load_mechanism, share
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.federation.sums_apart import HONEST, POISONED, SumsApart
from fedbert.findings import held_rows
from fedbert.recommendation.sessions import Kind
from fedbert.results import RoundRow
from fedbert.scenario import Attack, Execution, Scenario
from fedbert.signals.poisoning import Phones as Liars
from fedbert.signals.report import dense_reports
from fedbert.simulation.simulate import run
from fedbert.simulation.summary import summarise

ROUND = RoundOrder(1, 0, 0)


def _with(environment: Environment, **values: Any) -> Environment:
    """Return the surroundings of the same fleet with other settings, independent coins and no noise."""
    plain = {"mechanism": "poisson", "epsilon": None} | values
    scenario = environment.scenario.model_copy(update=plain)
    made = replace(environment, scenario=scenario, mechanism=load_mechanism(scenario))
    # Texts are the same: what was read of them once need not be read again.
    vars(made).update(encoded_0=environment.encoded_0, token_counts=environment.token_counts)
    return made


def _poisoned(environment: Environment, attack: Attack) -> Environment:
    return _with(environment, poisoned=0.3, attack=attack, attack_factor=5.0)


def _round(environment: Environment, edges: list[int]) -> r.ShardReport:
    """Return the sum of the first round's reports of the shards between `edges`."""
    shards = [Shard(environment, a, b - a) for a, b in pairwise(edges)]
    reports = [shard.run_round(shard.start(), ROUND, {0: environment.encoded_0})[0] for shard in shards]
    total = SumsApart.empty(environment.layout.size)
    for report in reports:
        assert report.apart is not None
        total.add(report.apart)
    return r.ShardReport(r.add_all(each.server for each in reports), {}, total)


def _one_by_one(environment: Environment) -> SumsApart:
    """Return what each phone of the fleet sends alone, one after another."""
    shard, found = Shard(environment, 0, 48), SumsApart.empty(environment.layout.size)
    state, truth = shard.start(), r.empty_truth(environment.places)
    part = BlockRound(
        Phones(environment, shard.devices), slice(0, 48), state, ROUND, {0: environment.encoded_0}, truth
    )
    part.sessions(Kind.LEARNING)
    part.contribute()
    poisoning = environment.poisoning
    assert poisoning is not None
    lying = poisoning.poisoned(shard.devices)
    for device in np.flatnonzero(part.reporting).tolist():
        clicks = part._clicks(environment.encoded_0, np.array([device]))
        sent = dense_reports(environment.signal, environment.layout, clicks)
        if lying[device]:
            sent = poisoning.lies(environment.layout, sent, Liars(11, np.array([device])), 1)
        found.sums[int(lying[device])] += sent[0]
        found.reports[int(lying[device])] += 1
    return found


@pytest.mark.parametrize("attack", ["boost", "flip", "random", "stuck"])
def test_any_split_has_the_lies_of_phones_one_by_one(
    environment: Environment, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uneven shards, and blocks of five phones give what phones send one after another."""
    environment = _poisoned(environment, attack)
    plain = _one_by_one(environment)
    assert plain.reports.min() > 0
    for edges, block in (([0, 1, 2, 47, 48], 16_384), ([0, 48], 5)):
        monkeypatch.setattr("fedbert.federation.shard.BLOCK", block)
        found = _round(environment, edges)
        assert found.apart is not None
        assert np.array_equal(found.apart.sums, plain.sums)
        assert np.array_equal(found.apart.reports, plain.reports)
        assert np.array_equal(found.server["signal"], plain.total.astype(np.uint32))
        assert found.server["reported"].tolist() == [plain.reports.sum()]


def test_honest_phones_send_what_they_would_without_liars(environment: Environment) -> None:
    """The honest part is the same whatever the others send, and with no poisoned phone nothing is apart."""
    loud, quiet = (_round(_poisoned(environment, attack), [0, 48]) for attack in ("stuck", "flip"))
    assert loud.apart is not None
    assert quiet.apart is not None
    assert np.array_equal(loud.apart.sums[HONEST], quiet.apart.sums[HONEST])
    assert not np.array_equal(loud.apart.sums[POISONED], quiet.apart.sums[POISONED])
    environment = _with(environment)
    shard = Shard(environment, 0, 48)
    report, _ = shard.run_round(shard.start(), ROUND, {0: environment.encoded_0})
    assert report.apart is None


def test_a_norm_share_is_by_hand() -> None:
    """Sums of norm 5 and 15 make three quarters; nothing sent makes none."""
    apart = SumsApart(np.array([[3, 4], [0, 15]], np.int64), np.array([2, 1], np.int64))
    assert apart.poisoned_norm_share == 0.75
    assert apart.total.tolist() == [3, 19]
    assert SumsApart.empty(2).poisoned_norm_share is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"apart.sums": None}, "apart.sums must be whole numbers"),
        ({"apart.reports": np.zeros(3, np.int64)}, "apart.reports must be whole numbers"),
        ({"apart.sums": np.zeros((2, 4))}, "apart.sums must be whole numbers"),
        ({"apart.sums": np.zeros((2, 3), np.int64)}, "apart.sums must have 4 coordinates, not 3"),
        ({"apart.reports": np.array([5, -2])}, "apart.reports must count each of 3 reports once"),
        ({"apart.reports": np.array([1, 1])}, "apart.reports must count each of 3 reports once"),
    ],
)
def test_broken_sums_are_refused(changed: dict[str, Any], said: str) -> None:
    """A shard's sums of honest and poisoned phones must be both there, of the right shape and count."""
    arrays = SumsApart(np.zeros((2, 4), np.int64), np.array([2, 1])).arrays() | changed
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(FedbertError, match=said):
        found = SumsApart.taken_from(arrays)
        assert found is not None
        found.check(reported=3, size=4)


def test_a_bound_needs_noise_on_the_sum(small: Scenario) -> None:
    """A mechanism whose devices add noise cannot keep a proved range: refused by what it says of itself."""
    mechanism: Any = SimpleNamespace(name="my own", private=True, noise_on_device=True)
    bounded = small.model_copy(update={"coordinate_bound": 0.1})
    with pytest.raises(FedbertError, match=r"^coordinate_bound\(=0.1\) must be left out with 'my own'"):
        _check_bound(bounded, mechanism)
    _check_bound(small, mechanism)
    mechanism.noise_on_device = False
    _check_bound(bounded, mechanism)


LIES = TINY.model_copy(
    update={"mechanism": "poisson", "epsilon": None, "pooled_bound": False, "rounds": 1, "poisoned": 0.2}
)


@pytest.fixture(scope="module")
def opened() -> Session:
    """A run whose models serve all runs of this file."""
    return Session.open(LIES)


def _run(opened: Session, shards: int, **values: Any) -> tuple[Session, RunState]:
    """Return a run of one round with other settings, and its state at the end."""
    environment = _with(opened.environment, **values)
    session = Session(environment.scenario, environment, opened.server)
    share(environment)
    with mock.patch.object(Session, "open", lambda _: session):
        states, _ = stepped(session.scenario, shards)
    assert states[-1].events == ()
    return session, states[-1]


def _rows(opened: Session, shards: int, **values: Any) -> list[RoundRow]:
    """Return the rounds' rows without their time."""
    _, state = _run(opened, shards, **values)
    return [cast(RoundRow, dict(row) | {"wall_s": 0.0}) for row in state.rows]


def test_lies_get_into_the_sums_on_any_split(opened: Session) -> None:
    """Boosted reports are opened with the others, and their count and norm are the same on any split."""
    rows = _rows(opened, 1, attack_factor=3.0)
    assert rows == _rows(opened, 7, attack_factor=3.0)
    assert "poisoned" not in rows[0]
    assert rows[1]["round_status"] == "updated"
    assert 0 < rows[1]["poisoned"] < rows[1]["reported"]
    share = rows[1]["poisoned_norm_share"]
    assert share is not None
    assert 0 < share < 1


def test_a_sum_that_no_clipped_reports_make_holds_the_round(opened: Session) -> None:
    """Lies of a thousand clip norms stop a round, on any split, and no shard is blamed for its phones."""
    rows = _rows(opened, 1, attack="stuck", attack_factor=1e3)
    assert rows == _rows(opened, 7, attack="stuck", attack_factor=1e3)
    assert rows[1]["round_status"] == BEYOND_REACH
    assert "--coordinate-bound" in held_rows(rows)[0]["advice"]


def test_a_run_says_what_its_liars_did(opened: Session) -> None:
    """With each coordinate within .001 the same lies let the round through; run.json has bits and counts."""
    values = {"attack": "stuck", "attack_factor": 1e3, "coordinate_bound": 0.001}
    session, state = _run(opened, 2, **values)
    result, _ = summarise(
        session,
        state,
        command="",
        started="",
        wall_s=1.0,
        versions={},
        commit=None,
        execution={"backend": "", "shards": 2, "resumed_rounds": 0},
    )
    row = result["rounds"][1]
    assert row["round_status"] == "updated"
    assert result["poisoned"] == {
        "share": 0.2,
        "attack": "stuck",
        "factor": 1000.0,
        "coordinate_bound": 0.001,
        "largest_coordinate": 1048 / 2**20,  # whole steps of 2^-20
        "coordinate_bits": 12,  # -1,048 to 1,048 are 2,097 numbers
        "reports": row["poisoned"],
        "norm_share": row["poisoned_norm_share"],
        "rounds_held": 0,
    }


def test_a_deployment_has_no_poisoned_phones() -> None:
    """Honest sums would leave the shards apart from the others: refused before anything is loaded."""
    with pytest.raises(FedbertError, match=r"^poisoned\(=0.1\) must be 0 in a deployment"):
        run(TINY.model_copy(update={"poisoned": 0.1}), Execution(), grid=object())
