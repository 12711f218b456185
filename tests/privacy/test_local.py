"""Mode local: each phone adds noise to its own report, and the proof is against whoever reads that report."""

import math
from dataclasses import replace

import dp_accounting
import numpy as np
import pytest

from fedbert.device_range import DeviceRange
from fedbert.errors import FedbertError
from fedbert.federation.environment import load_mechanism
from fedbert.planning.tradeoff.arms import plan
from fedbert.privacy.audit.attacks import attacked
from fedbert.privacy.audit.reports import send_reports, too_many_reports
from fedbert.privacy.local import Local
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.once_a_day import Daily
from fedbert.randomness import Purpose
from fedbert.scenario import Scenario
from fedbert.simulation.privacy_row import privacy_row

SETTINGS = PrivacySettings(2.0, 1e-6, 0.1, 1.0, 12, 12.0, 10_000)
EVERYONE = np.ones(5, np.bool_)


def local(**changes: object) -> Local:
    """Return the mechanism `daily` with noise on the device, at epsilon 2 a report."""
    return Local.make(Daily, replace(SETTINGS, **changes))  # type: ignore[arg-type]


def test_a_report_has_the_noise_of_two_clip_norms() -> None:
    """Epsilon 2 at delta 1e-6 takes a multiplier of 2.2307 a unit of sensitivity, and two reports are two
    clip norms apart: 4.461, as dp-accounting's own Gaussian mechanism has it.
    """
    made = local()
    assert made.noise_multiplier == pytest.approx(4.461, abs=1e-3)
    theirs = 2 * dp_accounting.get_sigma_gaussian(2.0, 1e-6)
    assert made.noise_multiplier == pytest.approx(theirs, rel=1e-3)
    assert made.noise_multiplier >= theirs * (1 - 1e-6)
    assert made.report_epsilon == pytest.approx(2.0, rel=1e-3)
    assert local(clip_norm=3.0).report_sigma == pytest.approx(3 * 4.461, abs=3e-3)


def test_reports_of_a_device_compose() -> None:
    """One report a day costs what `daily` costs centrally, 14.1 in 30 days; by coins a device may report in
    each of twelve rounds, which is 8.13; all of it stands in the row, beside that of one report.
    """
    daily, coins = (Scenario(mode="local", mechanism=name, epsilon=2) for name in ("daily", "poisson"))
    row = privacy_row(load_mechanism(daily), daily, 12)
    assert [round(each["epsilon"], 1) for each in row["projections"]] == [2.0, 14.1, 76.6]
    assert row["epsilon_per_report"] == pytest.approx(2.0, rel=1e-3)
    assert row["epsilon"] == row["epsilon_unamplified"] == row["epsilon_per_report"]
    assert row["mode"] == "local"
    assert "not that they were sent" in row["statement"]
    assert "sees every single report as it left its phone" in row["statement"]
    often = privacy_row(load_mechanism(coins), coins, 12)
    assert often["epsilon"] == pytest.approx(8.13, abs=0.01)
    assert "each report alone has epsilon 2" in often["statement"]


def test_noise_is_a_device_s_own() -> None:
    """Three of five devices: their noise adds up to what each draws alone, in whole numbers and to the bit;
    the same device draws other noise in another round and with another seed, and the next one other noise.
    """
    made, devices = local(), DeviceRange(3, 70, 5)
    sending = np.array([True, False, True, True, False])
    whole = made.on_device(devices, sending, 4, 6, 1024.0)
    alone = [made.on_device(DeviceRange(3, 70 + place, 1), EVERYONE[:1], 4, 6, 1024.0) for place in (0, 2, 3)]
    assert np.array_equal(whole, sum(alone))
    (drawn,) = (each.copy() for each in devices.normals(Purpose.DEVICE_NOISE, 4, np.arange(5) == 2, 6))
    assert np.array_equal(alone[1], np.rint(drawn * made.report_sigma * 1024).astype(np.int64))
    others = [
        made.on_device(DeviceRange(seed, first, 1), EVERYONE[:1], round_, 6, 1024.0)
        for seed, first, round_ in ((4, 70, 4), (3, 71, 4), (3, 70, 5))
    ]
    assert all((alone[0] != other).all() for other in others)


