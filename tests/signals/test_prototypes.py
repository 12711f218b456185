"""A device's vector and the exact sum over devices, beside a plain reference."""

import math
from itertools import pairwise

import numpy as np
import pytest

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import decode, wrap
from fedbert.privacy.secure_sum import masked_vector, modular_sum, neighbour_graph, unmask
from fedbert.signals.prototypes import (
    RANK_BINS,
    SignalLayout,
    contribution_sum,
    dense_contributions,
    signal_layout,
    sketch,
    split_sum,
)

Clicks = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _layout(items: int = 7, dim: int = 5, clip_norm: float = 1.0, rows: int | None = None) -> SignalLayout:
    return signal_layout(items, dim, beta=0.3, gamma=0.2, clip_norm=clip_norm, largest_cohort=1000, rows=rows)


def _clicks(devices: int, items: int = 7, dim: int = 5, per_device: int = 4, seed: int = 0) -> Clicks:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, dim))
    vectors = np.round(127 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.int8)
    shape = (devices, per_device)
    text = rng.integers(0, 30, shape).astype(np.int32)
    item = rng.integers(-1, items, shape).astype(np.int32)
    rank = rng.integers(-1, 25, shape).astype(np.int8)
    return vectors, text, item, rank


def _plain_device(layout: SignalLayout, clicks: Clicks, device: int) -> list[int]:
    """One device as in a textbook: add up its clicks, clip the whole vector, truncate."""
    vectors, text, item, rank = clicks
    rows, signs = sketch(layout)
    whole = [0] * layout.size
    split = layout.rows * layout.dim
    for t, i, r in zip(text[device], item[device], rank[device], strict=True):
        if i < 0:
            continue
        row, sign = int(rows[i]), int(signs[i])
        for place in range(layout.dim):
            whole[row * layout.dim + place] += sign * int(vectors[t, place])
        whole[split + row] += sign * round(layout.beta * 127)
        if r >= 0:
            whole[split + layout.rows + min(int(r), RANK_BINS - 1)] += round(layout.gamma * 127)
    squares = sum(value * value for value in whole)
    norm = math.sqrt(max(squares, 1)) * (1 / 127)
    factor = min(1.0, layout.clip_norm / norm) * (1 / 127 * layout.scale * (1 - 2.0**-40))
    return [math.trunc(value * factor) for value in whole]


@pytest.mark.parametrize("rows", [None, 3, 1])
@pytest.mark.parametrize("clip_norm", [0.5, 2.0, 100.0])
def test_the_fast_sum_is_the_plain_sum(rows: int | None, clip_norm: float) -> None:
    """Without dense vectors the sum has the bits of: one dense vector a device, clip, truncate, add."""
    layout, clicks = _layout(clip_norm=clip_norm, rows=rows), _clicks(40)
    plain = np.array([_plain_device(layout, clicks, device) for device in range(40)])
    assert np.array_equal(dense_contributions(layout, *clicks), plain)
    assert np.array_equal(contribution_sum(layout, *clicks), plain.sum(0))


def test_no_device_exceeds_the_clip_norm() -> None:
    """The norm of what any device sends is at most clip norm times scale, and a full one comes close."""
    layout, clicks = _layout(clip_norm=1.0), _clicks(200)
    squares = (dense_contributions(layout, *clicks) ** 2).sum(1)
    assert squares.max() <= layout.scale**2
    assert squares.max() > 0.999 * layout.scale**2


