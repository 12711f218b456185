"""Servers of a plan: counts of work times literal costs, and what follows from cores."""

from dataclasses import replace
from pathlib import Path

import planning_fakes as fakes
import pytest

from fedbert.errors import FedbertError
from fedbert.intervals import Estimate
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.calibration import UNITS, Calibration, MachineRow, read_calibration
from fedbert.planning.capacity.capacity import CapacityForecast, Plan
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.load import load_of
from fedbert.planning.capacity.server_forecast import AGGREGATOR, DOWNLOADS, FRONT, PARTS, UPDATE
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.record import forecast_of, record_of
from fedbert.scenario import build

PLAN = Plan(1_000_000, 1.5e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.0)


@pytest.fixture(scope="module")
def base() -> BaseRun:
    """An invented run of 1,000 phones."""
    scenario, execution = build({"devices": 1_000, "mechanism": "poisson", "epsilon": None})
    return base_of(fakes.fake_run(scenario, execution))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty draws suffice here."""
    monkeypatch.setattr(draws, "DRAWS", 30)


def costing(cores: int = 2, memory_bytes: int = 10**12, **costs: float) -> Calibration:
    """Return a calibration in which all but some costs are nothing."""
    assert costs.keys() <= UNITS.keys()
    found = {name: Estimate(costs.get(name, 0.0), None, None) for name in UNITS}
    machine: MachineRow = {
        "name": "invented",
        "architecture": "none",
        "cores": cores,
        "memory_bytes": memory_bytes,
        "instruction_sets": [],
    }
    return Calibration(found, machine, {"fedbert": "0.0.1"}, "default", 50_000)


def hours(found: CapacityForecast, part: str) -> float:
    """Return the CPU seconds a day of a part."""
    return found.find(f"CPU time per day, {part}").estimate.value * 3_600


def test_a_second_for_each_counts_the_work(base: BaseRun) -> None:
    """Where each costs a second, CPU seconds are the plan's reports, check-ins, downloads, rounds."""
    ones = costing(aggregator_report_cpu_s=1.0, check_in_cpu_s=1.0, download_cpu_s=1.0, update_cpu_s=1.0)
    found = forecast(base, PLAN, ones)
    value = {name: found.find(f"{name} per day").estimate.value for name in ("reports", "check-ins")}
    assert hours(found, AGGREGATOR) == pytest.approx(value["reports"])
    assert hours(found, FRONT) == pytest.approx(value["check-ins"])
    downloads = found.find("downloads per day").estimate.value * base.download_attempts
    assert hours(found, DOWNLOADS) == pytest.approx(downloads)
    assert hours(found, UPDATE) == pytest.approx(12.0)
    # A microsecond a byte: seconds are the megabytes of the day.
    bytes_ = forecast(base, PLAN, costing(download_byte_cpu_s=1e-6, upload_byte_cpu_s=1e-6))
    assert hours(bytes_, DOWNLOADS) == pytest.approx(bytes_.find("egress per day").estimate.value / 1e6)
    assert hours(bytes_, FRONT) == pytest.approx(bytes_.find("ingress per day").estimate.value / 1e6)


