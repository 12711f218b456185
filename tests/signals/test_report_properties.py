"""What holds for any clicks and any vectors: exact sums, and norms that clipping bounds."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signal_examples import example_clicks, example_layout, plain_device

from fedbert.privacy.mechanisms import clip_factors, fixed_point_scale, to_fixed_point
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.report import dense_reports, report_sum
from fedbert.signals.signal import Clicks

SIGNAL = Prototypes()
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 8))


def _rows(clicks: Clicks, order: list[int]) -> Clicks:
    """Return the clicks of some devices, in any order."""
    text, item, rank = clicks.text[order], clicks.item[order], clicks.rank[order]
    return Clicks(clicks.vectors, text, item, rank, clicks.items)


@given(
    seed=st.integers(0, 2**32 - 1),
    devices=st.integers(1, 12),
    rows=st.sampled_from([None, 3]),
    clip_norm=st.floats(0.01, 50),
    data=st.data(),
)
def test_a_sum_is_exact_in_any_order_and_any_split(
    seed: int, devices: int, rows: int | None, clip_norm: float, data: st.DataObject
) -> None:
    """The sum is that of textbook devices, whatever their order and into how many shards they are cut."""
    layout = example_layout(clip_norm=clip_norm, rows=rows)
    clicks = example_clicks(devices, seed=seed)
    plain = np.array([plain_device(layout, clicks, device) for device in range(devices)])
    assert np.array_equal(report_sum(SIGNAL, layout, clicks), plain.sum(axis=0))
    order = data.draw(st.permutations(range(devices)))
    cuts = sorted(data.draw(st.lists(st.integers(0, devices), max_size=4)))
    shards = [order[low:high] for low, high in zip([0, *cuts], [*cuts, devices], strict=True)]
    parts = [report_sum(SIGNAL, layout, _rows(clicks, shard)) for shard in shards]
    assert np.array_equal(np.sum(parts, axis=0), plain.sum(axis=0))


@given(seed=st.integers(0, 2**32 - 1), clip_norm=st.floats(0.001, 1000))
def test_no_report_is_longer_than_the_clip_norm(seed: int, clip_norm: float) -> None:
    """Squared in whole numbers, a device's vector is at most clip norm times scale, at any clip norm."""
    layout = example_layout(clip_norm=clip_norm)
    for row in dense_reports(SIGNAL, layout, example_clicks(8, seed=seed)):
        assert sum(int(value) ** 2 for value in row) <= (clip_norm * layout.scale) ** 2


@given(
    vectors=arrays(
        np.int64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.integers(-999, 999)
    ),
    clip_norm=st.floats(0.01, 100),
    cohort=st.integers(1, 10**8),
)
def test_clipping_twice_is_clipping_once(vectors: np.ndarray, clip_norm: float, cohort: int) -> None:
    """A clipped vector is within the bound, so clipping it again takes one step off a coordinate at most,
    which is what rounding costs; no coordinate changes its sign or grows.
    """
    scale = fixed_point_scale(clip_norm, cohort)
    once = to_fixed_point(vectors, clip_factors((vectors**2).sum(axis=1), 1 / 127, clip_norm, scale))
    assert all(sum(int(value) ** 2 for value in row) <= (clip_norm * scale) ** 2 for row in once)
    squares = np.array([sum(int(value) ** 2 for value in row) for row in once])
    twice = to_fixed_point(once, clip_factors(squares, 1 / scale, clip_norm, scale))
    for after, before, original in ((once, vectors, vectors), (twice, once, vectors)):
        assert (after * original >= 0).all()
        assert (np.abs(after) <= np.abs(before) * max(1.0, scale / 127)).all()
    assert np.abs(twice - once).max() <= 1


@given(clip_norm=st.floats(1e-3, 1e3), cohort=st.integers(1, 10**8), noise=st.floats(0, 1e4))
def test_the_scale_is_the_finest_that_cannot_wrap(clip_norm: float, cohort: int, noise: float) -> None:
    """A power of two, at most 2^20, that keeps any sum within 32 bits; twice that would not."""
    scale = fixed_point_scale(clip_norm, cohort, noise)
    assert math.log2(scale).is_integer()
    assert (cohort * clip_norm + noise) * scale < 2**31
    assert scale == 2.0**20 or (cohort * clip_norm + noise) * 2 * scale >= 2**31