def test_the_sum_does_not_depend_on_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any cut of the devices, and any block size, gives the same integers."""
    layout, (vectors, *columns) = _layout(), _clicks(101)
    whole = contribution_sum(layout, vectors, *columns)
    cuts = [0, 13, 14, 60, 101]
    parts = [
        contribution_sum(layout, vectors, *(column[a:b] for column in columns)) for a, b in pairwise(cuts)
    ]
    assert np.array_equal(sum(parts), whole)
    monkeypatch.setattr("fedbert.signals.prototypes._BLOCK_VALUES", 60)
    assert np.array_equal(contribution_sum(layout, vectors, *columns), whole)


def test_two_clicks_on_one_item_are_one_entry() -> None:
    """Opposite texts of one item cancel before clipping; the count stays."""
    vectors = np.array([[127, 0], [-127, 0]], np.int8)
    layout = signal_layout(2, 2, beta=1.0, gamma=0.0, clip_norm=10.0, largest_cohort=1)
    total = contribution_sum(
        layout,
        vectors,
        np.array([[0, 1]], np.int32),
        np.array([[1, 1]], np.int32),
        np.array([[-1, -1]], np.int8),
    )
    sums, counts, ranks = split_sum(layout, decode(total, layout.scale))
    assert not sums.any()
    assert counts == pytest.approx([0, 2], abs=1e-4)
    assert not ranks.any()


def test_split_sum_reads_clicks_back() -> None:
    """Unclipped sums come back as text vectors, clicks and ranks, to the fixed-point step."""
    layout, clicks = _layout(clip_norm=100.0), _clicks(50)
    vectors, text, item, rank = clicks
    sums, counts, ranks = split_sum(layout, decode(contribution_sum(layout, *clicks), layout.scale))
    clicked = item >= 0
    assert counts == pytest.approx(np.bincount(item[clicked], minlength=7), abs=1e-2)
    seen = np.minimum(rank[clicked & (rank >= 0)], RANK_BINS - 1)
    assert ranks == pytest.approx(np.bincount(seen, minlength=RANK_BINS), abs=1e-2)
    expected = np.zeros((7, 5))
    np.add.at(expected, item[clicked], vectors[text[clicked]] / 127)
    assert sums == pytest.approx(expected, abs=1e-2)


def test_a_sketch_is_fixed_and_spreads_items() -> None:
    """A large catalogue shares 512 rows; signs are even, all rows are used, and an item reads its own sum."""
    layout = signal_layout(5000, 8, beta=0.1, gamma=0.1, clip_norm=1.0, largest_cohort=10)
    rows, signs = sketch(layout)
    assert layout.rows == 512
    assert np.unique(rows).size == 512
    assert abs(signs.mean()) < 0.05
    assert layout.bytes_up == 4 * (512 * 9 + 20)
    total = contribution_sum(
        layout,
        np.full((1, 8), 40, np.int8),
        np.zeros((1, 1), np.int32),
        np.full((1, 1), 4321, np.int32),
        np.zeros((1, 1), np.int8),
    )
    sums, counts, _ = split_sum(layout, decode(total, layout.scale))
    assert (sums[4321] > 0).all()
    assert counts[4321] > 0


def test_really_masked_devices_give_the_fast_sum() -> None:
    """Dense vectors, masked one by one with a device dropping out, sum to the survivors' fast sum."""
    layout, (vectors, *columns) = _layout(), _clicks(12)
    sent = dense_contributions(layout, vectors, *columns)
    parties = list(range(100, 112))
    graph = neighbour_graph(0, 1, parties)
    masked = [
        masked_vector(wrap(row), party, graph[party], 0, 1) for row, party in zip(sent, parties, strict=True)
    ]
    total = unmask(modular_sum(masked[:-1]), parties[:-1], graph, 0, 1)
    fast = contribution_sum(layout, vectors, *(column[:-1] for column in columns))
    assert np.array_equal(total, wrap(fast))
    assert np.array_equal(decode(total, layout.scale), decode(fast, layout.scale))


def test_devices_without_clicks_add_nothing() -> None:
    """No device, no click slot, or empty slots only: the sum is zero."""
    layout, (vectors, *_) = _layout(), _clicks(1)
    for devices, slots in ((0, 4), (3, 0), (3, 4)):
        text = np.zeros((devices, slots), np.int32)
        total = contribution_sum(layout, vectors, text, text - 1, (text - 1).astype(np.int8))
        assert total.shape == (layout.size,)
        assert not total.any()
        assert not dense_contributions(layout, vectors, text, text - 1, (text - 1).astype(np.int8)).any()


def test_bad_layouts_are_refused() -> None:
    """Each setting out of range gets one line with its name."""
    good = {"beta": 0.1, "gamma": 0.1, "clip_norm": 1.0, "largest_cohort": 5}
    for name, call in {
        "items": lambda: signal_layout(0, 4, **good),
        "dim": lambda: signal_layout(3, 257, **good),
        "beta": lambda: signal_layout(3, 4, **{**good, "beta": -1.0}),
        "gamma": lambda: signal_layout(3, 4, **{**good, "gamma": math.nan}),
        "rows": lambda: signal_layout(3, 4, rows=4, **good),
        "clip_norm": lambda: signal_layout(3, 4, **{**good, "clip_norm": 0.0}),
    }.items():
        with pytest.raises(FedbertError, match=rf"^{name}\(="):
            call()