def test_cores_memory_and_machines(base: BaseRun) -> None:
    """Cores are the busiest work over the utilisation; machines are whole; the largest round is held."""
    calibration = costing(
        4, aggregator_report_cpu_s=0.01, aggregator_memory_bytes=5e8, aggregator_report_memory_bytes=60_000
    )
    half, whole = (forecast(base, PLAN, calibration, share) for share in (0.5, 1.0))
    load = load_of(base, PLAN)
    busiest = 0.01 * float(load.burst[0].max())
    assert whole.find(f"cores, {AGGREGATOR}").estimate.value == pytest.approx(busiest)
    assert half.find("cores, all servers").estimate.value == pytest.approx(2 * busiest)
    machines = half.find("machines, all servers").estimate.value
    assert machines == -(-2 * busiest // 4)
    headroom = half.find("server headroom").estimate.value
    assert headroom == pytest.approx(1 - 2 * busiest / (4 * machines))
    # Memory is of a report of 50,000 bytes; the run's are of another size.
    held = float(load.reports[0].max()) * 1.2 * base.report_bytes
    assert half.find(f"memory, {AGGREGATOR}").estimate.value == pytest.approx(5e8 + held)


def test_memory_binds_machines_where_it_is_more(base: BaseRun) -> None:
    """10 GB in machines of 3 GB are four, though their cores suffice; headroom is of the four's cores."""
    calibration = costing(2, 3 * 10**9, update_memory_bytes=1e10 - base.release_bytes, update_cpu_s=1.8)
    found = forecast(base, PLAN, calibration, 0.5)
    assert found.find("memory, all servers").estimate.value == pytest.approx(1e10)
    assert found.find("machines, all servers").estimate.value == 4
    # An update of 1.8 s within 180 s, half used: 0.02 cores.
    assert found.find("server headroom").estimate.value == pytest.approx(1 - 0.02 / 8)


def test_open_downloads_take_memory(base: BaseRun) -> None:
    """Those that begin in five seconds, at the busiest time, each a megabyte."""
    calibration = costing(download_open_memory_bytes=1e6)
    plan = replace(PLAN, download_s=5.0)
    found = forecast(base, plan, calibration).find(f"memory, {DOWNLOADS}").estimate.value
    served = load_of(base, plan).served[0].max() / 300
    assert found == pytest.approx(served * base.download_attempts * 5 * 1e6 + base.release_bytes)


def test_a_round_of_the_front_end_costs_beside_its_answers(base: BaseRun) -> None:
    """12 rounds a day of 2 s are 24 s, and one within its 180 s takes 2 / 180 cores."""
    found = forecast(base, PLAN, costing(link_round_cpu_s=2.0), 1.0)
    assert hours(found, FRONT) == pytest.approx(24.0)
    assert found.find(f"cores, {FRONT}").estimate.value == pytest.approx(2 / 180)


def test_storage_is_what_is_kept(base: BaseRun) -> None:
    """Releases, the largest round's reports, and 12 rounds' records of 100 bytes a day, by hand."""
    run = replace(base, record_bytes_per_round=100.0)
    found = forecast(run, PLAN, costing())
    parts = {
        "releases": 365 * run.release_bytes,
        "reports of unfinished rounds": float(load_of(run, PLAN).reports[0].max()) * run.report_bytes,
        "records of rounds": 12 * 365 * 100,
    }
    for name, kept in parts.items():
        assert found.find(f"storage, {name}").estimate.value == pytest.approx(kept), name
    assert found.find("storage, all").estimate.value == pytest.approx(sum(parts.values()))
    few = forecast(run, replace(PLAN, releases_kept=3, records_days=10.0), costing())
    assert few.find("storage, releases").estimate.value == 3 * run.release_bytes
    assert few.find("storage, records of rounds").estimate.value == 12 * 10 * 100


def test_costs_vary_as_measured(base: BaseRun) -> None:
    """A cost with an interval widens the part's; a plan without a calibration has no servers."""
    sure, unsure = costing(update_cpu_s=1.0), costing()
    unsure.costs["update_cpu_s"] = Estimate(1.0, 0.5, 1.5)
    row = forecast(base, PLAN, unsure).find(f"CPU time per day, {UPDATE}").estimate
    alone = forecast(base, PLAN, sure).find(f"CPU time per day, {UPDATE}").estimate
    assert alone.low == alone.high == alone.value
    assert row.low is not None and row.high is not None
    assert row.low < 0.8 * row.value < 1.2 * row.value < row.high
    without = forecast(base, PLAN)
    assert without.servers is None
    assert not [each for each in without.forecasts if "cores" in each.name]


def test_servers_say_whose_costs_they_rest_on(base: BaseRun) -> None:
    """Every figure of a part is modelled and names the calibration; capacity.json brings both back."""
    found = forecast(base, PLAN, read_calibration(), 0.7)
    for part in PARTS:
        row = found.find(f"cores, {part}")
        assert row.label == "modelled"
        assert "from a calibration of two x86 cores" in row.assumption
        assert row.estimate.value > 0
    again = forecast_of(record_of(found, "a command"))
    assert again.servers == found.servers
    assert again.servers is not None and again.servers.utilisation == 0.7
    old = record_of(found, "a command")
    del old["servers"]
    assert forecast_of(old).servers is None


def test_wrong_flags_are_refused() -> None:
    """A utilisation of nothing or of more than all is refused."""
    for share in (0.0, 1.01):
        with pytest.raises(FedbertError, match="utilisation"):
            CapacitySettings(utilisation=share)
    assert CapacitySettings(servers=Path("a.json")).servers == Path("a.json")
