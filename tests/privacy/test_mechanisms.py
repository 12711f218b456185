"""Clipping, fixed point, decoding and noise."""

import math

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import (
    clip_factors,
    decode,
    fixed_point_scale,
    gaussian_noise,
    largest_cohort,
    to_fixed_point,
    wrap,
)


@pytest.mark.parametrize(
    ("clip_norm", "cohort"), [(2.0, 1000), (2.0, 100_000_000), (0.1, 1), (999.0, 12_345)]
)
def test_a_full_cohort_of_extreme_devices_does_not_wrap(clip_norm: float, cohort: int) -> None:
    """Every device puts its whole norm on one coordinate, in either sign: the sum mod 2^32 stays the sum."""
    scale = fixed_point_scale(clip_norm, cohort)
    assert math.log2(scale).is_integer()
    one = int(clip_norm * scale)
    for sign in (1, -1):
        total = np.array([sign * one * cohort], np.int64)
        assert decode(wrap(total), scale)[0] == sign * one * cohort / scale


def test_the_scale_is_as_fine_as_the_range_allows() -> None:
    """Twice the scale would let the sum reach 2^31."""
    assert fixed_point_scale(2.0, 4096) == 2.0**17
    assert 4096 * 2.0 * 2.0**18 >= 2**31
    assert fixed_point_scale(2.0, 1) == 2.0**20


def test_devices_own_noise_has_room_in_the_range() -> None:
    """A full cohort on one coordinate and the most noise on top stay in the signed range; half of the steps
    are given up for it, and no noise gives none up.
    """
    cohort, clip_norm, noise = 4096, 2.0, 9000.0
    scale = fixed_point_scale(clip_norm, cohort, noise)
    assert scale == fixed_point_scale(clip_norm, cohort) / 2
    for sign in (1, -1):
        total = np.array([sign * int((cohort * clip_norm + noise) * scale)], np.int64)
        assert decode(wrap(total), scale)[0] == total[0] / scale


def test_no_device_exceeds_the_clip_norm() -> None:
    """The integer vector's norm is at most clip norm times scale, exactly; a small one is left as it is."""
    rng = np.random.default_rng(0)
    vectors = rng.integers(-500, 500, (400, 30)) // rng.integers(1, 400, (400, 1))
    squares = (vectors * vectors).sum(1)
    scale = 1024.0
    fixed = to_fixed_point(vectors, clip_factors(squares, 1 / 127, 2.0, scale))
    norms = [sum(int(value) ** 2 for value in row) for row in fixed]
    assert max(norms) <= (2 * 1024) ** 2
    assert max(norms) > 0.99 * (2 * 1024) ** 2
    small = squares < (2 * 127) ** 2
    assert small.any()
    assert np.abs(fixed[small] / scale - vectors[small] / 127).max() < 2 / scale


def test_a_norm_on_the_limit_stays_within_it() -> None:
    """Rounding cannot push a vector over the limit, even where the exact factor gives whole numbers."""
    vector = np.array([[3 * 127, 4 * 127]])
    fixed = to_fixed_point(vector, clip_factors(np.array([25 * 127 * 127]), 1 / 127, 5.0, 64.0))
    assert fixed.tolist() == [[191, 255]]
    assert 191**2 + 255**2 <= (5 * 64) ** 2


def test_truncation_is_toward_zero() -> None:
    """Both signs lose, so that a norm never grows by rounding."""
    fixed = to_fixed_point(np.array([[7, -7]]), np.array([0.5]))
    assert fixed.tolist() == [[3, -3]]


def test_largest_cohort_bounds_the_coins() -> None:
    """The bound lies above the mean by many deviations, and never above the fleet."""
    assert largest_cohort(100, 1.0) == 100
    assert largest_cohort(10, 0.5) == 10
    bound = largest_cohort(1_000_000, 0.1)
    assert 100_000 + 8 * 300 < bound < 105_000


def test_noise_has_the_asked_spread_and_repeats() -> None:
    """The noise is normal with the given deviation, the same for one seed and round, another for the next."""
    noise = gaussian_noise(3, 5, 100_000, 2.5)
    assert noise.std() == pytest.approx(2.5, rel=0.01)
    assert abs(noise.mean()) < 4 * 2.5 / math.sqrt(100_000)
    assert np.array_equal(noise, gaussian_noise(3, 5, 100_000, 2.5))
    assert not np.array_equal(noise, gaussian_noise(3, 6, 100_000, 2.5))
    assert not gaussian_noise(3, 5, 10, 0.0).any()


def test_bad_settings_are_refused() -> None:
    """A norm, a cohort, a rate or a deviation without meaning gets one line."""
    for call in (
        lambda: fixed_point_scale(0.0, 1),
        lambda: fixed_point_scale(1.0, 0),
        lambda: fixed_point_scale(1.0, 1, -1.0),
        lambda: fixed_point_scale(1.0, 1, math.inf),
        lambda: largest_cohort(0, 0.5),
        lambda: largest_cohort(5, 0.0),
        lambda: gaussian_noise(0, 1, 3, -1.0),
        lambda: gaussian_noise(0, 1, 3, math.nan),
    ):
        with pytest.raises(FedbertError, match="must be"):
            call()
