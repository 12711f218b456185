"""The signal `delta`: what a device sends beside a plain reference, and the server's step."""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from signal_examples import example_clicks, random_vectors

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import decode
from fedbert.signals.delta import gradient
from fedbert.signals.delta.gradient import delta_layout, delta_reports, weights_by_distance
from fedbert.signals.delta.signal import Delta
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import ReportLayout, dense_reports, report_layout, report_sum
from fedbert.signals.signal import UNIT, Clicks, NoisySum
from fedbert.signals.sketch import sketch

SIGNAL = Delta(learning_rate=10.0)


def _layout(clip_norm: float, rows: int | None = None) -> ReportLayout:
    return report_layout(delta_layout(7, 5, rows=rows), clip_norm=clip_norm, largest_cohort=1000, gamma=0.2)


def _plain_device(layout: ReportLayout, clicks: Clicks, device: int) -> list[int]:
    """One device as in a textbook, click by click and item by item, in whole numbers and fractions."""
    own = layout.signal
    rows, signs = sketch(own)
    sums = [[0] * own.dim for _ in range(own.rows)]
    ranks = [0] * RANK_BINS
    for t, i, r in zip(clicks.text[device], clicks.item[device], clicks.rank[device], strict=True):
        if i < 0:
            continue
        text = [int(value) for value in clicks.vectors[t]]
        products = [
            sum(a * int(b) for a, b in zip(text, name, strict=True)) for name in clicks.items.tolist()
        ]
        weights = [
            round(2**20 * math.exp(-own.sharpness * (max(products) - each) / 127**2)) for each in products
        ]
        for item, weight in enumerate(weights):
            chance = math.floor(Fraction(16 * weight, sum(weights)) + Fraction(1, 2))
            push = chance - 16 * (item == i)
            for place in range(own.dim):
                sums[int(rows[item])][place] += push * int(signs[item]) * text[place]
        if r >= 0:
            ranks[min(int(r), RANK_BINS - 1)] += round(layout.gamma * 127)
    whole = [round(Fraction(value, 16)) for row in sums for value in row] + ranks
    norm = math.sqrt(max(sum(value * value for value in whole), 1)) * UNIT
    factor = min(1.0, layout.clip_norm / norm) * (UNIT * layout.scale * (1 - 2.0**-40))
    return [math.trunc(value * factor) for value in whole]


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("clip_norm", [0.5, 100.0])
def test_the_fast_sum_is_the_plain_sum(rows: int | None, clip_norm: float) -> None:
    """All devices at once have the bits of: device by device, click by click, clip, truncate, add."""
    layout, clicks = _layout(clip_norm, rows), example_clicks(40)
    plain = np.array([_plain_device(layout, clicks, device) for device in range(40)])
    assert np.array_equal(dense_reports(SIGNAL, layout, clicks), plain)
    assert np.array_equal(report_sum(SIGNAL, layout, clicks), plain.sum(0))


def test_the_sum_does_not_depend_on_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any cut of the devices, and any block of devices or of texts, gives the same integers."""
    layout, clicks = _layout(1.0), example_clicks(101)
    whole = report_sum(SIGNAL, layout, clicks)
    parts = [report_sum(SIGNAL, layout, clicks.take(slice(a, b))) for a, b in pairwise([0, 13, 14, 60, 101])]
    assert np.array_equal(sum(parts), whole)
    monkeypatch.setattr("fedbert.signals.report._BLOCK_VALUES", 60)
    monkeypatch.setattr(gradient, "_LOGITS", 20)
    assert np.array_equal(report_sum(SIGNAL, layout, clicks), whole)


def test_it_is_the_gradient_of_the_cross_entropy() -> None:
    """To the step of a chance it is the derivative of -log softmax(20 V x)[i] / 20 by V, by differences."""
    clicks = example_clicks(1, per_device=1, seed=0)
    assert clicks.item[0, 0] >= 0
    text = clicks.vectors[clicks.text[0, 0]] / 127
    names = clicks.items / 127

    def loss(matrix: np.ndarray) -> float:
        products = 20 * matrix @ text
        return float(np.log(np.exp(products).sum()) - products[clicks.item[0, 0]]) / 20

    expected = np.zeros(names.shape)
    for place in np.ndindex(*names.shape):
        up, down = names.copy(), names.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        expected[place] = (loss(up) - loss(down)) / 2e-5
    found = delta_reports(delta_layout(7, 5), clicks).dense(np.ones(1)).reshape(names.shape) / 127
    assert np.abs(expected).max() > 0.3
    assert found == pytest.approx(expected, abs=1 / 32 + 1 / 127)


def test_what_the_release_knows_already_is_not_sent() -> None:
    """A click on the item whose vector is the text's own, all others far off, has a gradient of zero."""
    names = np.array([[127, 0], [-127, 0], [0, 127]], np.int8)
    own = np.zeros((1, 1), np.int32)
    clicks = Clicks(names, own, own, own.astype(np.int8), names)
    reports = delta_reports(delta_layout(3, 2), clicks)
    assert not reports.dense(np.ones(1)).any()
    assert reports.squared_norm.tolist() == [0]
    missed = delta_reports(delta_layout(3, 2), Clicks(names, own, own + 2, own.astype(np.int8), names))
    assert missed.dense(np.ones(1)).tolist() == [[127, 0, 0, 0, -127, 0]]


