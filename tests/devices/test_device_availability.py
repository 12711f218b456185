"""Availability: the published shapes, one device and one loop, habits that last, independence of blocks."""

import math

import numpy as np
import pytest
from device_helpers import lines_run

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import (
    Availability,
    availability,
    interruption_causes,
    interruptions,
)
from fedbert.devices.fitting.availability_report import shapes
from fedbert.devices.fleet import standard_normal
from fedbert.devices.habits import PARAMETERS, draw_habits
from fedbert.randomness import Purpose

STATES = ("idle", "charging", "unmetered", "online")
SHAPES = shapes(devices=8_000, seed=3)


def test_published_shapes() -> None:
    """About 22 % of devices are eligible on average (FLINT), with a fourfold swing and most at night."""
    assert SHAPES.eligible == pytest.approx(0.22, abs=0.02)
    assert SHAPES.swing == pytest.approx(4.0, abs=0.5)
    assert SHAPES.peak_hour in {1, 2, 3, 4}


def test_a_few_devices_do_most() -> None:
    """Over a week the most eligible 30 % of devices give 86 % ± 4 % of the eligible rounds (FLASH)."""
    assert SHAPES.top_share == pytest.approx(0.86, abs=0.04)


def test_phones_are_in_use_by_day() -> None:
    """Phones lie idle and are on Wi-Fi more at three at night than at three in the afternoon."""
    for name in ("idle", "charging", "unmetered"):
        assert SHAPES.hours[name][3] > 1.15 * SHAPES.hours[name][15], name


@pytest.mark.parametrize("device", range(0, 40, 3))
@pytest.mark.parametrize(("round_hours", "round_"), [(2.0, 1), (2.0, 19), (24.0, 2)])
def test_one_device_and_its_day(device: int, round_hours: float, round_: int) -> None:
    """The habits of one device and its state at its moment, one rule after the other, are the columns'."""
    mine = DeviceRange(9, device, 1)
    p, h = PARAMETERS, [float(x) for x in mine.uniforms(Purpose.HABIT, 0, 8)[0]]
    u = [float(x) for x in mine.uniforms(Purpose.AVAILABILITY, 2 * round_, 5)[0]]

    def normal(uniform: float) -> float:
        return float(standard_normal(np.array([uniform]))[0])

    docked = h[0] < p.docked_share
    nightly = not docked and h[0] < p.docked_share + p.nightly_share
    bedtime = p.sleep_start_hour + p.sleep_start_sigma * normal(h[1])
    night = max(p.sleep_hours + p.sleep_hours_sigma * normal(h[2]), 2.0)
    stay = min(-p.stay_hours / 2 * math.log(h[3] * h[7]), 24 - night) if nightly else 0.0
    moment = (round_ - 1 + u[0]) * round_hours
    asleep = (moment - bedtime) % 24 < night
    plug = bedtime - h[4] * stay
    day = math.floor((moment - plug) / 24)
    coin = mine.uniforms(Purpose.AVAILABILITY, 2 * (day + 3) + 1, 1)[0, 0]
    staying = (moment - plug) % 24 < (24 if docked else night + stay)
    staying &= bool(coin < (p.steady_plug if docked or nightly else p.seldom_plug))
    charging = staying or (not docked and not nightly and u[1] < p.top_up)
    home = h[5] < (p.home_wifi_steady if docked or nightly else p.home_wifi_others)
    wifi = p.wifi_none if not home else p.wifi_home if asleep or staying else p.wifi_elsewhere
    own = p.idle_awake_low + (p.idle_awake_high - p.idle_awake_low) * h[6]
    busy = charging and not staying and u[1] >= p.top_up_quiet * p.top_up
    idle = not busy and u[3] < (p.idle_asleep if asleep else p.idle_plugged if staying else own)
    unmetered = u[2] < wifi
    state = availability(DeviceRange(9, 0, 40), round_hours, round_)
    found = [bool(getattr(state, name)[device]) for name in STATES]
    assert found == [idle, charging, unmetered, unmetered or u[4] < p.online_metered]


