"""Availability: the published shapes, habits that last, and independence of blocks."""

import numpy as np
import pytest

from fedbert.devices.availability import (
    Availability,
    availability,
    hourly_shares,
    interruption_causes,
    interruptions,
)

STATES = ("idle", "charging", "unmetered", "online")
HOURS = hourly_shares(devices=8_000)


def test_published_shapes() -> None:
    """About 22 % of devices are eligible on average (FLINT), with a fourfold swing over the day."""
    eligible = HOURS["eligible"]
    assert eligible.mean() == pytest.approx(0.22, abs=0.02)
    assert 3.2 < eligible.max() / eligible.min() < 4.8
    assert int(eligible.argmax()) in {1, 2, 3, 4}


def test_eligible_is_all_at_once() -> None:
    """Eligible devices are idle, charging, unmetered and online; fetching needs the last two."""
    state = availability(1, 0, 2_000, 2.0, 2)
    strict = state.idle & state.charging & state.unmetered & state.online
    assert (state.eligible == strict).all()
    assert (state.download_window == (state.unmetered & state.online)).all()
    assert (state.online | ~state.unmetered).all()


@pytest.mark.parametrize(("round_hours", "round_"), [(2.0, 1), (2.0, 12), (2.0, 40), (24.0, 3), (0.25, 500)])
def test_blocks_do_not_change_availability(round_hours: float, round_: int) -> None:
    """Any split of the devices gives the same bits, in any round."""
    whole = availability(3, 100, 300, round_hours, round_)
    parts = [
        availability(3, first, count, round_hours, round_)
        for first, count in ((100, 1), (101, 7), (108, 292))
    ]
    for name in STATES:
        assert (
            np.concatenate([getattr(part, name) for part in parts]).tolist() == getattr(whole, name).tolist()
        )


def test_always() -> None:
    """The model 'always' makes every device eligible in every round, and nothing is interrupted."""
    state = availability(0, 0, 50, 2.0, 9, "always")
    assert isinstance(state, Availability)
    assert state.eligible.all()
    assert state.download_window.all()
    assert not interruptions(0, 9, 0, 50, "always").any()


def test_the_same_phones_charge_at_the_same_hours() -> None:
    """Devices that are eligible one night are more often eligible the next night than others."""
    nights = [availability(5, 0, 20_000, 2.0, 2 + 12 * day).eligible for day in (1, 2)]
    assert nights[1][nights[0]].mean() > 1.5 * nights[1][~nights[0]].mean()


def test_a_few_devices_do_most() -> None:
    """Over a week the most eligible 30 % of devices give well over 30 % of the eligible rounds."""
    count = np.zeros(5_000)
    for round_ in range(13, 97):
        count += availability(2, 0, 5_000, 2.0, round_).eligible
    count.sort()
    assert count[-1_500:].sum() / count.sum() > 0.55


def test_a_night_on_the_charger_lasts() -> None:
    """Whether a device is put on the charger is settled once a night, not once a round."""
    hours = [availability(4, 0, 20_000, 0.5, 48 + 2 * hour).charging for hour in (2, 3)]
    assert np.mean(hours[0] == hours[1]) > 0.8


def test_drop_outs() -> None:
    """6-10 % of devices drop out of a round and 2 % more are late; never both; some devices more often."""
    causes = [interruption_causes(6, round_, 0, 20_000) for round_ in range(1, 31)]
    dropped = np.mean([cause.dropped for cause in causes])
    assert 0.06 < dropped < 0.10
    assert np.mean([cause.late for cause in causes]) == pytest.approx(0.02 * (1 - dropped), abs=0.002)
    assert not any((cause.dropped & cause.late).any() for cause in causes)
    by_device = np.sum([cause.dropped for cause in causes], axis=0)
    assert by_device.var() > 1.1 * by_device.mean() * (1 - dropped)
    joined = interruptions(6, 3, 0, 20_000)
    assert (joined == (causes[2].dropped | causes[2].late)).all()


def test_blocks_do_not_change_interruptions() -> None:
    """Any split of the devices gives the same interruptions."""
    parts = np.concatenate([interruptions(6, 3, first, 25) for first in range(0, 100, 25)])
    assert parts.tolist() == interruptions(6, 3, 0, 100).tolist()