def test_weights_fall_off_as_the_exponential_and_end_in_nothing() -> None:
    """The best item weighs 2^20, one that lies a cosine of .1 below it e^-2 of that, the furthest nothing."""
    weights = weights_by_distance(20.0)
    assert weights[0] == 2**20
    assert weights[1613] == pytest.approx(2**20 * math.exp(-2), rel=1e-3)
    assert weights[-1] == 0
    assert (np.diff(weights) <= 0).all()


@dataclass(frozen=True)
class _View:
    """Public knowledge whose second release is the first, turned by a quarter."""

    names: np.ndarray
    public: np.ndarray
    turn: np.ndarray

    @property
    def text_items(self) -> np.ndarray:
        return np.full(len(self.public), -1)

    def items(self, release: int) -> np.ndarray:
        return self.names @ np.linalg.matrix_power(self.turn, release)

    def texts(self, release: int) -> np.ndarray:
        return self.public @ np.linalg.matrix_power(self.turn, release)


QUARTER = np.array([[0.0, 1.0], [-1.0, 0.0]])


def _two_items() -> _View:
    return _View(np.eye(2), np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), QUARTER)


def test_the_server_steps_against_the_mean_gradient() -> None:
    """Rate 10 and a sum of (-2, -4) over 20 expected reports: an item at (1, 0) goes to (2, 2); a second
    round in a release that lies a quarter turn on takes it along to (-2, 2) first.
    """
    layout, view = SIGNAL.layout(2, 2), _two_items()
    start = SIGNAL.start(layout, view)
    total = np.array([-2.0, -4.0, 0.0, 0.0])
    memory, targets = SIGNAL.learn(layout, start, NoisySum(1, 0, total, 0.0, 20.0, 0.0), view)
    assert targets.vectors == pytest.approx(np.array([[math.sqrt(0.5), math.sqrt(0.5)], [0.0, 1.0]]))
    assert targets.weights.tolist() == [1.0, 0.0]
    assert not start["steps"].any()
    memory, targets = SIGNAL.learn(layout, memory, NoisySum(2, 1, 0 * total, 0.0, 20.0, 0.0), view)
    assert targets.vectors == pytest.approx(
        np.array([[-math.sqrt(0.5), math.sqrt(0.5)], [-1.0, 0.0]]), abs=1e-6
    )


def test_weights_say_how_much_of_the_way_is_no_noise() -> None:
    """Noise alone gives weights near 0; against a way as long as twice the noise's, about three quarters."""
    items, dim = 200, 50
    rng = np.random.default_rng(0)
    view = _View(random_vectors(rng, items, dim) / 127, np.eye(dim), np.eye(dim))
    layout = SIGNAL.layout(items, dim)
    memory = SIGNAL.start(layout, view)
    noise = rng.normal(0, 3.0, layout.size)
    _, loud = SIGNAL.learn(layout, memory, NoisySum(1, 0, noise, 3.0, 100.0, 3.0), view)
    assert loud.weights.mean() < 0.12
    way = math.sqrt(3) * 3.0 * np.ones(layout.size)
    _, clear = SIGNAL.learn(layout, memory, NoisySum(1, 0, way + noise, 3.0, 100.0, 3.0), view)
    assert clear.weights.mean() == pytest.approx(0.75, abs=0.03)


def test_steps_lead_to_where_the_texts_are() -> None:
    """Over rounds without noise each item comes nearer to its texts, until the softmax tells them apart."""
    rng = np.random.default_rng(5)
    names, truth = random_vectors(rng, 6, 16), random_vectors(rng, 6, 16)
    view = _View(names / 127, np.eye(16), np.eye(16))
    layout = report_layout(SIGNAL.layout(6, 16), clip_norm=2.0, largest_cohort=600)
    item = np.tile(np.arange(6, dtype=np.int32), 100)[:, None]
    memory, vectors = SIGNAL.start(layout.signal, view), names / 127
    for number in range(1, 13):
        stored = np.rint(127 * vectors).astype(np.int8)
        clicks = Clicks(truth, item, item, np.zeros(item.shape, np.int8), stored)
        own, _ = layout.split(decode(report_sum(SIGNAL, layout, clicks), layout.scale))
        memory, targets = SIGNAL.learn(layout.signal, memory, NoisySum(number, 0, own, 0.0, 600.0, 0.0), view)
        vectors = targets.vectors
    before, after = ((matrix * truth / 127).sum(1) for matrix in (names / 127, vectors))
    assert (after > before + 0.2).all()
    assert after.mean() > 0.7


def test_bad_layouts_are_refused() -> None:
    """Each setting out of range gets one line with its name."""
    for name, call in {
        "items": lambda: delta_layout(0, 4),
        "dim": lambda: delta_layout(3, 1025),
        "rows": lambda: delta_layout(3, 4, rows=4),
        "sharpness": lambda: delta_layout(3, 4, sharpness=math.nan),
        "learning_rate": lambda: Delta(learning_rate=0.0).layout(3, 4),
    }.items():
        with pytest.raises(FedbertError, match=rf"^{name}\(="):
            call()
