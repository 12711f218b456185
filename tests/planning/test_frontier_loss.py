"""What privacy costs in a capacity plan: read from a grid at the plan's noise, else not known, and why."""

from dataclasses import replace
from pathlib import Path

import planning_fakes as fakes
import pytest
from planning.budget_examples import SCENARIO, grid_folder

from fedbert.cli.capacity import run_capacity
from fedbert.errors import FedbertError
from fedbert.planning.budget.measured import Measured, read_frontiers
from fedbert.planning.budget.noise import mean_noise
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.frontier_loss import loss_at, with_loss
from fedbert.planning.capacity.privacy_forecast import mechanism_at
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.privacy import privacy_note
from fedbert.reporting.capacity.record import forecast_of, load_forecast, record_of
from fedbert.results import save_run
from fedbert.scenario import build


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A finished grid of invented runs at epsilon 0.5 to 8: each arm is .004 nDCG@10 off another."""
    return grid_folder(tmp_path / "grid", (0.5, 1.0, 2.0, 8.0))


def base(**values: object) -> BaseRun:
    """Return the forecast's view of an invented run of the grid's scenario, at epsilon 2."""
    run = fakes.fake_run(*build({**SCENARIO, "epsilon": 2.0, **values}))
    run["privacy"]["mechanism"] = "daily"
    return base_of(run)


def plan(run: BaseRun, measured: Measured, **flags: float) -> Plan:
    """Return the plan of the run's fleet, with the grid's rounds and releases a day."""
    scenario = measured.scenario
    usual = {"devices": 1_000, "releases_per_day": scenario.rounds_per_day / scenario.release_every}
    return CapacitySettings(**(usual | flags)).plan(run)


def test_the_run_s_own_noise_reads_its_own_arm(grid: Path) -> None:
    """The fleet, noise and cohort of the arm at epsilon 2: exactly what this arm lost, with its interval."""
    run, measured = base(), read_frontiers((grid,))
    (arm,) = [arm for arm in measured.arms if arm.noise == sorted(each.noise for each in measured.arms)[1]]
    found = loss_at(run, plan(run, measured), run.sampling_probability, measured)
    noise = mean_noise(
        mechanism_at(run.privacy, plan(run, measured), run.sampling_probability), 12, 1_000, measured.shares
    )
    assert noise == pytest.approx(arm.noise)
    assert (found.value, found.low, found.high) == pytest.approx(arm.loss)
    assert found.seeds == 3


def test_a_larger_fleet_has_less_noise_than_any_arm(grid: Path) -> None:
    """A million phones: less noise than measured is said, not extrapolated."""
    run, measured = base(), read_frontiers((grid,))
    found = loss_at(run, plan(run, measured, devices=1_000_000), run.sampling_probability, measured)
    assert found.value is None
    assert found.why.startswith("less noise than any arm")


def test_other_rounds_are_not_known(grid: Path) -> None:
    """Six rounds a day where the grid has twelve, a run of another signal, and one without privacy."""
    run, measured = base(), read_frontiers((grid,))
    other = loss_at(run, plan(run, measured, rounds_per_day=6), run.sampling_probability, measured)
    assert other.why == "the grid has 12 rounds a day, and 6 are planned"
    signal = replace(run, privacy=replace(run.privacy, signal="delta"))
    assert "no private arm" in loss_at(signal, plan(run, measured), run.sampling_probability, measured).why
    plain = base(epsilon=None)
    assert "not private" in loss_at(plain, plan(plain, measured), 0.1, measured).why


def test_page_and_record_say_it(grid: Path) -> None:
    """The note has loss, interval and seeds; the record gives the same plan back."""
    run, measured = base(), read_frontiers((grid,))
    asked = plan(run, measured)
    # The plan's own cohort, whatever over-selection makes of it, lies between the arms.
    found = with_loss(run, forecast(run, asked), measured)
    assert forecast_of(record_of(found, "a command")).privacy == found.privacy
    assert found.privacy.loss is not None
    said = privacy_note(found.privacy)
    if found.privacy.loss.value is None:
        assert f"by the grid: {found.privacy.loss.why}." in said
    else:
        assert f"Against no privacy it is {found.privacy.loss.value:+.3f} nDCG@10" in said
    known = replace(found.privacy, loss=loss_at(run, asked, run.sampling_probability, measured))
    assert "3 seeds" in privacy_note(known)


def test_the_command_reads_a_grid(grid: Path, tmp_path: Path) -> None:
    """`--frontier GRID` is kept in capacity.json; a folder that is no grid is one line and writes nothing."""
    run = tmp_path / "run"
    run.mkdir()
    made = fakes.fake_run(*build({**SCENARIO, "epsilon": 2.0}))
    save_run(made, run)
    asked = {"devices": 1_000, "base": run, "prices": "none"}
    run_capacity(CapacitySettings(**asked, frontiers=(grid,), output=tmp_path / "out"))
    assert load_forecast(tmp_path / "out")[0].privacy.loss is not None
    with pytest.raises(FedbertError, match=r"^frontier\(=[^\n]*finished trade-off grid"):
        run_capacity(CapacitySettings(**asked, frontiers=(run,), output=tmp_path / "no"))
    assert not (tmp_path / "no").exists()
