"""A device's whole report and the exact sum over devices, beside a plain reference."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from signal_examples import example_clicks, example_layout, plain_device

from fedbert.errors import FedbertError
from fedbert.privacy.mechanisms import decode, wrap
from fedbert.privacy.secure_sum import (
    KEY_BYTES,
    deal_keys,
    masked_vector,
    modular_sum,
    neighbour_graph,
    unmask,
)
from fedbert.signals.delta.signal import Delta
from fedbert.signals.prototypes.contribution import PrototypeLayout, PrototypeReports, prototype_layout
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.report import dense_reports, report_layout, report_sum
from fedbert.signals.signal import Clicks, Signal

SIGNAL = Prototypes()


@pytest.mark.parametrize("rows", [None, 3, 1])
@pytest.mark.parametrize("clip_norm", [0.5, 2.0, 100.0])
def test_the_fast_sum_is_the_plain_sum(rows: int | None, clip_norm: float) -> None:
    """Without dense vectors the sum has the bits of: one dense vector a device, clip, truncate, add."""
    layout, clicks = example_layout(clip_norm=clip_norm, rows=rows), example_clicks(40)
    plain = np.array([plain_device(layout, clicks, device) for device in range(40)])
    assert np.array_equal(dense_reports(SIGNAL, layout, clicks), plain)
    assert np.array_equal(report_sum(SIGNAL, layout, clicks), plain.sum(0))


def test_no_device_exceeds_the_clip_norm() -> None:
    """The norm of what any device sends is at most clip norm times scale, and a full one comes close."""
    layout, clicks = example_layout(clip_norm=1.0), example_clicks(200)
    squares = (dense_reports(SIGNAL, layout, clicks) ** 2).sum(1)
    assert squares.max() <= layout.scale**2
    assert squares.max() > 0.999 * layout.scale**2


def test_the_sum_does_not_depend_on_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any cut of the devices, and any block size, gives the same integers."""
    layout, clicks = example_layout(), example_clicks(101)
    whole = report_sum(SIGNAL, layout, clicks)
    parts = [report_sum(SIGNAL, layout, clicks.take(slice(a, b))) for a, b in pairwise([0, 13, 14, 60, 101])]
    assert np.array_equal(sum(parts), whole)
    monkeypatch.setattr("fedbert.signals.report._BLOCK_VALUES", 60)
    assert np.array_equal(report_sum(SIGNAL, layout, clicks), whole)


def test_really_masked_devices_give_the_fast_sum() -> None:
    """Dense vectors, masked one by one with a device dropping out, sum to the survivors' fast sum."""
    layout, clicks = example_layout(), example_clicks(12)
    sent = dense_reports(SIGNAL, layout, clicks)
    parties, secret = list(range(100, 112)), bytes(KEY_BYTES)
    graph = neighbour_graph(secret, 1, parties)
    keys = deal_keys(secret, 1, graph)
    masked = [masked_vector(wrap(row), party, keys[party]) for row, party in zip(sent, parties, strict=True)]
    total = unmask(modular_sum(masked[:-1]), parties[:-1], graph, keys)
    fast = report_sum(SIGNAL, layout, clicks.take(slice(0, 11)))
    assert np.array_equal(total, wrap(fast))
    assert np.array_equal(decode(total, layout.scale), decode(fast, layout.scale))


@dataclass(frozen=True)
class _Lying(Prototypes):
    """Says that its reports have no length, so that they are not clipped."""

    def reports(self, layout: PrototypeLayout, clicks: Clicks) -> PrototypeReports:
        """Return reports with a wrong norm."""
        return replace(super().reports(layout, clicks), squared_norm=np.zeros(len(clicks.item), np.int64))


def test_a_signal_that_is_not_clipped_does_not_leave() -> None:
    """A sum longer than its devices' clip norms is refused in one line."""
    layout = example_layout(clip_norm=0.05)
    with pytest.raises(
        FedbertError, match=r"^signal\(='prototypes'\) must send no more than its squared_norm"
    ):
        report_sum(_Lying(), layout, example_clicks(40))


@pytest.mark.parametrize("signal", [SIGNAL, Delta()], ids=lambda signal: signal.name)
def test_devices_without_clicks_add_nothing(signal: Signal) -> None:
    """No device, no click slot, or empty slots only: the sum is zero."""
    layout, example = report_layout(signal.layout(7, 5), clip_norm=1.0, largest_cohort=9), example_clicks(1)
    for devices, slots in ((0, 4), (3, 0), (3, 4)):
        text = np.zeros((devices, slots), np.int32)
        clicks = Clicks(example.vectors, text, text - 1, (text - 1).astype(np.int8), example.items)
        total = report_sum(signal, layout, clicks)
        assert total.shape == (layout.size,)
        assert not total.any()
        dense = dense_reports(signal, layout, clicks)
        assert dense.shape == (devices, layout.size)
        assert not dense.any()


def test_a_sum_is_cut_where_signal_and_ranks_meet() -> None:
    """The signal comes first, the ranks last, four bytes a coordinate; a sum of another size is refused."""
    layout = example_layout(items=3, dim=2)
    own, ranks = layout.split(np.arange(layout.size))
    assert own.tolist() == list(range(9))
    assert ranks.tolist() == list(range(9, 9 + RANK_BINS))
    assert layout.bytes_up == 4 * (9 + RANK_BINS)
    with pytest.raises(FedbertError, match=r"^sum\(=\(28,\)\) must have shape \(29,\)"):
        layout.split(np.zeros(28))


def test_bad_layouts_are_refused() -> None:
    """Each setting out of range gets one line with its name."""
    signal = prototype_layout(3, 4)
    for name, changed in {
        "gamma": {"gamma": math.nan},
        "clip_norm": {"clip_norm": 0.0},
        "cohort": {"largest_cohort": 0},
    }.items():
        with pytest.raises(FedbertError, match=rf"^{name}\(="):
            report_layout(signal, **{"clip_norm": 1.0, "largest_cohort": 5, "gamma": 0.1} | changed)
