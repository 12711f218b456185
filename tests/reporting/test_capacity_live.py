"""The inputs of a capacity plan's page: its formulas give the best guesses of the command."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Page, browser, chromium
from planning.planning_fakes import fake_run

from fedbert.planning.capacity import basis, draws, request_forecast
from fedbert.planning.capacity.assumed import UTILISATION
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.calibration import read_calibration
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Plan
from fedbert.planning.capacity.cost_forecast import costs, priced
from fedbert.planning.capacity.device_forecast import tiers
from fedbert.planning.capacity.forecast import ROLLOUT_DAYS, forecast
from fedbert.planning.capacity.load import Load, planned_probability
from fedbert.planning.capacity.prices import Prices, Sourced
from fedbert.planning.capacity.request_forecast import requests
from fedbert.planning.capacity.rollout import Rollout, per_step, roll_out, time_to_share, usual_day
from fedbert.planning.capacity.round_forecast import aggregator
from fedbert.planning.capacity.server_forecast import servers
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.capacity.traffic_forecast import ROLLOUT_SHARES, rollouts, traffic
from fedbert.reporting.capacity.live import TITLE, computed_in_the_page, inputs, key_of, live
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.record import forecast_of, record_of
from fedbert.reporting.capacity.text import BEYOND, value_text
from fedbert.reporting.parts.page import render_page
from fedbert.scenario import build

PATH = chromium()
needs_browser = pytest.mark.skipif(PATH is None, reason="no Chromium is installed to run the page's formulas")

PRICES = {
    "cdn_per_gb": 0.01,
    "egress_per_gb": 0.05,
    "ingress_per_gb": 0.02,
    "requests_per_million": 0.4,
    "kwh": 0.3,
    "gco2e_per_kwh": 400.0,
    "network_kwh_per_gb": 0.02,
    "charging_efficiency": 0.8,
    "cdn_requests_per_million": 0.7,
    "core_per_hour": 0.04,
    "memory_per_gb_hour": 0.005,
    "machine_per_hour": 0.1,
    "storage_per_gb_month": 0.02,
    "core_idle_w": 0.7,
    "core_busy_w": 3.5,
    "memory_kwh_per_gb_hour": 0.0004,
    "storage_wh_per_tb_hour": 1.2,
    "pue": 1.1,
    "server_gco2e_per_kwh": 300.0,
}
RELEASES = ((0.4, 3.3), (1.0, 0.0), (2.0, 17.5), (3.7, 23.96))
"""Releases a day and the hour of the first: the fluid model of all plans with one of them is one call."""

Answers = dict[str, float]


@pytest.fixture(autouse=True)
def one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only best guesses are compared: one draw of intervals, no Poisson quantile, which the page lacks."""
    monkeypatch.setattr(draws, "DRAWS", 1)
    monkeypatch.setattr(request_forecast, "_peaks", lambda *_: [])


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One browser for all tests of this file."""
    assert PATH is not None
    with browser(PATH) as found:
        yield found


def base(**values: Any) -> BaseRun:
    """Return the forecast's view of an invented run whose transfers are repeated, as real ones are."""
    plain = {"devices": 10_000, "rounds": 24, "release_every": 12, "mechanism": "daily", "epsilon": 2.0}
    run = base_of(fake_run(*build(plain | values)))
    by_hour = np.sin(np.arange(24) / 24 * 2 * np.pi)
    return replace(
        run,
        moved_bytes=1.07 * run.moved_bytes,
        download_attempts=1.2,
        upload_attempts=1.1,
        eligible=0.3 + 0.2 * by_hour,
        unmetered=0.6 - 0.3 * by_hour,
        completed=run.completed * (0.7 + 0.3 * by_hour[: len(run.completed)]),
    )


def prices_of(values: dict[str, float]) -> Prices:
    """Return a prices file's content; downloads are cheaper beyond 100 and 1,000 TB a month."""
    said = {
        key: Sourced(value=value, date=date(2026, 1, 2), source="invented") for key, value in values.items()
    }
    if first := said.get("cdn_per_gb"):
        steps = ((100.0, 0.7 * first.value), (1_000.0, 0.3 * first.value))
        said["cdn_per_gb"] = first.model_copy(update={"above_tb_per_month": steps})
    return Prices(currency="EUR", region="nowhere", **said)


def best_guesses(rows: Iterator[Forecast] | list[Forecast], probability: float) -> Answers:
    """Return the best guesses that the page has, too, by its names."""
    found = {key_of(row): row.estimate.value for row in rows if computed_in_the_page(row)}
    return found | {"sampling probability": probability}


