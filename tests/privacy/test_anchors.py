"""Epsilons that papers and projects print, made again to the printed digit by each accountant."""

import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting.rdp import RdpAccountant

from fedbert.errors import FedbertError
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.allocation import allocation_epsilon
from fedbert.privacy.correlated import BAND, inverse_root, root, root_sensitivity
from fedbert.privacy.curves import gaussian_epsilon, renyi_epsilon
from fedbert.privacy.tree import nodes, tree_sensitivity


def test_zero_concentrated_privacy_is_converted() -> None:
    """rho 2 at delta 1e-10 is 14.8708 by divergences, and 14.274 as the Gaussian that it describes; Gboard's
    rho .81 is 8.9.
    """
    assert epsilon_of(dp_accounting.ZCDpEvent(2.0), 1e-10) == pytest.approx(14.8708, abs=5e-5)
    assert gaussian_epsilon(1 / math.sqrt(2 * 2.0), 1e-10) == pytest.approx(14.274, abs=5e-4)
    assert epsilon_of(dp_accounting.ZCDpEvent(0.81), 1e-10) == pytest.approx(8.92, abs=5e-3)


def test_the_tree_of_dp_ftrl() -> None:
    """1,600 rounds at sigma 1.13 and delta 1e-6 are 18.71 by divergences, as one Gaussian on 11 nodes; our
    tree moves no more than that, and exactly counted 17.67.
    """
    sensitivity = tree_sensitivity(1600, 1600)
    assert sensitivity == pytest.approx(math.sqrt(11))
    library = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_SPECIAL)
    library.compose(dp_accounting.SingleEpochTreeAggregationDpEvent(1.13, 1600))
    assert library.get_epsilon(1e-6) == pytest.approx(18.71, abs=5e-3)
    one = dp_accounting.GaussianDpEvent(1.13 / sensitivity)
    assert RdpAccountant().compose(one).get_epsilon(1e-6) == pytest.approx(18.71, abs=5e-3)
    assert gaussian_epsilon(1.13 / sensitivity, 1e-6) == pytest.approx(17.67, abs=5e-3)


@pytest.mark.parametrize(
    ("z", "q", "rounds", "delta", "expected"),
    [
        (1.0, 0.01, 1000, 1e-5, 2.10),
        (1.1, 256 / 60000, 14063, 1e-5, 2.60),
        (0.8, 0.005, 1000, 1e-6, 2.63),
        (1.0, 1000 / 8.4e6, 1000, 1e-8, 0.860),
    ],
)
def test_renyi_divergences_are_looser(z: float, q: float, rounds: int, delta: float, expected: float) -> None:
    """The sampled Gaussian by divergences has the epsilons that are printed for it."""
    sampled = dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(z))
    library = RdpAccountant().compose(dp_accounting.SelfComposedDpEvent(sampled, rounds))
    assert library.get_epsilon(delta) == pytest.approx(expected, rel=5e-3)
    assert renyi_epsilon(z, q, rounds, delta) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("z", "expected"), [(2.234, 0.571), (1.30, 1.433), (1.19, 1.729)])
def test_allocation_has_the_published_epsilons(z: float, expected: float) -> None:
    """One random round of twelve: z 2.234 gives .571 at delta 1e-6, where a seen round gives 2."""
    assert allocation_epsilon(z, 12, 1, 1e-6) == pytest.approx(expected, abs=0.01)
    assert gaussian_epsilon(2.234, 1e-6) == pytest.approx(2.0, abs=5e-3)


