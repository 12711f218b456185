"""Whether a release goes out, by what a deployed server can see: public texts and noisy ranks of clicks.

The ranks come from the same clipped and noised sums as the rest of the signal, so looking at them costs no
budget of its own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.signal import NoisySum

PUBLIC_TOLERANCE = 0.005
"""nDCG that a release may lose on public validation texts: it is to win on users' texts, not on these."""

PUBLIC_SIGNIFICANCE = 2.0
"""Standard errors by which a loss must exceed the tolerance to hold a release: a few hundred texts do not
resolve a loss of the size of the tolerance, and a release that pleases users would be held for nothing."""

SIGNIFICANCE = 3.0
"""Standard errors by which a release's clicked rank must be worse than release 0's to be rolled back: one
false alarm in about 700 gates."""

_LEAST_SPREADS = 3.0
"""Standard deviations of the noise that the clicks counted must exceed to be evidence."""

# Reciprocal rank: unlike nDCG@10 it has no cut-off that noise on the last bins would be counted against.
_WORTH = 1.0 / np.arange(1, RANK_BINS + 1)


@dataclass(frozen=True)
class RankEvidence:
    """Noisy histogram `[RANK_BINS]` of the ranks one release gave to the items clicked under it.

    `clicks` carries Gaussian noise of variance `variance` on each bin.
    """

    clicks: NDArray[np.float64]
    variance: float


@dataclass(frozen=True)
class RankScore:
    """Mean reciprocal rank of the clicks under a release (0 to 1), and its standard error.

    Without evidence the score is NaN and its error infinite.
    """

    score: float
    standard_error: float


@dataclass(frozen=True)
class PublicChange:
    """Mean nDCG@10 of a candidate and of the release that is out, on the same public validation texts.

    `standard_error` is that of their difference.
    """

    candidate: float
    current: float
    standard_error: float


@dataclass(frozen=True)
class Decision:
    """What the gate says: `verdict` is 'released' or 'held: ...'; `roll_back` asks for release 0 again."""

    verdict: str
    roll_back: bool

    @property
    def released(self) -> bool:
        """Whether the candidate goes out."""
        return self.verdict == "released"


def no_ranks() -> RankEvidence:
    """Return the evidence of a release before its first round."""
    return RankEvidence(np.zeros(RANK_BINS), 0.0)


def add_ranks(ranks: RankEvidence, noisy: NoisySum, gamma: float) -> RankEvidence:
    """Return `ranks` with a noisy histogram of the same release added; a rank weighs `gamma`."""
    # A layout without ranks has no histogram to scale back.
    if not gamma:
        return ranks
    return RankEvidence(ranks.clicks + noisy.values / gamma, (noisy.total_sigma / gamma) ** 2)


def rank_score(ranks: RankEvidence) -> RankScore:
    """Return the score of a histogram, with the error of both the noise and the number of clicks.

    Errors by the delta method for a ratio of two sums. A total that the noise could have made, three of its
    standard deviations or less, is no evidence.
    """
    total = float(ranks.clicks.sum())
    # A ratio whose denominator may be noise has no standard error to speak of.
    if total <= 0 or total <= _LEAST_SPREADS * math.sqrt(RANK_BINS * ranks.variance):
        return RankScore(math.nan, math.inf)
    score = float(ranks.clicks @ _WORTH) / total
    apart = (_WORTH - score) ** 2
    from_noise = ranks.variance * float(apart.sum()) / total**2
    # Noise can take a bin below zero; a count cannot vary less than not at all.
    from_clicks = float(np.maximum(ranks.clicks, 0.0) @ apart) / total**2
    return RankScore(score, math.sqrt(from_noise + from_clicks))


def public_change(
    candidate: NDArray[np.float64], current: NDArray[np.float64], items: NDArray[np.integer]
) -> PublicChange:
    """Return the change from nDCG@10 `current` to `candidate` of texts with target `items`, each [text].

    Texts of one item share its vector and move together, so the error is that of clusters by item: the root
    of the sum, over items, of squared summed deviations, over the number of texts; infinite below two items.
    """
    if not len(items):
        return PublicChange(0.0, 0.0, math.inf)
    change = candidate - current
    apart = np.bincount(items, weights=change - change.mean())
    clusters = np.count_nonzero(np.bincount(items))
    error = (
        math.inf if clusters < 2 else math.sqrt(clusters / (clusters - 1) * float(apart @ apart)) / len(items)
    )
    return PublicChange(float(candidate.mean()), float(current.mean()), error)


def gate(public: PublicChange, current: RankEvidence, first: RankEvidence) -> Decision:
    """Return whether a candidate is released.

    `public` is its quality on public validation texts beside that of the release that is out. `current` and
    `first` are the clicked ranks under the release that is out and under release 0. It is held if public
    quality falls by more than PUBLIC_TOLERANCE and PUBLIC_SIGNIFICANCE standard errors together, and rolled
    back if the release that is out ranks clicks worse than release 0 did by more than SIGNIFICANCE errors.
    Clicks follow the order that was shown, so ranks of two releases are compared, and never read as quality
    on their own.
    """
    now, start = rank_score(current), rank_score(first)
    error = math.hypot(now.standard_error, start.standard_error)
    # Without evidence on either side the error is infinite: no news is no reason to roll back.
    if math.isfinite(error) and start.score - now.score > SIGNIFICANCE * error:
        return Decision(
            f"held: clicks rank worse than under release 0 ({now.score:.3f} against {start.score:.3f}, "
            f"standard error {error:.3f})",
            True,
        )
    allowed = PUBLIC_TOLERANCE + PUBLIC_SIGNIFICANCE * public.standard_error
    # Written so that NaN holds the release.
    if not public.candidate >= public.current - allowed:
        return Decision(
            f"held: public nDCG@10 falls from {public.current:.3f} to {public.candidate:.3f}, "
            f"by more than {allowed:.3f}",
            False,
        )
    return Decision("released", False)
