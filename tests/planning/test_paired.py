"""Differences between arms, paired by seed."""

import math

import pandas as pd
import planning_fakes as fakes
import pytest

from fedbert.planning.tradeoff.arms import plan
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.planning.tradeoff.paired import verdict
from fedbert.scenario import DEFAULTS, build


def frontier(seeds: int = 3) -> pd.DataFrame:
    """Return the frontier of a small invented grid."""
    scenario = build({"devices": 100, "rounds": 4})[0]
    cells = plan(scenario, [1.0, None], seeds)
    return frontier_frame(cells_frame([fakes.fake_run(cell.scenario, build({})[1]) for cell in cells]))


def test_what_all_seeds_share_cancels() -> None:
    """Seeds differ by .001 in every arm alike, so each difference is exact although its two means are not."""
    public, private, free = (row for _, row in frontier().iterrows())
    own, free_ndcg = fakes.final_ndcg(1.0, 0), fakes.final_ndcg(None, 0)
    assert private["ndcg@10_high"] - private["ndcg@10_low"] > 0.004
    assert private["ndcg@10_minus_no_privacy"] == pytest.approx(own - free_ndcg)
    assert private["ndcg@10_minus_public_only"] == pytest.approx(own - fakes.PUBLIC_NDCG)
    width = private["ndcg@10_minus_public_only_high"] - private["ndcg@10_minus_public_only_low"]
    assert width == pytest.approx(0, abs=1e-9)
    assert free["auc_minus_public_only"] == pytest.approx(free_ndcg - fakes.PUBLIC_NDCG)
    assert public["ndcg@10_minus_no_update"] == pytest.approx(fakes.PUBLIC_NDCG + 0.001 - 0.8)


def test_no_arm_is_held_against_itself() -> None:
    """The run without privacy costs nothing against itself: that is not a finding, so nothing is said."""
    public, _, free = (row for _, row in frontier().iterrows())
    assert math.isnan(free["ndcg@10_minus_no_privacy"])
    assert math.isnan(public["ndcg@10_minus_public_only"])
    assert math.isnan(public["ndcg@10_minus_no_privacy"])


def test_one_seed_resolves_nothing() -> None:
    """A difference of one seed has no interval."""
    private = frontier(seeds=1).iloc[1]
    assert not math.isnan(private["ndcg@10_minus_public_only"])
    ends = private["ndcg@10_minus_public_only_low"], private["ndcg@10_minus_public_only_high"]
    assert all(math.isnan(end) for end in ends)
    assert verdict(private["ndcg@10_minus_public_only"], *ends) == "not resolved"


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.1, 0.2), "more"),
        ((-0.2, -0.1), "less"),
        ((-0.1, 0.1), "not resolved"),
        ((0.0, 0.1), "not resolved"),
    ],
)
def test_verdict_is_what_the_interval_says(interval: tuple[float, float], said: str) -> None:
    """More or less only where the whole interval is."""
    assert verdict(0.0, *interval) == said


def test_arms_of_signals_and_mechanisms() -> None:
    """Each signal in each mechanism at each budget, once; public is there once, whoever asks for it."""
    scenario = build({"devices": 100})[0]
    cells = plan(scenario, [2.0], 1, ("prototypes", "public"))
    assert [(cell.scenario.signal, cell.scenario.epsilon) for cell in cells] == [
        ("public", None),
        ("prototypes", 2.0),
    ]
    assert cells[1].name == f"prototypes-{DEFAULTS.mechanism}-2-0"
