"""The direct test of the noise: what is claimed passes, what is not fails by far."""

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.privacy.audit.noise import noise_tests

ROUNDS, SIZE = 6, 20_000
WHITE = np.random.default_rng(7).normal(size=(ROUNDS, SIZE))
CLAIM = 4.0 * np.eye(ROUNDS)
SURE = 1e-5
"""Sound noise of the fixed seed is never so far off; a fault always is."""


def failed(noise: np.ndarray, covariance: np.ndarray = CLAIM, gaussian: bool = True) -> list[str]:
    """Return the names of the tests that the noise fails."""
    return [each.name for each in noise_tests(noise, covariance, gaussian) if each.p_value < SURE]


def test_noise_as_claimed_passes() -> None:
    """White noise of deviation 2 passes where that is the claim, and so does correlated noise of its own."""
    assert failed(2 * WHITE) == []
    mixed = np.tril(np.full((ROUNDS, ROUNDS), 0.5)) + np.eye(ROUNDS)
    assert failed(mixed @ WHITE, mixed @ mixed.T) == []


@pytest.mark.parametrize("factor", [0.5, 0.98, 1.02])
def test_another_variance_fails(factor: float) -> None:
    """Noise of half the deviation fails, and of 2 % less or more."""
    assert "variance" in failed(2 * factor * WHITE)
    assert "variance" in failed(2 * factor * WHITE, gaussian=False)


def test_noise_drawn_twice_fails() -> None:
    """The same noise in two rounds fails; the variance alone would not tell."""
    noise = 2 * WHITE
    noise[4] = noise[1]
    assert failed(noise) == ["whiteness over rounds"]


@pytest.mark.parametrize("distance", [1, 700])
def test_noise_shared_by_coordinates_fails(distance: int) -> None:
    """Coordinates that share a tenth of their noise with others at some distance fail."""
    shared = np.sqrt(0.9) * WHITE + np.sqrt(0.1) * np.roll(WHITE, distance, axis=1)
    assert failed(2 * shared) == ["whiteness over coordinates"]


def test_a_false_claim_of_correlation_fails() -> None:
    """Noise that is independent over rounds fails a claim of correlated noise, and the other way round."""
    lower = np.eye(ROUNDS) - 0.5 * np.eye(ROUNDS, k=-1)
    assert failed(WHITE, lower @ lower.T) != []
    assert failed(lower @ WHITE, np.diag((lower @ lower.T).diagonal())) == ["whiteness over rounds"]


def test_noise_of_another_shape_fails_where_the_normal_one_is_claimed() -> None:
    """Uniform noise of the right variance fails; where nothing is said of its shape it passes."""
    uniform = np.random.default_rng(8).uniform(-1, 1, (ROUNDS, SIZE)) * 2 * np.sqrt(3)
    assert "shape" in failed(uniform)
    assert failed(uniform, gaussian=False) == []


def test_too_few_coordinates_are_refused() -> None:
    """With 63 coordinates nothing is tested, and the line says how many are needed."""
    with pytest.raises(FedbertError, match=r"64 coordinates or more"):
        noise_tests(WHITE[:, :63], CLAIM, True)