def plans(count: int) -> list[tuple[Plan, dict[str, float]]]:
    """Return seeded plans and prices, each number within a factor of ten or so of a usual one."""
    rng = np.random.default_rng(8)

    def near(value: float, factor: float = 10.0) -> float:
        return float(value * factor ** rng.uniform(-1, 1))

    found = []
    for _ in range(count):
        releases, hour = RELEASES[rng.integers(len(RELEASES))]
        plan = Plan(
            devices=round(near(8_400_000)),
            release_bits_per_s=near(3e9),
            reports_per_round=round(near(10_000)),
            rounds_per_day=near(12.0),
            releases_per_day=releases,
            release_hour=hour,
            over_selection=near(1.3, 3),
            model_spread=0.2,
            sessions_per_day=near(4.0),
            download_bytes=near(1_910_000),
            check_in_bytes=near(3_000),
            connection_bytes=near(3_000),
        )
        priced_at = {
            key: min(value * factor, 1e9) for key, value in PRICES.items() for factor in [near(1.0, 1.2)]
        }
        found.append((plan, priced_at))
    return found


def loads(run: BaseRun, wanted: list[Plan]) -> list[tuple[Load, dict[float, float]]]:
    """Return what `load_of` gives for each plan, and hours to shares; plans of one rhythm are rows."""
    drawn = draws.draw_inputs(run, 0.2, 0)
    found: dict[int, tuple[Load, dict[float, float]]] = {}
    for releases, hour in RELEASES:
        places = [at for at, plan in enumerate(wanted) if plan.releases_per_day == releases]
        empty = [
            Load(
                base=run,
                plan=wanted[at],
                draws=drawn,
                sampling_probability=planned_probability(wanted[at], run),
                served=np.zeros((2, 0)),
                asked=np.zeros((2, 0)),
                early=np.zeros((2, 24)),
                releases_per_day=np.full(2, releases),
            )
            for at in places
        ]
        devices: Any = np.array([load.fetching for load in empty])
        cap: Any = np.array(
            [per_step(load.plan.release_bits_per_s, load.bytes_per_download) for load in empty]
        )
        rate, frailty = (
            np.tile(drawn.fetch_rate[:1], (len(empty), 1)),
            np.tile(drawn.frailty[:1], (len(empty), 1)),
        )
        served = usual_day(devices, cap, rate, frailty, hour, releases)
        asked = usual_day(devices, np.inf, rate, frailty, hour, releases)
        one = roll_out(devices, cap, rate, frailty, hour, ROLLOUT_DAYS)
        for row, at in enumerate(places):
            mine = Rollout(one.reached[row : row + 1], one.served[row : row + 1])
            hours = {share: float(time_to_share(mine, devices[row], share)[0]) for share in ROLLOUT_SHARES}
            both = [row, row]
            found[at] = replace(empty[row], served=served[both], asked=asked[both]), hours
    return [found[at] for at in range(len(wanted))]


def by_command(template: CapacityForecast, load: Load, hours: dict[float, float], prices: Prices) -> Answers:
    """Return the best guesses of the command's own functions."""
    rng = np.random.default_rng(0)
    rows = [
        *traffic(load, rng),
        *rollouts(load, {share: np.full(2, value) for share, value in hours.items()}),
        *requests(load, rng),
        *aggregator(load),
        *tiers(load),
        *servers(load, read_calibration(), UTILISATION),
    ]
    found = replace(template, plan=load.plan, forecasts=tuple(rows))
    return best_guesses([*rows, *costs(load.base, found, prices)], load.sampling_probability)


def settings_of(plan: Plan, prices: dict[str, float]) -> dict[str, float]:
    """Return a plan by the names of the page's inputs."""
    values = {name: getattr(plan, name) for name in CapacitySettings.model_fields if hasattr(plan, name)}
    kept = {name: value for name, value in values.items() if isinstance(value, int | float)}
    kept.pop("model_spread")
    priced_at = {f"prices.{key}": value for key, value in prices.items()}
    return {**kept, "release_mbit_per_s": plan.release_bits_per_s / 1e6, **priced_at}


def in_the_page(page: Page, settings: list[dict[str, float]]) -> list[Answers]:
    """Return the page's own answers to settings."""
    asked = (
        "JSON.stringify(%s.map((each) => document.querySelector('[data-live]').answers(each)),"
        " (key, value) => value === Infinity ? 'inf' : value)"
    )
    found = json.loads(page.run(asked % json.dumps(settings)))
    return [{name: math.inf if value == "inf" else value for name, value in each.items()} for each in found]