def test_no_stay_is_longer_than_a_day() -> None:
    """Docked phones stay on the charger for 24 hours, the longest stay there is."""
    habits = draw_habits(DeviceRange(0, 0, 20_000))
    assert habits.plug_hours.max() == 24.0
    assert np.mean(habits.plug_hours == 24.0) >= 0.8 * PARAMETERS.docked_share
    assert (habits.plug_hours >= habits.sleep_hours).all()


def test_nothing_is_done_a_device() -> None:
    """A round of 40,000 devices runs as many lines as one of 2,000: the work is on columns."""
    availability(DeviceRange(0, 0, 10), 2.0, 13)  # the keys of its numbers are kept
    few, many = (
        lines_run(lambda count=count: availability(DeviceRange(0, 0, count), 2.0, 13))
        for count in (2_000, 40_000)
    )
    assert few == many > 0


def test_eligible_is_all_at_once() -> None:
    """Eligible devices are idle, charging, unmetered and online; fetching needs the last two."""
    state = availability(DeviceRange(1, 0, 2_000), 2.0, 2)
    strict = state.idle & state.charging & state.unmetered & state.online
    assert (state.eligible == strict).all()
    assert (state.download_window == (state.unmetered & state.online)).all()
    assert (state.online | ~state.unmetered).all()


@pytest.mark.parametrize(("round_hours", "round_"), [(2.0, 1), (2.0, 12), (2.0, 40), (24.0, 3), (0.25, 500)])
def test_blocks_do_not_change_availability(round_hours: float, round_: int) -> None:
    """Any split of the devices gives the same bits, in any round."""
    whole = availability(DeviceRange(3, 100, 300), round_hours, round_)
    parts = [
        availability(DeviceRange(3, first, count), round_hours, round_)
        for first, count in ((100, 1), (101, 7), (108, 292))
    ]
    for name in STATES:
        assert (
            np.concatenate([getattr(part, name) for part in parts]).tolist() == getattr(whole, name).tolist()
        )


def test_always() -> None:
    """The model 'always' makes every device eligible in every round, and nothing is interrupted."""
    devices = DeviceRange(0, 0, 50)
    state = availability(devices, 2.0, 9, "always")
    assert isinstance(state, Availability)
    assert state.eligible.all()
    assert state.download_window.all()
    assert not interruptions(devices, 9, "always").any()


def test_the_same_phones_charge_at_the_same_hours() -> None:
    """Devices that are eligible one night are more often eligible the next night than others."""
    devices = DeviceRange(5, 0, 20_000)
    nights = [availability(devices, 2.0, 2 + 12 * day).eligible for day in (1, 2)]
    assert nights[1][nights[0]].mean() > 1.5 * nights[1][~nights[0]].mean()


def test_a_night_on_the_charger_lasts() -> None:
    """Whether a device is put on the charger is settled once a night, not once a round."""
    devices = DeviceRange(4, 0, 20_000)
    hours = [availability(devices, 0.5, 48 + 2 * hour).charging for hour in (2, 3)]
    assert np.mean(hours[0] == hours[1]) > 0.8


def test_drop_outs() -> None:
    """6-10 % of devices drop out of a round and 2 % more are late; never both; some devices more often."""
    devices = DeviceRange(6, 0, 20_000)
    causes = [interruption_causes(devices, round_) for round_ in range(1, 31)]
    dropped = np.mean([cause.dropped for cause in causes])
    assert 0.06 < dropped < 0.10
    assert np.mean([cause.late for cause in causes]) == pytest.approx(0.02 * (1 - dropped), abs=0.002)
    assert not any((cause.dropped & cause.late).any() for cause in causes)
    by_device = np.sum([cause.dropped for cause in causes], axis=0)
    assert by_device.var() > 1.1 * by_device.mean() * (1 - dropped)
    joined = interruptions(devices, 3)
    assert (joined == (causes[2].dropped | causes[2].late)).all()


def test_blocks_do_not_change_interruptions() -> None:
    """Any split of the devices gives the same interruptions."""
    parts = np.concatenate([interruptions(DeviceRange(6, first, 25), 3) for first in range(0, 100, 25)])
    assert parts.tolist() == interruptions(DeviceRange(6, 0, 100), 3).tolist()
