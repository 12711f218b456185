"""The release gate sees public texts and noisy ranks, and nothing else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fedbert.signals.gate import (
    PublicChange,
    RankEvidence,
    add_ranks,
    gate,
    no_ranks,
    public_change,
    rank_score,
)
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.signal import NoisySum


def _ranks(first: float, last: float, variance: float = 0.0) -> RankEvidence:
    """Return clicks that are all at the first or the last rank."""
    clicks = np.zeros(RANK_BINS)
    clicks[0], clicks[-1] = first, last
    return RankEvidence(clicks, variance)


def test_the_score_is_the_mean_reciprocal_rank() -> None:
    """Half of the clicks at rank 1 and half at rank 20 score (1 + 1/20) / 2, with the binomial error."""
    found = rank_score(_ranks(50, 50))
    assert found.score == pytest.approx(0.525)
    assert found.standard_error == pytest.approx(0.475 / 10)


def test_the_error_covers_the_noise() -> None:
    """Over many draws of the noise the score strays by the error that is given for it."""
    rng = np.random.default_rng(0)
    exact = np.full(RANK_BINS, 400.0)
    truth = rank_score(RankEvidence(exact, 0.0))
    draws = [rank_score(RankEvidence(exact + rng.normal(0, 60, RANK_BINS), 3600.0)) for _ in range(2000)]
    spread = np.std([draw.score for draw in draws])
    from_noise = math.sqrt(draws[0].standard_error ** 2 - truth.standard_error**2)
    assert spread == pytest.approx(from_noise, rel=0.1)


def test_noise_alone_is_no_evidence() -> None:
    """An empty or drowned histogram has no score, and cannot hold a release."""
    for ranks in (no_ranks(), _ranks(10, 10, 1e6), _ranks(-50, 10)):
        assert math.isnan(rank_score(ranks).score)
        assert math.isinf(rank_score(ranks).standard_error)
        assert gate(PublicChange(0.8, 0.8, 0.0), ranks, _ranks(1000, 0)).released


def test_rounds_of_a_release_add_up() -> None:
    """Two rounds' ranks add, in clicks, with the noise of their total; a weight of 0 changes nothing."""
    noisy = NoisySum(1, 0, np.ones(RANK_BINS), 3.0, 10.0, 3.0)
    later = replace(noisy, round=2, total_sigma=4.0)
    ranks = add_ranks(add_ranks(no_ranks(), noisy, 0.5), later, 0.5)
    assert ranks.clicks == pytest.approx([4.0] * RANK_BINS)
    assert ranks.variance == pytest.approx(16 / 0.5**2)
    assert add_ranks(ranks, noisy, 0.0) is ranks


def test_a_release_that_is_no_worse_goes_out() -> None:
    """Equal or better public quality is released, and so is a loss within the tolerance."""
    for candidate in (0.9, 0.8, 0.796):
        assert gate(PublicChange(candidate, 0.8, 0.0), no_ranks(), no_ranks()).verdict == "released"


@pytest.mark.parametrize("candidate", [0.79, math.nan])
def test_public_quality_that_falls_holds_the_release(candidate: float) -> None:
    """A loss on public texts beyond the tolerance, or no figure at all, is held and says why."""
    found = gate(PublicChange(candidate, 0.8, 0.0), no_ranks(), no_ranks())
    assert found.verdict.startswith("held: public nDCG@10 falls from 0.800")
    assert not found.released
    assert not found.roll_back


def test_a_loss_that_the_texts_do_not_resolve_holds_nothing() -> None:
    """Two standard errors are added to the tolerance: with an error of .002 a loss of .008 goes out."""
    for candidate, verdict in ((0.792, "released"), (0.790, "held")):
        found = gate(PublicChange(candidate, 0.8, 0.002), no_ranks(), no_ranks())
        assert found.verdict.partition(":")[0] == verdict


def test_the_error_of_a_change_is_that_of_clusters_by_item() -> None:
    """Texts of one item move together: four texts of two items that move by +.1 and -.1 are two clusters."""
    current = np.array([0.5, 0.5, 0.5, 0.5])
    candidate = np.array([0.6, 0.6, 0.4, 0.4])
    found = public_change(candidate, current, np.array([3, 3, 7, 7]))
    # Sums of deviations by item are +.2 and -.2; sqrt(2/1 * (.04 + .04)) / 4 = .1
    assert found.candidate == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(0.1)
    apart = public_change(candidate, current, np.array([1, 2, 3, 4]))
    assert apart.standard_error == pytest.approx(math.sqrt(4 / 3 * 0.04) / 4)


def test_one_item_or_no_text_says_nothing_of_the_error() -> None:
    """Without two items there is no error to estimate, and public texts hold nothing."""
    nothing = np.empty(0)
    assert gate(public_change(nothing, nothing, np.empty(0, int)), no_ranks(), no_ranks()).released
    assert math.isinf(public_change(np.array([0.1]), np.array([0.9]), np.array([0])).standard_error)


def test_ranks_significantly_worse_than_at_first_roll_back() -> None:
    """Only a difference beyond three standard errors asks for release 0 again."""
    first = _ranks(600, 400)
    worse = gate(PublicChange(0.9, 0.8, 0.0), _ranks(400, 600), first)
    assert worse.roll_back
    assert worse.verdict.startswith("held: clicks rank worse than under release 0 (0.430 against 0.620")
    assert gate(PublicChange(0.9, 0.8, 0.0), _ranks(580, 420), first).released
    assert gate(PublicChange(0.9, 0.8, 0.0), _ranks(900, 100), first).released
    assert gate(PublicChange(0.9, 0.8, 0.0), _ranks(400, 600, 20_000.0), first).released
