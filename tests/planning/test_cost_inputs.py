"""Which figure of servers, money and carbon follows which input: each entry of a table, both ways."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import planning_fakes as fakes
import pytest

from fedbert.intervals import Estimate
from fedbert.planning.capacity import draws
from fedbert.planning.capacity import forecast as whole
from fedbert.planning.capacity.base_run import base_of
from fedbert.planning.capacity.calibration import Calibration, read_calibration
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.cost_forecast import priced
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.scenario import build


@dataclass(frozen=True)
class Asked:
    """All that servers and their costs follow from."""

    plan: Plan
    calibration: Calibration
    utilisation: float
    prices: Prices


def sourced(value: float) -> Sourced:
    """Return a number with an invented source."""
    return Sourced(value=value, date=date(2026, 1, 2), source="invented")


def changed(key: str, factor: float = 1.1) -> Callable[[Asked], Asked]:
    """Return what makes one price dearer."""

    def dearer(asked: Asked) -> Asked:
        value = asked.prices.known()[key].value * factor
        return replace(asked, prices=asked.prices.model_copy(update={key: sourced(value)}))

    return dearer


def planned(**values: float) -> Callable[[Asked], Asked]:
    """Return what changes the plan."""
    return lambda asked: replace(asked, plan=replace(asked.plan, **values))  # type: ignore[arg-type]


def costing(*names: str) -> Callable[[Asked], Asked]:
    """Return what makes costs of the calibration twice as high."""

    def twice(asked: Asked) -> Asked:
        costs = dict(asked.calibration.costs)
        costs |= {name: Estimate(2 * costs[name].value, None, None) for name in names}
        return replace(asked, calibration=replace(asked.calibration, costs=costs))

    return twice


INPUTS: dict[str, Callable[[Asked], Asked]] = {
    "D": planned(devices=4_200_000),
    "R": planned(rounds_per_day=6.0),
    "L": planned(releases_per_day=2.0),
    "B": planned(download_bytes=1_000_000),
    "s": planned(download_s=30.0),
    "k": planned(releases_kept=7),
    "d": planned(records_days=10.0),
    "U": lambda asked: replace(asked, utilisation=0.3),
    "c": costing("upload_cpu_s"),
    "m": costing("link_report_memory_bytes", "download_open_memory_bytes"),
    "1": changed("core_per_hour"),
    "2": changed("memory_per_gb_hour"),
    "3": changed("storage_per_gb_month"),
    "4": changed("cdn_per_gb"),
    "5": changed("cdn_requests_per_million"),
    "6": changed("core_idle_w"),
    "7": changed("core_busy_w"),
    "8": changed("pue"),
    "9": changed("server_gco2e_per_kwh"),
    "g": changed("gco2e_per_kwh"),
    "n": changed("network_kwh_per_gb"),
}
MOVES = """
CPU time per day, check-ins and uploads | D R c
cores, release downloads                | D B U
cores, all servers                      | D R B U c
memory, release downloads               | D B s m
memory, check-ins and uploads           | m
memory, all servers                     | D B s m
storage, releases                       | L B k
storage, reports of unfinished rounds   |
storage, records of rounds              | R d
storage, all                            | R L B k d
cost per day, downloads                 | D L B 4
cost per day, download requests         | D L 5
cost per day, cores                     | D R B U c 1
cost per day, memory                    | D B s m 2
cost per day, storage                   | R L B k d 3
cost per day                            | D R L B s k d U c m 1 2 3 4 5
cost per thousand phones and year       | D R L B s k d U c m 1 2 3 4 5
server energy per day                   | D R L B s k d U c m 6 7 8
carbon per day, servers                 | D R L B s k d U c m 6 7 8 9
carbon per day, computing               | D L g
carbon per day, downloads               | D L B g n
carbon per day                          | D R L B s k d U c m 6 7 8 9 g n
"""
"""Figure, and the inputs that its best guess follows. Over-selection keeps a round's reports, so the reports
that are held follow neither phones nor rounds. The first five minutes of each release are alike here, where
phones do not follow the hour."""


def test_servers_and_costs_follow_their_inputs_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of the table: the best guess moves with the inputs named, and with none that is not."""
    monkeypatch.setattr(draws, "DRAWS", 2)
    monkeypatch.setattr(whole, "ROLLOUT_DAYS", 1)
    run = base_of(fakes.fake_run(*build({"devices": 10_000, "mechanism": "poisson", "epsilon": None})))
    numbers = {
        "cdn_per_gb": 0.08,
        "cdn_requests_per_million": 0.7,
        "core_per_hour": 0.04,
        "memory_per_gb_hour": 0.005,
        "storage_per_gb_month": 0.02,
        "gco2e_per_kwh": 400.0,
        "network_kwh_per_gb": 0.03,
        "core_idle_w": 0.7,
        "core_busy_w": 3.5,
        "memory_kwh_per_gb_hour": 0.0004,
        "storage_wh_per_tb_hour": 1.2,
        "pue": 1.1,
        "server_gco2e_per_kwh": 300.0,
    }
    prices = Prices(
        currency="EUR", region="nowhere", **{key: sourced(value) for key, value in numbers.items()}
    )
    plan = Plan(8_400_000, 1e15, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2, download_bytes=1_910_000)
    asked = Asked(plan, read_calibration(), 0.6, prices)

    def figures(asked: Asked) -> dict[str, float]:
        found = forecast(run, asked.plan, asked.calibration, asked.utilisation)
        rows = priced(run, found, asked.prices).forecasts
        return {row.name: row.estimate.value for row in rows if row.hour is None and row.tier is None}

    table = {
        name.strip(): moves.split()
        for name, moves in (line.split("|") for line in MOVES.strip().splitlines())
    }
    usual = figures(asked)
    moved: dict[str, list[str]] = {name: [] for name in table}
    for letter, change in INPUTS.items():
        found = figures(change(asked))
        for name in table:
            if abs(found[name] - usual[name]) > 1e-12 * abs(usual[name]):
                moved[name].append(letter)
    assert {name: " ".join(letters) for name, letters in moved.items()} == {
        name: " ".join(letters) for name, letters in table.items()
    }
