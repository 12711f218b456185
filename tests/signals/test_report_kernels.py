"""Compiled loops give, bit for bit, the reports that plain numpy gives over all slots of all phones."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signal_examples import example_clicks, example_layout

from fedbert.privacy.mechanisms import clip_factors, to_fixed_point
from fedbert.signals.prototypes.contribution import PrototypeLayout, centres_of, prototype_reports
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.ranks import RANK_BINS, rank_reports
from fedbert.signals.report import ReportLayout, dense_reports, report_sum
from fedbert.signals.signal import UNIT, Clicks
from fedbert.signals.sketch import sketch


@dataclass(frozen=True)
class _Plain:
    """The integers of each device, `[device, size]`, before clipping."""

    own: np.ndarray
    ranks: np.ndarray

    def factors(self, layout: ReportLayout, weights: np.ndarray | None) -> np.ndarray:
        """Return what clips and weighs each device's whole vector."""
        squares = (self.own**2).sum(axis=1) + (self.ranks**2).sum(axis=1)
        factors = clip_factors(squares, UNIT, layout.clip_norm, layout.scale)
        return factors if weights is None else factors * weights


def _plain(layout: ReportLayout, clicks: Clicks) -> _Plain:
    """Return the integers of all devices, with an array of every slot's vectors and dense vectors."""
    own, clicked = layout.signal, (clicks.item >= 0) & (clicks.text >= 0)
    assert isinstance(own, PrototypeLayout)
    item_row, item_sign = sketch(own)
    item, text = np.where(clicked, clicks.item, 0), np.where(clicked, clicks.text, 0)
    row, sign = item_row[item], np.where(clicked, item_sign[item], 0)
    vectors = clicks.vectors[text].astype(np.int64) - centres_of(own, clicks.items)[item]
    device = np.arange(len(item))[:, None]
    sums = np.zeros((len(item), own.rows, own.dim), np.int64)
    np.add.at(sums, (device, row), sign[..., None] * vectors)
    counts = np.zeros((len(item), own.rows), np.int64)
    np.add.at(counts, (device, row), own.beta_units * sign)
    ranks = np.zeros((len(item), RANK_BINS), np.int64)
    known = clicked & (clicks.rank >= 0)
    bins = np.clip(clicks.rank.astype(np.int64), 0, RANK_BINS - 1)
    np.add.at(ranks, (device, bins), round(layout.gamma / UNIT) * known)
    return _Plain(np.concatenate([sums.reshape(len(item), own.rows * own.dim), counts], axis=1), ranks)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[ReportLayout, Clicks, np.ndarray | None]:
    """Return any layout, clicks (all slots filled, some or none; also of zero length) and weights."""
    items, dim = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    beta, gamma = draw(st.sampled_from([0.0, 0.2, 100.0])), draw(st.sampled_from([0.0, 0.1, 100.0]))
    layout = example_layout(
        items,
        dim,
        beta=beta,
        gamma=gamma,
        clip_norm=draw(st.floats(1e-3, 1e3)),
        rows=draw(st.none() | st.integers(1, items)),
        centre=draw(st.sampled_from([0.0, 0.4, 0.625, 1.0])) if beta else 0.0,
    )
    shape, random = (
        (draw(st.integers(0, 6)), draw(st.integers(1, 8))),
        np.random.default_rng(draw(st.integers(0, 9**9))),
    )
    longest, empty = draw(st.sampled_from([0, 1, 127])), draw(st.sampled_from([0.0, 0.5, 1.0]))
    texts, names = (
        random.integers(-longest, longest + 1, (rows, dim)).astype(np.int8) for rows in (5, items)
    )
    of_text, of_item = random.integers(0, 5, shape), random.integers(0, items, shape)
    of_text[random.random(shape) < empty / 2] = -1
    of_item[random.random(shape) < empty] = -1
    clicks = Clicks(
        texts,
        of_text.astype(np.int32),
        of_item.astype(np.int32),
        random.integers(-1, 128, shape).astype(np.int8),
        names,
    )
    weights = draw(st.none() | arrays(np.float64, shape[0], elements=st.floats(0, 1)))
    return layout, clicks, weights


@given(_cases())
def test_reports_are_those_of_plain_numpy(case: tuple[ReportLayout, Clicks, np.ndarray | None]) -> None:
    """Norms, dense vectors and sums have the bits of numpy's, weighed or not, clipped or not."""
    layout, clicks, weights = case
    plain, own, ranks = (
        _plain(layout, clicks),
        prototype_reports(layout.signal, clicks),
        rank_reports(clicks, layout.gamma),
    )
    factors = plain.factors(layout, weights)
    for reports, integers in ((own, plain.own), (ranks, plain.ranks)):
        assert np.array_equal(reports.squared_norm, (integers**2).sum(axis=1))
        clipped = to_fixed_point(integers, factors)
        assert np.array_equal(reports.dense(factors), clipped)
        assert np.array_equal(reports.sum(factors), clipped.sum(axis=0))
    whole = to_fixed_point(np.concatenate([plain.own, plain.ranks], axis=1), factors)
    assert np.array_equal(dense_reports(Prototypes(), layout, clicks, weights), whole)
    assert np.array_equal(report_sum(Prototypes(), layout, clicks, weights), whole.sum(axis=0))


def test_any_order_in_memory_gives_the_same() -> None:
    """Columns first, every second row, read only: the loops get the numbers in the order they want."""
    layout, clicks = example_layout(), example_clicks(40)
    expected = report_sum(Prototypes(), layout, clicks.take(slice(None, None, 2)))
    turned = {
        name: np.asfortranarray(column)[::2] for name, column in vars(clicks).items() if column.ndim == 2
    }
    turned |= {"vectors": np.asfortranarray(clicks.vectors), "items": np.asfortranarray(clicks.items)}
    assert not turned["text"].flags.c_contiguous
    for column in turned.values():
        column.flags.writeable = False
    assert np.array_equal(report_sum(Prototypes(), layout, Clicks(**turned)), expected)


@pytest.mark.parametrize(("what", "other"), [("text", "item"), ("item", "text")])
def test_a_click_without_a_vector_is_refused(what: str, other: str) -> None:
    """A number past the last vector raises before compiled loops read there; an empty slot's is not read."""
    layout, clicks = example_layout(), example_clicks(3)
    numbers = {what: getattr(clicks, what).copy(), other: getattr(clicks, other).copy()}
    numbers[what][1, 2], numbers[other][1, 2] = 1000, 0
    with pytest.raises(IndexError, match=rf"^{what} 1000 of a click"):
        report_sum(Prototypes(), layout, replace(clicks, **numbers))
    numbers[other][1, 2] = -1
    without = report_sum(Prototypes(), layout, replace(clicks, **numbers))
    numbers[what][1, 2] = -1
    assert np.array_equal(without, report_sum(Prototypes(), layout, replace(clicks, **numbers)))
