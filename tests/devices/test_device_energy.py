"""Energy: the power profile of one phone, what is made of it, and measured drain rates beside it."""

import pytest

from fedbert.devices.fitting.energy_report import (
    AWAKE_SCREEN_OFF,
    VOLTAGE_V,
    cpu_ma,
    drains,
    resolution_mj,
    screen_ma,
)
from fedbert.devices.fitting.power import LITTLE, PRIME, Power, PowerProfile, read_power_profile
from fedbert.devices.profiles import load_profiles

PROFILE = read_power_profile()


def test_currents_are_linear_between_clocks_and_go_on_beyond() -> None:
    """A clock of the table gives its current by core, the middle of two the mean, more the last slope."""
    assert PROFILE.core_ma(PRIME, 2.4) == pytest.approx(135.0)
    assert PROFILE.core_ma(LITTLE, 1.8048) == pytest.approx(176.19 / 6)
    assert PROFILE.core_ma(PRIME, (1.0944 + 0.8064) / 2) == pytest.approx((56.44 + 65.72) / 2)
    assert PROFILE.core_ma(PRIME, 2.5) == pytest.approx(135 + 0.1 * (135 - 122.34) / (2.4 - 2.304))


def test_cores_draw_in_proportion_to_their_work() -> None:
    """In-order cores follow the little curve whatever their rate; others scale with work per cycle."""
    power = Power(PROFILE, 4.0, 10.0)
    assert power.core_mw(True, 1.8048, 99.0) == pytest.approx((176.19 / 6 + 8.4 + 2) * 4)
    assert power.core_mw(False, 2.4, 15.0) == pytest.approx(1.5 * (135 + 8.4 + 2.6) * 4)


def test_shipped_profiles_carry_this_power() -> None:
    """In-order cores of the shipped profiles draw what the Pixel 5's little cluster does at their clock."""
    power = Power(PROFILE, VOLTAGE_V, 1.0)
    checked = 0
    for profile in load_profiles().values():
        last = profile.clusters[-1]
        if last.core in ("Cortex-A53", "Cortex-A55", "Cortex-A510"):
            expected = power.core_mw(True, last.clock_ghz, 0.0)
            assert profile.little_core.power_mw == pytest.approx(expected, rel=1e-3)
            checked += 1
    assert checked > 5


def test_a_use_adds_up_as_android_does() -> None:
    """Screen on + brightness x full; a phone with its screen off sleeps but for the share it is awake."""
    assert screen_ma(PROFILE, None) == 0
    assert screen_ma(PROFILE, 0.5) == pytest.approx(98 + 0.5 * 470)
    asleep, awake = cpu_ma(PROFILE, "low", 0.0), cpu_ma(PROFILE, "low", 1.0)
    assert asleep == 5.6
    assert cpu_ma(PROFILE, "low", AWAKE_SCREEN_OFF) == pytest.approx(
        asleep + AWAKE_SCREEN_OFF * (awake - asleep)
    )
    busy = 5.6 + 5.4 + 8.4 + 3 * 176.19 / 6 + 2 + 135 + 2.6
    assert cpu_ma(PROFILE, "high", 1.0) == pytest.approx(busy)


def test_the_profile_is_within_a_factor_of_five_of_each_measured_use() -> None:
    """What the docs conclude: idle within its bound, three uses of four within about two, none beyond 5."""
    found = {each.name: each for each in drains()}
    assert len(found) == 5
    idle = found.pop("Idle")
    assert idle.measured_low <= idle.predicted <= idle.measured_high
    ratios = sorted(each.predicted / each.measured for each in found.values())
    assert ratios[0] > 0.8
    assert ratios[2] < 2.25
    assert ratios[3] < 5
    assert found["Gaming"].predicted < found["Gaming"].measured_low
    light = found["Light use (dim)"]
    assert light.predicted / light.measured_high > 2.3
    shares = [each.screen_ma / each.predicted_ma for each in found.values() if each.name != "Gaming"]
    assert [round(min(shares), 2), round(max(shares), 2)] == [0.71, 0.77]
    cpu = [each.cpu_ma / each.predicted_ma for each in found.values()]
    assert [round(min(cpu), 2), round(max(cpu), 2)] == [0.12, 0.30]


def test_readings_resolve_half_a_kilojoule() -> None:
    """One per cent of 4,000 mAh at 3.85 V; a session is far below it."""
    assert resolution_mj() == pytest.approx(554_400)


def test_rows_of_several_numbers() -> None:
    """A bar separates the numbers of a row."""
    profile = PowerProfile({"a": "1|2.5", "b": "3"})
    assert profile.numbers("a").tolist() == [1.0, 2.5]
    assert profile.number("b") == 3.0
