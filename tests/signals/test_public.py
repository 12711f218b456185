"""The signal `public`: phones send nothing, the server still updates."""

import numpy as np
from signal_examples import example_clicks

from fedbert.signals.prototypes.public import Public
from fedbert.signals.signal import NoisySum

ITEMS, DIM, TEXTS = 7, 5, 12


class _View:
    """Random unit vectors for names and public texts; each release's space is turned against the last."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.names = self._unit(rng.normal(size=(ITEMS, DIM)))
        self._texts = self._unit(rng.normal(size=(TEXTS, DIM)))
        self.text_items = np.arange(TEXTS) % ITEMS

    @staticmethod
    def _unit(vectors: np.ndarray) -> np.ndarray:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def texts(self, release: int) -> np.ndarray:
        return np.roll(self._texts, release, axis=1)


def test_reports_say_nothing_of_the_clicks() -> None:
    """Whatever a device clicked, it sends the same zero."""
    signal = Public()
    layout = signal.layout(ITEMS, DIM)
    reports = signal.reports(layout, example_clicks(9, ITEMS, DIM))
    assert not reports.dense(np.ones(9)).any()
    assert layout.size == 1


def test_targets_do_not_depend_on_the_sum() -> None:
    """Noise in the one coordinate, or a sum that someone made up, teaches nothing."""
    signal, view = Public(), _View()
    layout = signal.layout(ITEMS, DIM)
    start = signal.start(layout, view)
    found = [
        signal.learn(layout, start, NoisySum(1, 0, np.array([value]), 3.0, 10.0, 3.0), view)[1]
        for value in (0.0, 1e6)
    ]
    assert np.array_equal(found[0].vectors, found[1].vectors)
    assert np.array_equal(found[0].weights, found[1].weights)
    assert found[0].weights.any()


def test_targets_follow_a_release_into_its_space() -> None:
    """In a space that is only turned, targets are the same ones turned."""
    signal, view = Public(), _View()
    layout = signal.layout(ITEMS, DIM)
    memory, first = signal.learn(
        layout, signal.start(layout, view), NoisySum(1, 0, np.zeros(1), 1.0, 9.0, 1.0), view
    )
    _, second = signal.learn(layout, memory, NoisySum(2, 1, np.zeros(1), 1.0, 9.0, 1.0), view)
    assert np.allclose(np.roll(first.vectors, 1, axis=1), second.vectors, atol=1e-5)
