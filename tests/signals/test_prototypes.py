"""What a device says of its clicks in the signal `prototypes`, and how the sum is read."""

import math

import numpy as np
import pytest
from signal_examples import example_clicks, example_layout, one_click

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import decode
from fedbert.signals.prototypes.contribution import (
    centres_of,
    prototype_layout,
    prototype_reports,
    split_sum,
)
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import ReportLayout, report_sum
from fedbert.signals.signal import Clicks
from fedbert.signals.sketch import sketch

SIGNAL = Prototypes()


def _read(layout: ReportLayout, clicks: Clicks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sum of reports as sums by item, clicks by item, and clicks by rank."""
    own, ranks = layout.split(decode(report_sum(SIGNAL, layout, clicks), layout.scale))
    return *split_sum(layout.signal, own), ranks / (layout.gamma or 1.0)


@pytest.mark.parametrize("rows", [None, 3])
def test_dense_vectors_sums_and_norms_agree(rows: int | None) -> None:
    """The sum is that of the dense vectors, and the squared norm theirs, to the integer."""
    layout, clicks = prototype_layout(7, 5, beta=0.3, rows=rows), example_clicks(50)
    reports, one = prototype_reports(layout, clicks), np.ones(50)
    assert np.array_equal(reports.dense(one).sum(0), reports.sum(one))
    assert np.array_equal((reports.dense(one) ** 2).sum(1), reports.squared_norm)


def test_two_clicks_on_one_item_are_one_entry() -> None:
    """Opposite texts of one item cancel before clipping; the count stays."""
    layout = example_layout(2, 2, beta=1.0, gamma=0.0, clip_norm=10.0)
    clicks = Clicks(
        np.array([[127, 0], [-127, 0]], np.int8),
        np.array([[0, 1]], np.int32),
        np.array([[1, 1]], np.int32),
        np.array([[-1, -1]], np.int8),
        np.zeros((2, 2), np.int8),
    )
    sums, counts, ranks = _read(layout, clicks)
    assert not sums.any()
    assert counts == pytest.approx([0, 2], abs=1e-4)
    assert not ranks.any()


def test_split_sum_reads_clicks_back() -> None:
    """Unclipped sums come back as centred text vectors, clicks and ranks, to the fixed-point step."""
    clicks = example_clicks(50)
    layout = example_layout(clip_norm=100.0)
    sums, counts, ranks = _read(layout, clicks)
    clicked = clicks.item >= 0
    assert counts == pytest.approx(np.bincount(clicks.item[clicked], minlength=7), abs=1e-2)
    seen = np.minimum(clicks.rank[clicked & (clicks.rank >= 0)], RANK_BINS - 1)
    assert ranks == pytest.approx(np.bincount(seen, minlength=RANK_BINS), abs=1e-2)
    expected = np.zeros((7, 5))
    np.add.at(expected, clicks.item[clicked], clicks.vectors[clicks.text[clicked]] / 127)
    expected -= counts[:, None] * centres_of(layout.signal, clicks.items) / 127
    assert sums == pytest.approx(expected, abs=1e-2)


def test_a_sketch_is_fixed_and_spreads_items() -> None:
    """A large catalogue shares 512 rows; signs are even, all rows are used, and an item reads its own sum."""
    layout = example_layout(5000, 8, beta=0.1, gamma=0.1)
    rows, signs = sketch(layout.signal)
    assert layout.signal.rows == 512
    assert np.unique(rows).size == 512
    assert abs(signs.mean()) < 0.05
    assert layout.bytes_up == 4 * (512 * 9 + 20)
    sums, counts, _ = _read(layout, one_click([40] * 8, 4321, 0))
    assert (sums[4321] > 0).all()
    assert counts[4321] > 0


def test_bad_layouts_are_refused() -> None:
    """Each setting out of range gets one line with its name."""
    for name, call in {
        "items": lambda: prototype_layout(0, 4),
        "dim": lambda: prototype_layout(3, 0),
        "beta": lambda: prototype_layout(3, 4, beta=-1.0),
        "rows": lambda: prototype_layout(3, 4, rows=4),
        "centre": lambda: prototype_layout(3, 4, centre=1.5),
    }.items():
        with pytest.raises(FedbertError, match=rf"^{name}\(="):
            call()
    with pytest.raises(FedbertError, match=r"^beta\("):
        prototype_layout(3, 4, beta=math.nan)
    with pytest.raises(FedbertError, match=r"^beta\(=0.0\) must be > 0 where texts are centred"):
        prototype_layout(3, 4, beta=0.0)


def test_a_centred_text_is_the_text_less_a_part_of_its_item() -> None:
    """Of text (100, 0) and item (80, 96), a quarter: (80, -24) is sent, with the count's weight beside it."""
    layout = prototype_layout(2, 2, beta=1.0, centre=0.25)
    items = np.array([[127, 0], [80, 96]], np.int8)
    one = np.zeros((1, 1), np.int32)
    clicks = Clicks(np.array([[100, 0]], np.int8), one, one + 1, one.astype(np.int8), items)
    reports = prototype_reports(layout, clicks)
    assert reports.dense(np.ones(1)).tolist() == [[0, 0, 80, -24, 0, 127]]
    assert reports.squared_norm.tolist() == [80**2 + 24**2 + 127**2]


def test_wide_centred_vectors_add_up_exactly() -> None:
    """At width 2047, whose squares pass float32 and int32, and a centre of 1: the norm is still exact."""
    layout = prototype_layout(1, 2047, beta=1 / 127, centre=1.0)
    two = np.zeros((1, 2), np.int32)
    clicks = Clicks(
        np.full((1, 2047), 127, np.int8), two, two, two.astype(np.int8), np.full((1, 2047), -127, np.int8)
    )
    assert prototype_reports(layout, clicks).squared_norm.tolist() == [2047 * 508**2 + 4]
