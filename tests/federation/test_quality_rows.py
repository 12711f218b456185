"""From counts by cluster to paired differences, shares of a gap and the two arms, against plain loops."""

from typing import Any

import numpy as np
import pytest

from fedbert.comparison import FINAL, RELEASE_0, ranked_by, systems
from fedbert.device_range import DeviceRange
from fedbert.evidence import Absent, Known, Sample, from_row
from fedbert.federation import shard_report as r
from fedbert.recommendation.clusters import MOST_CLUSTERS, Places, places_of, users_on
from fedbert.recommendation.metrics import rank_histogram
from fedbert.recommendation.sequences import load_films
from fedbert.recommendation.sessions import Block, WorldSettings
from fedbert.simulation.quality_rows import (
    WIDEST_SHARE,
    Compared,
    arms_differ_from,
    arms_row,
    closed_share,
    comparison_rows,
)

SYSTEMS = systems(unreleased=False)
TEXTS = 40


def _compared(better: int, seed: int = 0) -> Compared:
    """Return a comparison in which the final release ranks each target item `better` places higher."""
    random = np.random.default_rng(seed)
    session_text = np.repeat(np.arange(TEXTS), 5)
    before = random.integers(6, 21, len(session_text))
    ranks, tiers = [], []
    for system in SYSTEMS:
        own = before - better if system.id == ranked_by(FINAL) else before
        ranks.append(rank_histogram(own, group=session_text, groups=TEXTS))
        tiers.append(rank_histogram(own, group=session_text % 3, groups=3))
    replayed = {
        "ranks": np.stack(ranks).astype(np.int64),
        "tier_ranks": np.stack(tiers),
        "text_sessions": np.full(TEXTS, 5, np.int64),
        "user_sessions": np.zeros(0, np.int64),
    }
    return Compared(SYSTEMS, replayed, Places(TEXTS, 0), seed, TEXTS)


def test_a_difference_is_paired() -> None:
    """The same ranks for both systems differ by nothing in any draw, however wide each one's interval is."""
    found = _compared(0)
    first, final = (found.draws[ranked_by(name)] for name in (RELEASE_0, FINAL))
    assert found.known(final - first) == Known(0.0, 0.0, 0.0, Sample(5 * TEXTS, None, TEXTS))
    row = comparison_rows(found)[0]
    assert row["low"] < row["quality"]["ndcg@10"] < row["high"]
    assert (row["sessions"], row["users"], row["texts"]) == (5 * TEXTS, None, TEXTS)
    moved = _compared(4)
    won = moved.known(moved.draws[ranked_by(FINAL)] - moved.draws[ranked_by(RELEASE_0)])
    assert won.sign == 1
    assert won.value == pytest.approx(
        sum(row["quality"]["ndcg@10"] * sign for row in comparison_rows(moved) for sign in [_sign(row["id"])])
    )


def _sign(system: str) -> int:
    return (system == ranked_by(FINAL)) - (system == ranked_by(RELEASE_0))


def _known(value: float, half: float) -> Known:
    return Known(value, value - half, value + half, Sample(200, None, TEXTS))


def test_a_share_of_a_small_gap_is_left_out() -> None:
    """Absent where nothing was released, the gap is chance or negative, or the share's interval is wide."""
    won, gap, share = _known(0.05, 0.01), _known(0.1, 0.01), _known(0.5, WIDEST_SHARE / 2 - 0.01)
    assert closed_share(won, gap, share) == share
    assert closed_share(Absent("held"), gap, share) == Absent("held")
    cases = (
        (_known(0.1, 0.11), share, "not more than chance"),
        (_known(-0.1, 0.01), share, "worse than release 0"),
        (gap, _known(0.5, WIDEST_SHARE / 2 + 0.01), "too wide to say"),
        (Known(0.1, None, None, gap.sample), share, "too little was evaluated"),
    )
    for bound, part, reason in cases:
        found = closed_share(won, bound, part)
        assert isinstance(found, Absent)
        assert reason in found.reason


def _by_arm(treated: list[int], control: list[int]) -> Any:
    """Return counts of sessions whose ranks are given, a text each."""
    by_arm = np.zeros((TEXTS, r.ARM_COUNT, 20), np.int64)
    for arm, ranks in ((r.TREATED, treated), (r.CONTROL, control)):
        for text, rank in enumerate(ranks):
            by_arm[text, arm, rank - 1] += 1
    return by_arm


def test_arms_are_compared_where_they_can_differ() -> None:
    """A clear difference has its sign, an arm without a session or a round without a release a reason."""
    places = Places(TEXTS, 0)
    row = arms_row(_by_arm([1] * 40, [9, 10] * 20), places, 0, 3)
    found = from_row(row["difference"])
    assert isinstance(found, Known)
    assert found.sign == 1
    assert (row["treated"]["sessions"], row["control"]["sessions"], row["first_round"]) == (40, 40, 3)
    alike = from_row(arms_row(_by_arm([2, 9] * 20, [9, 2] * 20), places, 0, 3)["difference"])
    assert isinstance(alike, Known)
    assert alike.sign == 0
    few = from_row(arms_row(_by_arm([1] * 40, [9] * 3), places, 0, 3)["difference"])
    assert isinstance(few, Known)
    assert few.sign is None
    none = arms_row(_by_arm([1] * 40, []), places, 0, 3)
    assert none["control"]["absent"] == "no session of the control group was scored from round 3 on"
    assert arms_row(_by_arm([1] * 40, [1]), places, 0, None)["treated"]["value"] is None


def test_the_first_round_in_which_arms_can_differ() -> None:
    """The one after a release later than 0 was first on a device; release 0 and none do not count."""
    rows: Any = [
        {"round": number, "installed": installed}
        for number, installed in enumerate(({"none": 3}, {"0": 3}, {"0": 2, "1": 1}, {"0": 2, "1": 1}))
    ]
    assert arms_differ_from(rows) == 3
    assert arms_differ_from(rows[:3]) is None


def test_devices_that_reuse_a_user_belong_to_that_user() -> None:
    """In a world of users a cluster is a user; beyond the most clusters, users share them by number."""
    world = load_films()
    places = places_of(world)
    assert (places.unit, places.users) == ("user", world.users)
    users = places.users
    block = Block(DeviceRange(5, 0, users + 7), np.zeros(users + 7, np.int8), WorldSettings(), users + 7)
    user = users_on(world, places, block)
    assert user is not None
    text = np.arange(users + 7)
    cluster = places.cluster_of(text, user)
    assert cluster[:7].tolist() == cluster[users:].tolist()
    assert cluster.max() < places.clusters <= MOST_CLUSTERS
    plain = Places(users + 7, 0)
    assert (plain.unit, plain.cluster_of(text, None).tolist()) == ("text", text.tolist())
    assert Places(3, MOST_CLUSTERS + 5).cluster_of(text[:1], np.array([MOST_CLUSTERS + 2])).tolist() == [2]
