"""A direct test of the noise: is what was added to the sums what the proof says was added?

The claim is normal noise, independent over coordinates, with a known covariance over openings. Whitened by
that covariance every number must be a standard normal one, and no two of them may go together. A mechanism
that adds half the noise, the same noise twice or one number to two coordinates fails at once: the numbers are
hundreds of thousands.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import chi2, kstest

from fedbert.errors import invalid

LEAST_COORDINATES = 64
"""With fewer, sums of products are no longer near enough to normal in their tails."""


@dataclass(frozen=True)
class NoiseTest:
    """One test of the noise: its name, and how likely the claim gives something as far off (0..1)."""

    name: str
    p_value: float
    measured: float
    """Standard deviation over the claimed one; or the correlation that is farthest from 0."""


def noise_tests(
    noise: NDArray[np.float64], covariance: NDArray[np.float64], gaussian: bool
) -> tuple[NoiseTest, ...]:
    """Return the tests of `noise` `[opening, coordinate]` against the claimed `covariance` over openings.

    `gaussian` says that the noise is claimed to be normal; the variance is then tested exactly and the shape
    too. Raises FedbertError for fewer than `LEAST_COORDINATES` coordinates.
    """
    if noise.ndim != 2 or noise.shape[1] < LEAST_COORDINATES:
        raise invalid("noise", noise.shape, f"have {LEAST_COORDINATES} coordinates or more")
    white = np.linalg.solve(np.linalg.cholesky(covariance), noise)
    tests = [_variance(white, gaussian), _over_coordinates(white)]
    if len(white) > 1:
        tests.append(_over_rounds(white))
    if gaussian:
        tests.append(_shape(white))
    return tuple(tests)


def _variance(white: NDArray[np.float64], gaussian: bool) -> NoiseTest:
    """Chi-square of all squares; for noise of another shape, their mean against its own error."""
    squares = white.ravel() ** 2
    total, count = float(squares.sum()), squares.size
    if gaussian:
        p_value = 2 * min(float(chi2.sf(total, count)), float(chi2.cdf(total, count)))
    else:
        error = max(float(squares.std()), 1e-300) / math.sqrt(count)
        p_value = _two_sided((total / count - 1) / error)
    return NoiseTest("variance", min(1.0, p_value), math.sqrt(total / count))


def _over_coordinates(white: NDArray[np.float64]) -> NoiseTest:
    """Correlation of each opening's numbers at every distance up to half of them; the largest one counts."""
    openings, count = white.shape
    lags = np.arange(1, count // 2 + 1)
    worst = (0.0, 0.0)
    for row in white:
        spectrum = np.fft.rfft(row, 2 * count)
        products = np.fft.irfft(np.abs(spectrum) ** 2)[lags]
        scaled = products / np.sqrt(count - lags)
        most = int(np.abs(scaled).argmax())
        if abs(scaled[most]) > worst[0]:
            worst = (abs(float(scaled[most])), float(products[most] / (count - lags[most])))
    p_value = min(1.0, openings * len(lags) * _two_sided(worst[0]))
    return NoiseTest("whiteness over coordinates", p_value, worst[1])


def _over_rounds(white: NDArray[np.float64]) -> NoiseTest:
    """Correlation of each two openings over all coordinates; the largest one counts."""
    openings, count = white.shape
    products = (white @ white.T)[np.triu_indices(openings, 1)]
    most = float(products[np.abs(products).argmax()])
    p_value = min(1.0, len(products) * _two_sided(most / math.sqrt(count)))
    return NoiseTest("whiteness over rounds", p_value, most / count)


def _shape(white: NDArray[np.float64]) -> NoiseTest:
    """Distance of the numbers' distribution from the normal one (Kolmogorov and Smirnov)."""
    found = kstest(white.ravel(), "norm", method="asymp")
    return NoiseTest("shape", float(found.pvalue), float(found.statistic))


def _two_sided(deviations: float) -> float:
    return min(1.0, 2 * math.exp(float(log_ndtr(-abs(deviations)))))
