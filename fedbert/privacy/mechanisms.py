"""From a device's integers to a noisy sum: clipping, fixed point, decoding, and the Gaussian noise.

A device's vector is clipped as a whole to norm C and turned into integers by truncation toward zero, so that
what it adds to the sum has a norm of at most C * scale, with no rounding error left over for the proof. Sums
are taken mod 2^32; `fixed_point_scale` keeps the true sum inside the signed range, so nothing wraps.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import invalid
from fedbert.randomness import Purpose, generator

_SIGNED_LIMIT = 2**31

# Truncation then costs a coordinate less than a millionth; finer steps would gain nothing.
_LARGEST_SCALE = 2.0**20

# More than the rounding errors of a square root, a quotient and two products in float64, 2^-52 each.
_ROUNDING_MARGIN = 1 - 2.0**-40

NOISE_SPREADS = 12.0
"""Standard deviations that devices' own noise may reach in a sum: more comes once in 1e32 draws."""
_TAIL = 44.0
"""Natural logarithm of one over the chance (8e-20) that a cohort exceeds `largest_cohort`."""


def largest_cohort(devices: int, sampling_probability: float) -> int:
    """Return a cohort size that a round of independent coins exceeds with a chance below 1e-19.

    Bernstein's inequality for a sum of `devices` coins of rate `sampling_probability`; never more than
    `devices`. A round that did exceed it must be held: its sum could wrap.
    """
    if devices < 1:
        raise invalid("devices", devices, "be >= 1")
    if not 0 < sampling_probability <= 1:
        raise invalid("sampling_probability", sampling_probability, "be > 0 and <= 1")
    mean = devices * sampling_probability
    variance = mean * (1 - sampling_probability)
    excess = _TAIL / 3 + math.sqrt((_TAIL / 3) ** 2 + 2 * _TAIL * variance)
    return min(devices, math.ceil(mean + excess))


def fixed_point_scale(clip_norm: float, cohort: int, noise: float = 0.0) -> float:
    """Return the largest power of two, at most 2^20, with (`cohort` * `clip_norm` + `noise`) * scale < 2^31.

    No coordinate of a clipped vector exceeds its norm, so a sum of `cohort` of them, with devices' own noise
    of at most `noise` (>= 0) on a coordinate, stays in the signed 32-bit range. Raises FedbertError if
    `clip_norm` is not finite and > 0, or `cohort` is < 1.
    """
    if not (clip_norm > 0 and math.isfinite(clip_norm)):
        raise invalid("clip_norm", clip_norm, "be > 0 and finite")
    if cohort < 1:
        raise invalid("cohort", cohort, "be >= 1")
    if not (noise >= 0 and math.isfinite(noise)):
        raise invalid("noise", noise, "be >= 0 and finite")
    scale = _LARGEST_SCALE
    while (cohort * clip_norm + noise) * scale >= _SIGNED_LIMIT:
        scale /= 2
    return scale


def clip_factors(
    squared_norm: NDArray[np.int64], unit: float, clip_norm: float, scale: float
) -> NDArray[np.float64]:
    """Return the factor `[device]` that takes integer vectors to fixed point, clipped to `clip_norm`.

    `squared_norm` `[device]` is the exact squared norm of each integer vector, one of whose units is worth
    `unit`. With `integers = trunc(vector * factor)` the norm is <= `clip_norm` * `scale`: the factor is 2^-40
    smaller than the exact one, which is more than its own and the product's rounding errors.
    """
    norm = np.sqrt(np.maximum(squared_norm, 1).astype(np.float64)) * unit
    bound = np.minimum(1.0, clip_norm / norm)
    return np.asarray(bound * (unit * scale * _ROUNDING_MARGIN), np.float64)


def to_fixed_point(vectors: NDArray[np.integer], factors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return `trunc(vectors * factors)` for integer `vectors` `[device, ...]` and `factors` `[device]`."""
    shape = (len(factors),) + (1,) * (vectors.ndim - 1)
    return np.asarray(vectors * factors.reshape(shape), np.float64).astype(np.int64)


def wrap(values: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return signed integers as they travel: mod 2^32."""
    # The mask first: what a conversion of a negative number to unsigned does is up to the platform.
    return (values & 0xFFFFFFFF).astype(np.uint32)


def decode(total: NDArray[np.uint32] | NDArray[np.int64], scale: float) -> NDArray[np.float64]:
    """Return the real sum of a fixed-point `total`: signed int64, or uint32 mod 2^32 read as signed."""
    signed = total.view(np.int32) if total.dtype == np.uint32 else total
    return signed.astype(np.float64) / scale


def gaussian_noise(seed: int, round_number: int, size: int, sigma: float) -> NDArray[np.float64]:
    """Return the noise `[size]` of a round: drawn once, here, for the whole sum.

    Seeded, so that a run can be repeated. A deployed system must draw it from a cryptographic source, and as
    discrete noise: who knows the seed can take this noise off again.
    """
    if not (sigma >= 0 and math.isfinite(sigma)):
        raise invalid("sigma", sigma, "be >= 0 and finite")
    if sigma == 0:
        return np.zeros(size)
    return generator(seed, Purpose.NOISE, round_number).normal(0.0, sigma, size)