def opened(page: Page, folder: Path, result: CapacityForecast, fragment: str = "") -> None:
    """Open a page with the chapter of a forecast alone: without charts it loads quickly."""
    (folder / "report.html").write_text(render_page("A plan", "", [], live(result)), encoding="utf-8")
    page.open(folder / "report.html", fragment)


def wrong(found: Answers, expected: Answers) -> dict[str, tuple[float | None, float | None]]:
    """Return the figures that one side lacks or that differ by more than a millionth."""
    return {
        name: (found.get(name), expected.get(name))
        for name in found.keys() | expected.keys()
        if found.get(name) != pytest.approx(expected.get(name), rel=1e-6, abs=1e-12)
    }


@needs_browser
def test_two_hundred_settings_have_the_command_s_best_guesses(page: Page, tmp_path: Path) -> None:
    """Seeded plans, wide and narrow links, prices: each figure is that of the command, to 1e-6."""
    run = base()
    planned = forecast(run, plans(1)[0][0], read_calibration(), UTILISATION)
    first = priced(run, planned, prices_of(PRICES))
    opened(page, tmp_path, first)
    asked = plans(200)
    found = in_the_page(page, [settings_of(*each) for each in asked])
    expected = [
        by_command(first, load, hours, prices_of(priced_at))
        for (load, hours), (_, priced_at) in zip(loads(run, [plan for plan, _ in asked]), asked, strict=True)
    ]
    assert [wrong(*pair) for pair in zip(found, expected, strict=True)] == [{}] * 200
    full = [each["hours a day at the cap"] for each in expected]
    assert min(full) == 0 < max(full)
    assert any(math.isinf(each["hours to 95%"]) for each in expected)
    capped = [
        each["sampling probability"] * math.ceil(plan.rounds_per_day) > 1 - 1e-9
        for each, (plan, _) in zip(expected, asked, strict=True)
    ]
    assert any(capped)
    assert not all(capped)


@needs_browser
@pytest.mark.parametrize("mechanism", ["poisson", "daily"])
@pytest.mark.parametrize("schedule", ["steady", "run"])
def test_as_computed_the_page_has_the_forecast_s_own_figures(
    page: Page, tmp_path: Path, schedule: Any, mechanism: str
) -> None:
    """No input moved: each figure of the page is that of `forecast`, and has its place in a table."""
    run = base(mechanism=mechanism)
    result = forecast(run, CapacitySettings(schedule=schedule).plan(run))
    opened(page, tmp_path, result)
    (found,) = in_the_page(page, [{}])
    assert wrong(found, best_guesses(list(result.forecasts), result.sampling_probability)) == {}
    shown = page.run("[...document.querySelectorAll('[data-answer]')].map((cell) => cell.dataset.answer)")
    assert sorted(shown) == sorted(found)


STATE = """(() => {
  const texts = (css) => [...document.querySelectorAll(css)].map((each) => each.textContent.trim());
  const now = texts("[data-answer]"), computed = texts("[data-answer] + td");
  const value = (key) => document.querySelector(`[data-key="${key}"]`).value;
  const answer = document.querySelector('[data-answer="reports per day"]').textContent;
  const fault = texts("[data-fault]")[0], link = document.querySelector("[data-link]").href;
  return { now, computed, devices: value("devices"), rounds: value("rounds_per_day"), answer, fault, link,
           hash: location.hash, flags: texts("[data-flags]")[0] };
})()"""

TYPED = """(() => {
  const field = document.querySelector('[data-key="%s"]');
  field.value = "%s";
  field.dispatchEvent(new Event("input"));
  field.dispatchEvent(new Event("change"));
})()"""


@needs_browser
def test_a_fragment_restores_a_setting_and_the_reset_leaves_it(page: Page, tmp_path: Path) -> None:
    """5 million phones and 6 rounds in the address: inputs and answers have them, the computed plan stays."""
    run = base()
    result = forecast(run, CapacitySettings().plan(run))
    opened(page, tmp_path, result)
    plain = page.run(STATE)
    assert all(text.startswith(value) for text, value in zip(plain["computed"], plain["now"], strict=True))
    fragment = "#plan:devices=5000000&rounds_per_day=6"
    opened(page, tmp_path, result, fragment)
    moved = page.run(STATE)
    assert (moved["devices"], moved["rounds"], moved["fault"], moved["hash"]) == (
        "5000000",
        "6",
        "",
        fragment,
    )
    assert moved["link"].endswith(fragment)
    assert moved["computed"] == plain["computed"]
    (found,) = in_the_page(page, [{"devices": 5_000_000, "rounds_per_day": 6}])
    assert moved["answer"] == value_text(found["reports per day"], "reports") != plain["answer"]
    assert "--devices 5000000 --reports-per-round 10000" in moved["flags"]
    page.run("document.querySelector('[data-reset]').click()")
    assert page.run(STATE) == plain


