"""Random clicks, and one device's report as in a textbook, for the tests of signals."""

import math

import numpy as np

from fedbert.signals.prototypes.contribution import PrototypeLayout, prototype_layout
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import ReportLayout, report_layout
from fedbert.signals.signal import UNIT, Clicks
from fedbert.signals.sketch import sketch


def example_layout(
    items: int = 7,
    dim: int = 5,
    *,
    beta: float = 0.3,
    gamma: float = 0.2,
    clip_norm: float = 1.0,
    rows: int | None = None,
    centre: float = 0.4,
) -> ReportLayout:
    """Return the layout of reports that carry prototypes."""
    signal = prototype_layout(items, dim, beta=beta, rows=rows, centre=centre)
    return report_layout(signal, clip_norm=clip_norm, largest_cohort=1000, gamma=gamma)


def example_clicks(devices: int, items: int = 7, dim: int = 5, per_device: int = 4, seed: int = 0) -> Clicks:
    """Return random clicks: some slots empty, some ranks unknown, some beyond the last bin."""
    rng = np.random.default_rng(seed)
    vectors, names = (random_vectors(rng, rows, dim) for rows in (30, items))
    shape = (devices, per_device)
    return Clicks(
        vectors,
        rng.integers(0, 30, shape).astype(np.int32),
        rng.integers(-1, items, shape).astype(np.int32),
        rng.integers(-1, 25, shape).astype(np.int8),
        names,
    )


def random_vectors(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    """Return int8 vectors `[rows, dim]` of length 127 in random directions."""
    vectors = rng.normal(size=(rows, dim))
    return np.round(127 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.int8)


def one_click(vector: list[int], item: int, rank: int = -1) -> Clicks:
    """Return the clicks of one device that clicked once."""
    return Clicks(
        np.array([vector], np.int8),
        np.zeros((1, 1), np.int32),
        np.full((1, 1), item, np.int32),
        np.full((1, 1), rank, np.int8),
        np.zeros((item + 1, len(vector)), np.int8),
    )


def plain_device(layout: ReportLayout, clicks: Clicks, device: int) -> list[int]:
    """One device as in a textbook: centre and add up its clicks, clip the whole vector, truncate."""
    own = layout.signal
    assert isinstance(own, PrototypeLayout)
    rows, signs = sketch(own)
    whole = [0] * layout.size
    split = own.rows * own.dim
    for t, i, r in zip(clicks.text[device], clicks.item[device], clicks.rank[device], strict=True):
        if i < 0:
            continue
        row, sign = int(rows[i]), int(signs[i])
        for place in range(own.dim):
            centre = round(own.centre * int(clicks.items[i, place]))
            whole[row * own.dim + place] += sign * (int(clicks.vectors[t, place]) - centre)
        whole[split + row] += sign * round(own.beta * 127)
        if r >= 0:
            whole[own.size + min(int(r), RANK_BINS - 1)] += round(layout.gamma * 127)
    squares = sum(value * value for value in whole)
    norm = math.sqrt(max(squares, 1)) * UNIT
    factor = min(1.0, layout.clip_norm / norm) * (UNIT * layout.scale * (1 - 2.0**-40))
    return [math.trunc(value * factor) for value in whole]
