"""The noise of a large fleet, shown on a small one."""

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.federation.environment import load_mechanism
from fedbert.planning.tradeoff.arms import plan
from fedbert.privacy.scaled import Scaled
from fedbert.scenario import Scenario, build
from fedbert.simulation.privacy_row import privacy_row


def scenario(**values: object) -> Scenario:
    """Return a private scenario of 1,000 phones."""
    return build({"devices": 1_000, "epsilon": 2.0, "mechanism": "daily"} | values)[0]


@pytest.mark.parametrize("name", ["poisson", "daily", "correlated"])
def test_noise_shrinks_with_the_fleet_and_bounds_are_the_large_ones(name: str) -> None:
    """1,000 phones with the noise of 100,000 have a hundredth of it, in every round and in the total."""
    whole = load_mechanism(scenario(devices=100_000, mechanism=name))
    small = load_mechanism(scenario(noise_cohort=100_000, mechanism=name))
    rounds = [round_ for round_ in range(1, 13) if whole.gathered(round_)]
    assert np.allclose(small.on_sum(7, rounds[-1], 5), whole.on_sum(7, rounds[-1], 5) / 100, rtol=1e-12)
    assert small.total_sigma(rounds) == pytest.approx(whole.total_sigma(rounds) / 100)
    assert small.spent(12) == whole.spent(12)
    assert small.noise_multiplier == whole.noise_multiplier
    assert small == Scaled(whole, 1 / 100)


def test_it_is_said_that_these_phones_are_not_protected() -> None:
    """The statement names both fleets, and the row has the large one."""
    made = scenario(noise_cohort=100_000)
    row = privacy_row(load_mechanism(made), made, 12)
    assert row["noise_cohort"] == 100_000
    assert "fleet of 100,000 phones" in row["statement"]
    assert "protects none of these" in row["statement"]


def test_a_smaller_fleet_or_no_noise_is_refused() -> None:
    """One line each: a noise cohort below the devices, and one without an epsilon."""
    with pytest.raises(FedbertError, match=r"^noise_cohort\(=999\) must be >= devices[^\n]+$"):
        scenario(noise_cohort=999)
    with pytest.raises(FedbertError, match=r"^noise_cohort\(=2000\) must come with an epsilon[^\n]+$"):
        load_mechanism(scenario(noise_cohort=2_000, epsilon=None))


def test_arms_without_noise_have_none_to_scale() -> None:
    """In a grid the arms without privacy run as they are."""
    cells = plan(scenario(noise_cohort=5_000, epsilon=None), [1.0, None], 1)
    assert [cell.scenario.noise_cohort for cell in cells] == [None, 5_000, None]