@needs_browser
def test_a_setting_typed_is_in_the_address_and_a_wrong_one_has_one_line(page: Page, tmp_path: Path) -> None:
    """A number moves the address; one out of range, or reports above phones, shows its rule."""
    run = base()
    opened(page, tmp_path, forecast(run, CapacitySettings().plan(run)))
    page.run(TYPED % ("rounds_per_day", "6"))
    assert page.run(STATE)["hash"] == "#plan:rounds_per_day=6"
    for key, text, rule in (
        ("devices", "0", "Phones (=0) must be at least 1"),
        ("devices", "2.5", "Phones (=2.5) must be a whole number"),
        ("devices", "", "Phones (=) must be a number"),
        ("download_bytes", "0", "Bytes of a download (=0) must be more than 0"),
        ("rounds_per_day", "1441", "Rounds per day (=1441) must be at most 1440"),
        ("devices", "9999", "Reports per round (=10000) must be at most the phones (= 9999)"),
    ):
        page.run("document.querySelector('[data-reset]').click()")
        page.run(TYPED % (key, text))
        found = page.run(STATE)
        assert (found["fault"], set(found["now"])) == (rule, {"–"})
    page.open(tmp_path / "report.html", "#plan:phones=7")
    assert page.run(STATE)["fault"] == "The link has a setting (phones=7) that this plan does not have"
    page.open(tmp_path / "report.html", "#plan:devices=many")
    assert page.run(STATE)["fault"] == "Phones (=many) must be a number"


@needs_browser
def test_figures_read_as_in_the_tables(page: Page, tmp_path: Path) -> None:
    """Numbers of all sizes in each unit: the page writes what `value_text` does, but for exact halves."""
    opened(page, tmp_path, forecast(base(), plans(1)[0][0]))
    units = ["bytes", "bytes/s", "bit/s", "share", "additions/s", "mJ", "%", "hours", "EUR", "reports", ""]
    small = [0.0, 1.234e-5, 0.00573, 0.6, 1.0, 12.34, 99.96]
    values = [*small, 100.4, 1234.5, 9999.4, 56789.0, 1.2345e6, 6.789e7, 9e12]
    asked = [(value, unit) for value in values for unit in units] + [(math.inf, "hours")]
    calls = ",".join(
        f"capacityText({str(value).replace('inf', 'Infinity')}, {unit!r}, {BEYOND!r})"
        for value, unit in asked
    )
    assert page.run(f"[{calls}]") == [value_text(*each) for each in asked]


def test_inputs_have_the_limits_of_the_flags() -> None:
    """Least and most are those of `CapacitySettings`; the run's own schedule has no rhythm of its own."""
    run = base()
    found = {each.key: each for each in inputs(forecast(run, CapacitySettings().plan(run)))}
    assert (found["devices"].least, found["devices"].most, found["devices"].whole) == (1, 1e10, True)
    assert (found["download_bytes"].least, found["download_bytes"].least_is_in) == (0, False)
    own = {each.key for each in inputs(forecast(run, CapacitySettings(schedule="run").plan(run)))}
    assert found.keys() - own == {"rounds_per_day", "releases_per_day", "release_hour"}


def test_a_forecast_of_before_has_no_inputs() -> None:
    """The basis is kept in capacity.json; where it is not, the page has the other chapters alone."""
    run = base()
    result = forecast(run, CapacitySettings().plan(run))
    record = record_of(result, "a command")
    assert forecast_of(record).basis == result.basis
    assert TITLE in render(forecast_of(record), "a command")
    del record["basis"]
    assert TITLE not in render(forecast_of(record), "a command")


def test_a_mechanism_with_a_rule_of_its_own_has_no_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that joins half of the rounds at most is neither of the two rules that the page knows."""
    run = base()
    monkeypatch.setattr(basis, "largest_probability", lambda *_: 0.5)
    assert forecast(run, CapacitySettings().plan(run)).basis is None
