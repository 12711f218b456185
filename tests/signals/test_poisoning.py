"""Phones that lie: who they are, what they send, and what alone bounds it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from signal_examples import example_clicks, example_layout, plain_device

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.randomness import Purpose, words
from fedbert.scenario import Attack, Scenario
from fedbert.signals.delta.signal import Delta
from fedbert.signals.poisoning import Phones, Poisoning, signs
from fedbert.signals.prototypes.signal import Prototypes
from fedbert.signals.report import ReportLayout, dense_reports, report_layout, report_sum
from fedbert.signals.signal import Signal


@dataclass(frozen=True)
class _Five:
    """A signal of five numbers: with the twenty ranks a report has 25, the root of which is whole."""

    size: int = 5


LAYOUT = ReportLayout(_Five(), gamma=0.0, clip_norm=1.0, scale=10.0)
HONEST = np.zeros((1, 25), np.int64)
HONEST[0, :2] = 3, -4
"""A report of norm 5 in a fixed point of ten steps."""

PHONES = Phones(7, np.array([9]))


def _lie(attack: Attack, factor: float, layout: ReportLayout = LAYOUT) -> list[int]:
    return [int(each) for each in Poisoning(0.1, attack, factor).lies(layout, HONEST, PHONES, 3)[0]]


def test_lies_are_as_long_as_asked() -> None:
    """Two clip norms are 20 steps: boosted, turned, or alike in all 25 coordinates."""
    assert _lie("boost", 2) == [12, -16] + [0] * 23
    assert _lie("flip", 2) == [-12, 16] + [0] * 23
    assert _lie("stuck", 2) == [4] * 25
    assert {abs(each) for each in _lie("random", 2)} == {4}


def test_a_phone_with_nothing_to_report_has_nothing_to_boost() -> None:
    """A report of zeros stays one, however much it is made longer."""
    lies = Poisoning(0.1, "boost", 1e9).lies(LAYOUT, np.zeros_like(HONEST), PHONES, 1)
    assert not lies.any()


@pytest.mark.parametrize(
    ("attack", "free", "bounded"),
    [
        ("boost", [2**31 - 1, -(2**31 - 1), 0], [5, -5, 0]),
        ("flip", [-(2**31 - 1), 2**31 - 1, 0], [-5, 5, 0]),
        ("stuck", [2**31 - 1] * 3, [5] * 3),
    ],
)
def test_only_what_is_enforced_bounds_a_lie(attack: Attack, free: list[int], bounded: list[int]) -> None:
    """Ten billion clip norms go up to the ring's signed range; a bound of .5 leaves five steps of ten."""
    assert _lie(attack, 1e10)[:3] == free
    assert _lie(attack, 1e10, replace(LAYOUT, coordinate_bound=0.5))[:3] == bounded


def test_random_signs_are_the_bits_of_a_phones_own_words() -> None:
    """Bit k of a phone's words is the sign of coordinate k: of each phone and round by themselves."""
    phones = Phones(7, np.array([9, 10_000_000]))
    drawn = signs(phones, 3, 130)
    for row, phone in zip(drawn, phones.ids.tolist(), strict=True):
        own = words(7, Purpose.POISONING, 3, phone, 1, 3)[0].tolist()
        assert [each > 0 for each in row] == [bool(own[k // 64] >> (k % 64) & 1) for k in range(130)]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn, signs(phones, 4, 130))
    assert abs(signs(phones, 5, 20_000).mean()) < 0.03


def test_who_lies_follows_from_seed_and_number_alone() -> None:
    """Any part of a fleet has its own coins; of two shares the larger adds phones and spares none."""
    devices = DeviceRange(5, 0, 20_000)
    few, more = (Poisoning(share).poisoned(devices) for share in (0.01, 0.1))
    assert np.array_equal(few[300:500], Poisoning(0.01).poisoned(DeviceRange(5, 300, 200)))
    assert not (few & ~more).any()
    assert abs(few.mean() - 0.01) < 0.004
    assert Poisoning(1.0).poisoned(devices).all()


@pytest.mark.parametrize("signal", [Prototypes(), Delta()], ids=lambda signal: signal.name)
def test_honest_phones_keep_a_bound(signal: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each coordinate beyond the bound is cut to it, and the sum over blocks of three phones is theirs."""
    free = report_layout(signal.layout(7, 5), clip_norm=1.0, largest_cohort=1000)
    bounded = report_layout(signal.layout(7, 5), clip_norm=1.0, largest_cohort=1000, coordinate_bound=0.2)
    clicks, largest = example_clicks(20), int(0.2 * free.scale)
    whole, cut = (dense_reports(signal, layout, clicks) for layout in (free, bounded))
    assert (abs(whole) > largest).any()
    assert cut.tolist() == [[max(-largest, min(largest, each)) for each in row] for row in whole.tolist()]
    monkeypatch.setattr("fedbert.signals.report.DENSE_DEVICES", 3)
    assert np.array_equal(report_sum(signal, bounded, clicks), cut.sum(0))


def test_a_bound_that_nothing_reaches_changes_no_bit() -> None:
    """No coordinate exceeds the clip norm, so a bound as large leaves the plain reference's sum."""
    layout, clicks = example_layout(), example_clicks(10)
    plain = np.array([plain_device(layout, clicks, device) for device in range(10)])
    total = report_sum(Prototypes(), replace(layout, coordinate_bound=1.0), clicks)
    assert np.array_equal(total, plain.sum(0))


def test_settings_of_lies_are_refused_in_one_line() -> None:
    """What poisoned phones send needs poisoned phones; a bound is a step of the fixed point at least."""
    for name, value in (("attack", "flip"), ("attack_factor", 3.0)):
        with pytest.raises(FedbertError, match=rf"^{name}\(=.*\) must come with .*; add --poisoned$"):
            Scenario(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(FedbertError, match=r"^attack\(='shout'\) must be 'boost', 'flip', 'random' or"):
        Scenario(poisoned=0.1, attack="shout")  # type: ignore[arg-type]
    with pytest.raises(FedbertError, match=r"^poisoned\(=2.0\) must be less than or equal to 1"):
        Scenario(poisoned=2.0)
    with pytest.raises(FedbertError, match=r"^coordinate_bound\(=1e-07\) must be >= 9.53674e-07, one step"):
        report_layout(_Five(), clip_norm=1.0, largest_cohort=9, coordinate_bound=1e-7)
