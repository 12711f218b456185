"""Rules of a tier's sampling error: from random groups of its phones, or from counts without them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planning.planning_fakes import fake_run

from fedbert.errors import FedbertError
from fedbert.intervals import Array
from fedbert.planning.capacity.base_run import Tier, base_of, read_base_run
from fedbert.planning.capacity.tier_noise import RATIOS, tier_noise
from fedbert.results import GROUP_SUMS, save_run
from fedbert.scenario import build

ROWS = 4_001


def tier(**groups: Array) -> Tier:
    """Return an invented tier; of its groups, those sums that are not given are 100 in each of 32."""
    found = base_of(fake_run(*build({"devices": 1_000, "mechanism": "poisson"}))).tiers[0]
    return replace(found, groups={name: np.full(32, 100.0) for name in GROUP_SUMS} | groups)


def drawn(tier: Tier, growth: float = 0.0) -> dict[str, Array]:
    """Return factors on the figures of a tier."""
    return tier_noise(tier, np.random.default_rng(0), ROWS, growth)


def test_groups_that_agree_leave_no_error() -> None:
    """Where each phone of every group spends as much, groups may differ in size."""
    sizes = np.linspace(50, 150, 32)
    found = drawn(tier(devices=sizes, sessions_uj=7 * sizes))
    assert found["energy, sessions"] == pytest.approx(np.ones(ROWS))
    assert found.keys() == RATIOS.keys()


def test_the_error_is_that_of_a_mean_over_phones() -> None:
    """A phone's spending over four rounds is its own times log-normal chance: the error of the mean is known.

    Of 3,200 phones with a relative deviation of 1.31 it is 2.3 %; as if the 12,800 rounds did not depend on
    each other it would be 1.3 %.
    """
    rng, found = np.random.default_rng(1), []
    for _ in range(20):
        own = np.exp(rng.standard_normal((3_200, 1)))
        spent = own * np.exp(0.1 * rng.standard_normal((3_200, 4)))
        sums = spent.sum(axis=1).reshape(100, 32).sum(axis=0)
        noise = drawn(tier(devices=np.full(32, 400.0), uploads_uj=sums))["energy, uploads"]
        assert noise[0] == 1.0
        found.append(np.log(noise[1:]).std())
    assert np.mean(found) == pytest.approx(np.sqrt(np.e - 1) / np.sqrt(3_200), rel=0.1)


def test_figures_of_a_tier_vary_together() -> None:
    """Groups that spend more on uploads spend less on downloads: so do draws."""
    more = np.where(np.arange(32) % 2, 110.0, 90.0)
    found = drawn(tier(uploads_uj=more, downloads_uj=200 - more))
    assert np.corrcoef(np.log(found["energy, uploads"]), np.log(found["energy, downloads"]))[0, 1] < -0.99


def test_a_fleet_as_small_as_the_run_has_chance_of_its_own() -> None:
    """Of as many phones as in the run: root 2 times the error; of a fleet without end: that of the run."""
    phones = tier(installs=np.where(np.arange(32) % 2, 110.0, 90.0))
    alone, doubled = (np.log(drawn(phones, growth)["installs per day"]).std() for growth in (0.0, 1.0))
    assert doubled == pytest.approx(np.sqrt(2) * alone)


@pytest.mark.parametrize(
    "change",
    [
        {"sessions": None},
        {"sessions": [1]},
        {"sessions": [-1] * 32},
        {"devices": [0] * 32},
        {"sessions": ["x"] * 32},
        {name: [5] for name in GROUP_SUMS},
    ],
)
def test_damaged_groups_are_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    """A sum that is missing, of too few groups, below zero or no number: the run is refused by its path."""
    result = fake_run(*build({"devices": 1_000, "mechanism": "poisson"}))
    kept = {name: [100] * 32 for name in GROUP_SUMS} | change
    row = next(iter(result["tiers"].values()))
    row["groups"] = {name: sums for name, sums in kept.items() if sums is not None}
    save_run(result, tmp_path / "run")
    with pytest.raises(FedbertError, match=r"^[^\n]*run\.json[^\n]* must [^\n]*$"):
        read_base_run(tmp_path / "run")


def test_without_groups_counts_stand_in() -> None:
    """A run from before groups were kept: the root of 2 / n, and n sessions of a session."""
    old = replace(tier(), groups={}, sessions=800, installs=200.0, reports=50.0)
    found = {name: np.log(factor).std() for name, factor in drawn(old).items()}
    assert found["energy per session"] == pytest.approx(0.05, rel=0.05)
    assert found["energy, downloads"] == pytest.approx(0.1, rel=0.05)
    assert found["energy per round"] == pytest.approx(0.2, rel=0.05)
    assert found["installs per day"] == 0.0