def test_the_sum_s_noise_is_that_of_all_reports() -> None:
    """A round of 10,000 phones that join one of twelve has the noise of 833 reports; a day that of 10,000."""
    made = local()
    assert made.sigma == pytest.approx(4.461 * math.sqrt(10_000 / 12), rel=1e-3)
    assert made.total_sigma([12]) == pytest.approx(4.461 * 100, rel=1e-3)
    assert not made.on_sum(1, 12, 5).any()


def test_few_phones_show_what_the_noise_of_many_would_do() -> None:
    """With the noise of 1,000,000 each of 10,000 phones adds a tenth of it, so that their mean is as noisy as
    that of the million; bounds are those of the million.
    """
    base = Scenario(mode="local", mechanism="daily", epsilon=2, delta=1e-7)
    whole = load_mechanism(base)
    small = load_mechanism(base.model_copy(update={"noise_cohort": 1_000_000}))
    devices = DeviceRange(1, 0, 5)
    tenth = small.on_device(devices, EVERYONE, 1, 4_000, 2.0**14)
    assert np.abs(10 * tenth - whole.on_device(devices, EVERYONE, 1, 4_000, 2.0**14)).max() <= 10 * 5
    assert small.total_sigma([12]) == pytest.approx(whole.total_sigma([12]) / 10)
    assert small.noise_multiplier == whole.noise_multiplier
    assert small.spent(12)[0].epsilon == whole.spent(12)[0].epsilon


@pytest.mark.parametrize("name", ["correlated", "tree", "my.py:Own"])
def test_noise_that_goes_over_rounds_is_refused(name: str) -> None:
    """`correlated` and `tree` mix noise over rounds, which no phone can, and a mechanism of one's own says
    itself where its noise is: one line.
    """
    with pytest.raises(
        FedbertError, match=r"^mode\(='local'\) must come with the mechanism allocated, daily or [^\n]+$"
    ):
        Scenario(mode="local", mechanism=name, epsilon=2)


def test_an_epsilon_out_of_reach_is_one_line() -> None:
    """So small that no noise that can be drawn comes to it."""
    with pytest.raises(FedbertError, match=r"^epsilon\(=1e-09\) is out of reach[^\n]+$"):
        local(epsilon=1e-9)


def test_without_an_epsilon_nobody_adds_noise() -> None:
    """The arms of a grid without privacy run in mode local as they do else, and are not private."""
    cells = plan(Scenario(mode="local", mechanism="daily"), [1.0, None], 1)
    modes = [privacy_row(load_mechanism(cell.scenario), cell.scenario, 12)["mode"] for cell in cells]
    assert modes == ["none", "local", "none"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_single_reports_give_no_more_than_their_proof(seed: int) -> None:
    """No bound above the proof of one report at the family-wise level, and one far above it without noise."""
    found, blind = attacked(local(), "canaries", send_reports(local(), seed, 3_000), independent=True)
    assert blind == []
    assert [each.fault for each in found] == [""]
    assert [each.rounds for each in found] == [1]
    assert found[0].epsilon_without_noise > 9 > 2 >= found[0].epsilon > 0.5


class Halved(Local):
    """Draws half of the noise that it accounts for."""

    def on_device(self, *given: object) -> np.ndarray:
        """Return too little."""
        return super().on_device(*given) // 2  # type: ignore[arg-type]


class Often(Local):
    """Lets every device into every round."""

    def joins(self, devices: DeviceRange, round_: int) -> np.ndarray:
        """Return all."""
        return np.ones(devices.count, np.bool_)


def test_faults_of_phones_noise_are_found() -> None:
    """Half the noise shows as more than was proved; a device that reports every round as too many reports."""
    made = local()
    fields = {name: getattr(made, name) for name in ("rounds_of", "settings", "noise_multiplier")}
    halved, often = Halved(**fields), Often(**fields)
    found, _ = attacked(halved, "canaries", send_reports(halved, 1, 3_000), independent=True)
    assert "sees every single report as it left its phone gets an epsilon of" in found[0].fault
    assert too_many_reports(made, 1, 12) == ""
    assert too_many_reports(often, 1, 12) == "a phone sends 12 reports in 12 rounds, and its bound counts 1"
