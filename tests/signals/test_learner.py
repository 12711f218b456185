"""What the server makes of noisy sums."""

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import decode
from fedbert.signals.prototypes import learner
from fedbert.signals.prototypes.contribution import prototype_layout
from fedbert.signals.prototypes.evidence import Evidence, add_round, no_evidence, rotated
from fedbert.signals.prototypes.learner import PublicKnowledge, estimate_counts, fit_prior, learn
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.report import report_layout, report_sum
from fedbert.signals.rotation import rotation
from fedbert.signals.signal import Clicks

ITEMS, DIM = 60, 16


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _problem(seed: int = 0) -> tuple[PublicKnowledge, np.ndarray]:
    """Return public knowledge of 60 items, of which 20 have 30 texts each, and every item's true mean."""
    rng = np.random.default_rng(seed)
    names = _unit(rng.normal(size=(ITEMS, DIM)))
    truth = 0.6 * names + rng.normal(scale=0.12, size=(ITEMS, DIM))
    owner = np.repeat(np.arange(0, ITEMS, 3), 30)
    texts = truth[owner] + rng.normal(scale=0.1, size=(len(owner), DIM))
    return PublicKnowledge(names, texts, owner), truth


def _evidence(truth: np.ndarray, clicks: np.ndarray, sigma: float, seed: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    sums = clicks[:, None] * truth + np.sqrt(clicks)[:, None] * rng.normal(scale=0.1, size=truth.shape)
    return Evidence(
        sums=sums + rng.normal(scale=max(sigma, 1e-300), size=truth.shape),
        counts=clicks + rng.normal(scale=max(10 * sigma, 1e-300), size=len(truth)),
        sum_variance=sigma**2,
        count_variance=(10 * sigma) ** 2,
        expected_reports=1000.0,
        crowding=1.0,
    )


def _error(vectors: np.ndarray, truth: np.ndarray) -> float:
    return float((1 - (_unit(vectors) * _unit(truth)).sum(1)).mean())


def _prior_error(public: PublicKnowledge, truth: np.ndarray) -> float:
    return _error(fit_prior(public).means, truth)


def test_without_noise_the_targets_are_the_plain_prototypes() -> None:
    """With many clicks and no noise each target is the direction of the item's mean text."""
    public, truth = _problem()
    evidence = _evidence(truth, np.full(ITEMS, 1e7), 0.0)
    targets = learn(evidence, public)
    assert targets.vectors == pytest.approx(_unit(evidence.sums), abs=1e-4)
    assert targets.weights.min() > 0.999
    assert targets.vectors.dtype == targets.weights.dtype == np.float32


def test_with_noise_alone_the_targets_are_the_prior() -> None:
    """Evidence that is all noise changes nothing for items without public texts, and weighs nothing."""
    public, truth = _problem()
    quiet = learn(_evidence(truth, np.zeros(ITEMS), 1e-9), public)
    for seed in range(5):
        loud = learn(_evidence(truth, np.full(ITEMS, 50.0), 1e6, seed), public)
        assert loud.vectors == pytest.approx(quiet.vectors, abs=0.02)
    others = np.arange(ITEMS) % 3 != 0
    assert loud.weights[others].max() < loud.weights[~others].min()


@pytest.mark.parametrize("sigma", [1.0, 5.0, 10.0, 30.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_posterior_beats_both_the_prior_and_the_raw_sums(sigma: float, seed: int) -> None:
    """At every noise level the targets are nearer to the truth than names, and than the noisy sums."""
    public, truth = _problem(seed)
    clicks = np.random.default_rng(seed).gamma(2.0, 50.0, ITEMS)
    evidence = _evidence(truth, clicks, sigma, seed)
    learnt = _error(learn(evidence, public).vectors, truth)
    assert learnt < _prior_error(public, truth)
    assert learnt < _error(evidence.sums, truth)


def test_weights_grow_with_clicks() -> None:
    """An item with more clicks rests more on evidence."""
    public, truth = _problem()
    clicks = np.where(np.arange(ITEMS) < 30, 20.0, 500.0)
    weights = learn(_evidence(truth, clicks, 10.0), public).weights
    assert weights[30:].mean() > weights[:30].mean() + 0.1
    assert ((weights >= 0) & (weights <= 1)).all()


def test_counts_are_found_in_the_noise() -> None:
    """The clicks of an item are estimated better than its noisy count alone says, and never below 0."""
    public, truth = _problem()
    clicks = np.random.default_rng(3).gamma(2.0, 50.0, ITEMS)
    evidence = _evidence(truth, clicks, 10.0)
    found = estimate_counts(evidence, fit_prior(public))
    assert found.min() >= 0
    assert np.abs(found - clicks).mean() < 0.6 * np.abs(evidence.counts - clicks).mean()
    exact = estimate_counts(_evidence(truth, clicks, 0.0), fit_prior(public))
    assert exact == pytest.approx(clicks)


def test_many_items_learn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the joint limit the same posterior holds with unrelated items, as a closed formula for each."""
    public, truth = _problem()
    evidence = _evidence(truth, np.full(ITEMS, 80.0), 5.0)
    monkeypatch.setattr(learner, "LARGEST_JOINT_CATALOGUE", 10)
    alone = learn(evidence, public)
    assert _error(alone.vectors, truth) < _prior_error(public, truth)
    monkeypatch.setattr(learner, "_relation", lambda names: np.eye(len(names)))
    assert alone.vectors == pytest.approx(learn(evidence, public).vectors, abs=1e-5)
    assert alone.weights == pytest.approx(learn(evidence, public).weights, abs=1e-5)


def test_the_posterior_is_the_textbook_one() -> None:
    """One eigen-decomposition gives what solving the full normal equations of each direction gives."""
    public, truth = _problem()
    evidence = _evidence(truth, np.random.default_rng(0).gamma(2.0, 40.0, ITEMS), 8.0)
    prior = fit_prior(public)
    counts = estimate_counts(evidence, prior)
    assert prior.relation is not None
    expected = np.empty((ITEMS, DIM))
    for number in range(DIM):
        direction, variance = prior.directions[:, number], prior.variances[number]
        seen = (evidence.sums - counts[:, None] * prior.means) @ direction
        public_seen = (prior.public_means - prior.means) @ direction
        precision = counts**2 / (counts * prior.scatter + 64.0) + 0.1 * prior.public_counts / prior.scatter
        information = counts / (counts * prior.scatter + 64.0) * seen
        information += 0.1 * prior.public_counts / prior.scatter * public_seen
        covariance = np.linalg.inv(np.linalg.inv(variance * prior.relation) + np.diag(precision))
        expected[:, number] = covariance @ information
    means = prior.means + expected @ prior.directions.T
    assert learn(evidence, public).vectors == pytest.approx(_unit(means), abs=1e-5)


def test_without_public_texts_names_are_the_prior() -> None:
    """A catalogue whose public texts have no items starts from its names, and still learns."""
    public, truth = _problem()
    bare = PublicKnowledge(public.names, public.texts[:5], np.full(5, -1))
    nothing = learn(_evidence(truth, np.zeros(ITEMS), 1e-9), bare)
    assert nothing.vectors == pytest.approx(public.names, abs=1e-6)
    assert nothing.weights.max() == pytest.approx(0, abs=1e-6)
    assert _error(learn(_evidence(truth, np.full(ITEMS, 500.0), 1.0), bare).vectors, truth) < 0.01


def test_rounds_add_up_and_divide_by_public_numbers_only() -> None:
    """Two rounds' sums and expected reports add, with the total's noise; a missing count is not known."""
    layout = prototype_layout(3, 2, beta=0.5)
    total = np.arange(layout.size, dtype=np.float64)
    twice = no_evidence(layout)
    for total_sigma in (3.0, 4.0):
        twice = add_round(twice, layout, total, total_sigma, 100.0)
    assert twice.sums.tolist() == [[0, 2], [4, 6], [8, 10]]
    assert twice.counts == pytest.approx(2 * total[6:] / layout.beta)
    assert (twice.sum_variance, twice.expected_reports, twice.crowding) == (16.0, 200.0, 1.0)
    assert twice.count_variance == pytest.approx(16.0 / layout.beta**2)
    blind = prototype_layout(3, 2, beta=0.0, centre=0.0)
    assert add_round(no_evidence(blind), blind, total, 3.0, 100.0).count_variance == np.inf


def test_evidence_follows_a_rotation() -> None:
    """If a new release turns the space, evidence turned with it teaches the turned targets."""
    public, truth = _problem()
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)))[0]
    found = rotation(public.texts, public.texts @ turn)
    assert found == pytest.approx(turn, abs=1e-9)
    evidence = _evidence(truth, np.full(ITEMS, 100.0), 5.0)
    there = PublicKnowledge(public.names @ turn, public.texts @ turn, public.text_items)
    before, after = learn(evidence, public), learn(rotated(evidence, found), there)
    assert after.vectors == pytest.approx(before.vectors @ turn, abs=1e-4)
    assert after.weights == pytest.approx(before.weights, abs=1e-4)


def test_a_crowded_sketch_is_trusted_less() -> None:
    """Items that share rows of a sketch are learnt with less weight than items with their own rows."""
    public, truth = _problem()
    rng = np.random.default_rng(0)
    owner = rng.integers(0, ITEMS, 4000)
    texts = np.round(127 * _unit(truth[owner] + rng.normal(scale=0.1, size=(4000, DIM)))).astype(np.int8)
    clicks = Clicks(
        texts,
        np.arange(4000, dtype=np.int32)[:, None],
        owner.astype(np.int32)[:, None],
        np.zeros((4000, 1), np.int8),
        np.zeros((ITEMS, DIM), np.int8),
    )
    weights = {}
    for rows in (ITEMS, 20):
        own = prototype_layout(ITEMS, DIM, beta=0.2, rows=rows)
        layout = report_layout(own, clip_norm=1.0, largest_cohort=4000)
        total, _ = layout.split(decode(report_sum(Prototypes(), layout, clicks), layout.scale))
        targets = learn(add_round(no_evidence(own), own, total, 0.0, 4000.0), public)
        weights[rows] = targets.weights[1::3].mean()
        assert np.isfinite(targets.vectors).all()
    assert weights[20] < weights[ITEMS] - 0.1


def test_mistakes_are_refused() -> None:
    """Shapes that do not match, and numbers out of range, get one line."""
    public, truth = _problem()
    layout = prototype_layout(3, 2, beta=0.5)
    with pytest.raises(FedbertError, match="use one catalogue"):
        learn(_evidence(truth[:5], np.ones(5), 1.0), public)
    with pytest.raises(FedbertError, match="one row an entry"):
        fit_prior(PublicKnowledge(public.names, public.texts[:3], public.text_items))
    with pytest.raises(FedbertError, match="its layout"):
        add_round(no_evidence(layout), layout, np.zeros(4), 1.0, 1.0)
    with pytest.raises(FedbertError, match="sigma"):
        add_round(no_evidence(layout), layout, np.zeros(layout.size), -1.0, 1.0)
    with pytest.raises(FedbertError, match="expected_reports"):
        add_round(no_evidence(layout), layout, np.zeros(layout.size), 1.0, 0.0)
    with pytest.raises(FedbertError, match="one shape"):
        rotation(np.zeros((3, 2)), np.zeros((4, 2)))
