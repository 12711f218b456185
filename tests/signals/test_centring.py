"""What reports take off their text vectors, and that the server takes it into account."""

from dataclasses import dataclass

import numpy as np
import pytest
from signal_examples import random_vectors

from fedbert.privacy.mechanisms import decode
from fedbert.signals.prototypes.centring import add_centres, clicks_of_round, no_centres, turned
from fedbert.signals.prototypes.contribution import prototype_layout
from fedbert.signals.prototypes.evidence import Evidence
from fedbert.signals.prototypes.learner import PublicKnowledge, estimate_counts, fit_prior, learn
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.report import report_layout, report_sum
from fedbert.signals.signal import Clicks, NoisySum, Signal

ITEMS, DIM, PUBLIC = 30, 12, 240


@dataclass(frozen=True)
class _View:
    """Items that two releases place differently; half of them have public texts."""

    released: tuple[np.ndarray, np.ndarray]
    text_items: np.ndarray
    public: np.ndarray

    @property
    def names(self) -> np.ndarray:
        return self.released[0]

    def items(self, release: int) -> np.ndarray:
        return self.released[release]

    def texts(self, release: int) -> np.ndarray:
        return self.public


def _view() -> _View:
    rng = np.random.default_rng(2)
    released = [(random_vectors(rng, ITEMS, DIM) / 127).astype(np.float32) for _ in range(2)]
    public = (random_vectors(rng, PUBLIC, DIM) / 127).astype(np.float32)
    return _View((released[0], released[1]), np.arange(PUBLIC) % (ITEMS // 2), public)


def _knowledge(view: _View) -> PublicKnowledge:
    return PublicKnowledge(view.names.astype(np.float64), view.public.astype(np.float64), view.text_items)


def _after(signal: Signal, rounds: list[tuple[int, int]]) -> np.ndarray:
    """Return the targets after rounds of (release, devices that report), unclipped; clicks are alike."""
    view, rng = _view(), np.random.default_rng(3)
    layout = report_layout(signal.layout(ITEMS, DIM), clip_norm=1000.0, largest_cohort=1000)
    vectors = random_vectors(rng, 60, DIM)
    text = np.tile(np.arange(60, dtype=np.int32), 20)[:, None]
    memory = signal.start(layout.signal, view)
    for number, (release, devices) in enumerate(rounds, 1):
        stored = np.rint(view.items(release) * 127).astype(np.int8)
        item = (text % ITEMS).astype(np.int32)
        clicks = Clicks(vectors, text, item, np.zeros(item.shape, np.int8), stored).take(slice(0, devices))
        own, _ = layout.split(decode(report_sum(signal, layout, clicks), layout.scale))
        memory, targets = signal.learn(
            layout.signal, memory, NoisySum(number, release, own, 0.0, 100.0, 0.0), view
        )
    return targets.vectors


@pytest.mark.parametrize("rounds", [[(0, 600)], [(0, 600), (1, 600)], [(0, 60), (1, 600), (1, 120)]])
def test_without_noise_centring_changes_nothing(rounds: list[tuple[int, int]]) -> None:
    """Whatever each release took off, and however unequal the rounds, exact counts put it back."""
    plain = _after(Prototypes(centre=0.0), rounds)
    assert _after(Prototypes(centre=0.625), rounds) == pytest.approx(plain, abs=2e-3)
    # The centres matter: a server that forgot them would learn something else.
    view = _view()
    assert np.abs(view.released[0] - view.released[1]).mean() > 0.1


def test_a_learner_told_of_the_centres_finds_what_it_finds_without() -> None:
    """Of exact counts n, sums less n times any vector, with that vector told, give the same targets."""
    view, rng = _view(), np.random.default_rng(0)
    known, taken = _knowledge(view), rng.normal(size=(ITEMS, DIM))
    counts, sums = rng.integers(1, 50, ITEMS).astype(np.float64), rng.normal(size=(ITEMS, DIM))
    plain = Evidence(sums, counts, 0.0, 0.0, 100.0, 1.0)
    centred = Evidence(sums - counts[:, None] * taken, counts, 0.0, 0.0, 100.0, 1.0)
    expected, found = learn(plain, known), learn(centred, known, taken)
    assert found.vectors == pytest.approx(expected.vectors, abs=1e-6)
    assert found.weights == pytest.approx(expected.weights, abs=1e-6)
    assert np.abs(learn(centred, known).vectors - expected.vectors).max() > 0.1


def test_counts_of_centred_sums_are_read_from_the_counts_alone() -> None:
    """What is left of a centred sum says nothing of how many clicks it is of."""
    prior = fit_prior(_knowledge(_view()))
    counts = np.linspace(10, 40, ITEMS)
    two = [
        estimate_counts(Evidence(scale * prior.means, counts, 1.0, 4.0, 100.0, 1.0), prior, centred=True)
        for scale in (0.0, 500.0)
    ]
    assert np.array_equal(*two)
    assert two[0] == pytest.approx(counts, rel=0.1)


def test_rounds_weigh_by_their_clicks() -> None:
    """30 clicks that took off half of (1, 0) and 10 that took off half of (0, 1): (.375, .125) on average."""
    layout = prototype_layout(1, 2, centre=0.5)
    first, second = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    both = add_centres(add_centres(no_centres(layout), layout, first, 30.0), layout, second, 10.0)
    # Half of 127 is 63.5, which rounds to the even 64.
    assert both.means[0] == pytest.approx(np.array([0.375, 0.125]) * 128 / 127)
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert turned(both, quarter).means[0] == pytest.approx([-both.means[0, 1], both.means[0, 0]])
    assert not no_centres(layout).means.any()


def test_a_rounds_clicks_follow_what_can_be_seen() -> None:
    """Without noise the total counts, in noise what is usual; noise as large as these, half way; never 0."""
    assert clicks_of_round(300.0, 0.0, 100.0) == 300.0
    assert clicks_of_round(300.0, 1e12, 100.0) == pytest.approx(100.0, abs=1e-3)
    assert clicks_of_round(300.0, 1e4, 100.0) == 200.0
    assert clicks_of_round(-500.0, 1e4, 100.0) == 10.0
    assert clicks_of_round(-500.0, 1e4, -3.0) > 0


def test_centred_reports_are_shorter() -> None:
    """Where texts lie near their items, as they do, a centred report has less norm to clip."""
    rng = np.random.default_rng(1)
    items = random_vectors(rng, 5, DIM)
    noisy = items + rng.normal(0, 25, items.shape)
    vectors = np.round(127 * noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.int8)
    own = np.arange(5, dtype=np.int32)[:, None]
    clicks = Clicks(vectors, own, own, own.astype(np.int8), items)
    plain, centred = (
        signal.reports(signal.layout(5, DIM), clicks).squared_norm
        for signal in (Prototypes(centre=0.0), Prototypes())
    )
    assert (centred < 0.7 * plain).all()
