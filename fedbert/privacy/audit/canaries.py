"""Canaries: phones with a coordinate of their own each, sent through a mechanism's own functions.

Each canary tosses a fair coin whether it is in the fleet. If it is, it adds the whole clip norm to its own
coordinate in every round that it joins. It is the worst phone that the proof speaks of, and nobody else's
data stand in its way. A `Transcript` is what the openings of all rounds show of them.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy.mechanism import Mechanism
from fedbert.randomness import ONCE, Purpose, generator

MOST_PATTERNS = 4_096
"""Ways to take part that are told apart where participation is not seen; with more, rounds stand alone."""

_SCORED_AT_A_TIME = 4_096


@dataclass(frozen=True)
class Transcript:
    """What some rounds open, as a function of what canaries add to each of them.

    An opening is ``mixing @ contributions + noise``, where the noise of one canary's coordinate has the
    covariance `covariance` over openings, as the mechanism claims it.
    """

    included: NDArray[np.bool_]
    """[canary]"""
    joined: NDArray[np.bool_]
    """[round, canary] whether it joins the round, if it is in."""
    clip_norm: float
    mixing: NDArray[np.float64]
    """[opening, round]"""
    covariance: NDArray[np.float64]
    """[opening, opening]"""
    clean: NDArray[np.float64]
    """[opening, canary] sums before the noise."""
    noise: NDArray[np.float64]
    """[opening, canary]"""

    @property
    def opened(self) -> NDArray[np.float64]:
        """The noisy sums, `[opening, canary]`."""
        return self.clean + self.noise


def coins(seed: int, count: int) -> NDArray[np.bool_]:
    """Return a fair coin for each canary of an audit: `[count]`."""
    return np.asarray(generator(seed, Purpose.AUDIT, ONCE).random(count) < 0.5)


def joins_of(mechanism: Mechanism, seed: int, count: int, rounds: int) -> NDArray[np.bool_]:
    """Return which of `count` devices of their own seed join rounds 1 to `rounds`: `[round, device]`."""
    devices = DeviceRange(seed, 0, count)
    return np.array([mechanism.joins(devices, round_) for round_ in range(1, rounds + 1)])


def send(mechanism: Mechanism, seed: int, canaries: int, rounds: int) -> Transcript:
    """Return what `rounds` rounds open of `canaries` canaries, for a mechanism whose noise is on the sum."""
    included, joined = coins(seed, canaries), joins_of(mechanism, seed, canaries, rounds)
    clip_norm = mechanism.settings.clip_norm
    contributions = clip_norm * (joined & included)
    mixing, covariance = openings(mechanism, rounds)
    noise = np.array([mechanism.on_sum(seed, round_, canaries) for round_ in opened_rounds(mixing)])
    return Transcript(included, joined, clip_norm, mixing, covariance, mixing @ contributions, noise)


def openings(mechanism: Mechanism, rounds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how rounds 1 to `rounds` are opened: mixing `[opening, round]`, covariance of the noise.

    The covariance is read off what the mechanism claims of totals: var(a + b) = var a + var b + 2 cov(a, b).
    """
    gathered = np.array([mechanism.gathered(round_) for round_ in range(1, rounds + 1)])
    ends = np.flatnonzero(gathered) + 1
    mixing = np.zeros((len(ends), rounds))
    for row, end in zip(mixing, ends, strict=True):
        row[end - gathered[end - 1] : end] = 1
    own = np.array([mechanism.total_sigma([int(end)]) ** 2 for end in ends])
    covariance = np.diag(own)
    for one, two in combinations(range(len(ends)), 2):
        both = mechanism.total_sigma([int(ends[one]), int(ends[two])]) ** 2
        covariance[one, two] = covariance[two, one] = (both - own[one] - own[two]) / 2
    return mixing, covariance


def opened_rounds(mixing: NDArray[np.float64]) -> list[int]:
    """Return the round (from 1) at whose end each opening stands."""
    return [int(np.flatnonzero(row)[-1]) + 1 for row in mixing]


def scores_seen(transcript: Transcript, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log likelihood ratio of "in" to "out" of each canary, for one who sees who takes part.

    `sums` `[opening, canary]` are the transcript's, with their noise or without. No score tells more: the
    likelihood ratio is the most powerful test (Neyman and Pearson 1933).
    """
    shift = transcript.mixing @ (transcript.clip_norm * transcript.joined)
    weight = np.linalg.solve(transcript.covariance, shift)
    return np.asarray((weight * (sums - shift / 2)).sum(axis=0))


def scores_unseen(
    transcript: Transcript, sums: NDArray[np.float64], law: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the same for one who sees sums only, and knows by what law devices take part.

    `law` `[round, device]` shows that law on other devices. With few different patterns in it the ratio is
    their mixture's; with more than `MOST_PATTERNS` rounds are taken as independent, which tells less.
    """
    # A pattern's bits as one value of bytes: numpy sorts these far faster than rows.
    packed = np.ascontiguousarray(np.packbits(law, axis=0).T)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(first) > MOST_PATTERNS:
        return _rounds_singly(transcript, sums, law.mean(axis=1))
    patterns = law.T[first]
    shift = transcript.mixing @ (transcript.clip_norm * patterns.T)
    weight = np.linalg.solve(transcript.covariance, shift)
    offset = np.log(counts / counts.sum()) - (weight * shift).sum(axis=0) / 2
    found = np.empty(sums.shape[1])
    for start in range(0, len(found), _SCORED_AT_A_TIME):
        rows = slice(start, start + _SCORED_AT_A_TIME)
        ratios = sums[:, rows].T @ weight + offset
        top = ratios.max(axis=1)
        found[rows] = top + np.log(np.exp(ratios - top[:, None]).sum(axis=1))
    return found


def _rounds_singly(
    transcript: Transcript, sums: NDArray[np.float64], rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of each opening's own ratio, as if a canary had joined its rounds by a coin each."""
    found = np.zeros(sums.shape[1])
    for opening, row in enumerate(sums):
        share = min(1.0, float(transcript.mixing[opening] @ rate))
        variance, shift = transcript.covariance[opening, opening], transcript.clip_norm
        with np.errstate(divide="ignore"):
            joined = np.log(share) + shift * (row - shift / 2) / variance
            found += np.logaddexp(joined, np.log1p(-share))
    return found