@pytest.mark.parametrize("epsilon", [0.2, 0.4])
def test_allocation_agrees_with_simulation(epsilon: float) -> None:
    """The delta at `epsilon` of a device in a random one of twelve rounds, from 400,000 draws of the exact
    likelihood ratio: the accountant's epsilon at that delta is `epsilon`; for a fifth less noise it is not.
    """
    rng, rounds, z = np.random.default_rng(3), 12, 2.234

    def simulated(noise: float) -> float:
        drawn = rng.normal(0.0, noise, (400_000, rounds))
        drawn[:, 0] += 1  # by symmetry the round does not matter
        loss = np.log(np.mean(np.exp((2 * drawn - 1) / (2 * noise**2)), axis=1))
        return float(np.maximum(0.0, -np.expm1(epsilon - loss)).mean())

    assert allocation_epsilon(z, rounds, 1, simulated(z)) == pytest.approx(epsilon, rel=0.05)
    assert allocation_epsilon(z, rounds, 1, simulated(0.8 * z)) < 0.9 * epsilon


def test_allocation_at_its_edges() -> None:
    """One slot hides nothing, and below the least delta nothing is resolved: both are infinite."""
    assert allocation_epsilon(2.0, 1, 1, 1e-6) == math.inf
    assert allocation_epsilon(2.0, 12, 1, 1e-14) == math.inf


def test_the_root_of_the_running_total() -> None:
    """C C is the total's matrix of ones, and C^-1 undoes C: checked on matrices of 40 rounds."""
    count = 40
    lower = np.array([[root(count)[i - j] if i >= j else 0.0 for j in range(count)] for i in range(count)])
    undo = np.array(
        [[inverse_root(count)[i - j] if i >= j else 0.0 for j in range(count)] for i in range(count)]
    )
    assert np.allclose(lower @ lower, np.tri(count))
    assert np.allclose(undo @ lower, np.eye(count))
    assert root(4).tolist() == [1.0, 0.5, 0.375, 0.3125]


def test_beyond_the_band_the_root_stays_fit_for_its_bound() -> None:
    """C's coefficients are >= 0 and fall, for years of rounds, and its inverse has `BAND` weights."""
    column = root(9_000)
    assert (column >= 0).all()
    assert (np.diff(column) <= 0).all()
    assert np.count_nonzero(inverse_root(500)) == BAND


@pytest.mark.parametrize(("rounds", "period"), [(1, 12), (12, 12), (30, 12), (9, 2), (5, 1)])
def test_sensitivities_are_those_of_the_worst_device(rounds: int, period: int) -> None:
    """The shortcut equals the largest shift over all devices' slots and all days that they may sit out."""
    worst_root = worst_tree = 0.0
    lower = np.array([[root(rounds)[i - j] if i >= j else 0.0 for j in range(rounds)] for i in range(rounds)])
    every = sorted({node for total in range(1, rounds + 1) for node in nodes(total)})
    tree = np.array(
        [[float(end - (1 << level) < t <= end) for t in range(1, rounds + 1)] for end, level in every]
    )
    for slot in range(min(period, rounds)):
        places = range(slot, rounds, period)
        for taken in range(1 << len(places)):
            joined = np.zeros(rounds)
            joined[[place for bit, place in enumerate(places) if taken >> bit & 1]] = 1
            worst_root = max(worst_root, float(np.linalg.norm(lower @ joined)))
            worst_tree = max(worst_tree, float(np.linalg.norm(tree @ joined)))
    assert root_sensitivity(rounds, period) == pytest.approx(worst_root)
    assert tree_sensitivity(rounds, period) == pytest.approx(worst_tree)


def test_a_total_in_the_tree_has_a_node_for_each_binary_digit() -> None:
    """13 = 8 + 4 + 1 rounds: nodes that end at 8, 12 and 13."""
    assert sorted(nodes(13)) == [(8, 3), (12, 2), (13, 0)]
    assert nodes(0) == []


def test_an_event_without_accountant_is_refused() -> None:
    """Sampling without replacement of two rounds has no accountant here: one line with its type."""
    event = dp_accounting.SampledWithoutReplacementDpEvent(100, 10, dp_accounting.LaplaceDpEvent(1.0))
    with pytest.raises(FedbertError, match="no accountant covers SampledWithoutReplacementDpEvent"):
        epsilon_of(event, 1e-6)
