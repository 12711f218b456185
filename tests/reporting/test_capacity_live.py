"""The inputs of a capacity plan's page: its formulas give the best guesses of the command."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Page, needs_browser
from example_live import CALIBRATION, PRICES, Answers, base, in_the_page, opened, prices_of

from fedbert.planning.capacity import basis, draws, request_forecast
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Plan, PrivacyPlan
from fedbert.planning.capacity.cost_forecast import costs, priced
from fedbert.planning.capacity.device_forecast import tiers
from fedbert.planning.capacity.forecast import ROLLOUT_DAYS, forecast
from fedbert.planning.capacity.load import Load, planned_probability
from fedbert.planning.capacity.prices import Prices
from fedbert.planning.capacity.privacy_forecast import privacy_of
from fedbert.planning.capacity.request_forecast import requests
from fedbert.planning.capacity.rollout import Rollout, per_step, roll_out, time_to_share, usual_day
from fedbert.planning.capacity.round_forecast import aggregator, rounds_filled
from fedbert.planning.capacity.server_forecast import servers
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.capacity.traffic_forecast import ROLLOUT_SHARES, rollouts, traffic
from fedbert.privacy.mechanism import SEES_PARTICIPATION
from fedbert.reporting.capacity.live import TITLE, computed_in_the_page, inputs, key_of
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.record import forecast_of, record_of
from fedbert.reporting.capacity.text import BEYOND, value_text

pytestmark = pytest.mark.usefixtures("one_draw")


RELEASES = ((0.4, 3.3), (1.0, 0.0), (2.0, 17.5), (3.7, 23.96))
"""Releases a day and the hour of the first: the fluid model of all plans with one of them is one call."""


SEEN = "|" + SEES_PARTICIPATION


def best_guesses(rows: Iterator[Forecast] | list[Forecast], probability: float) -> Answers:
    """Return the best guesses that the page has, too, by its names."""
    found = {key_of(row): row.estimate.value for row in rows if computed_in_the_page(row)}
    return found | {"sampling probability": probability}


def plans(count: int) -> list[tuple[Plan, dict[str, float], float]]:
    """Return seeded plans, prices and utilisations, each within a factor of ten or so of a usual one."""
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
        found.append((plan, priced_at, min(1.0, near(0.4, 3))))
    return found


def load_with(plan: Plan, run: BaseRun, drawn: draws.Draws) -> Load:
    """Return the load of a plan before anything is served."""
    return Load(
        base=run,
        plan=plan,
        draws=drawn,
        sampling_probability=planned_probability(plan, run),
        served=np.zeros((2, 0)),
        asked=np.zeros((2, 0)),
        early=np.zeros((2, 24)),
        releases_per_day=np.full(2, plan.releases_per_day),
    )


def loads(run: BaseRun, wanted: list[Plan]) -> list[tuple[Load, dict[float, float]]]:
    """Return what `load_of` gives for each plan, and hours to shares; plans of one rhythm are rows."""
    drawn = draws.draw_inputs(run, 0.2, 0)
    found: dict[int, tuple[Load, dict[float, float]]] = {}
    for releases, hour in RELEASES:
        places = [at for at, plan in enumerate(wanted) if plan.releases_per_day == releases]
        empty = [load_with(wanted[at], run, drawn) for at in places]
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


def epsilons(found: PrivacyPlan) -> Answers:
    """Return the epsilons that a plan says, by the page's names."""
    days = ("a day", "30 days", "365 days")
    return {
        f"epsilon in {said}|{each.adversary}": epsilon
        for each in found.guarantees
        for said, epsilon in zip(days, each.epsilons, strict=True)
    }


def by_command(
    template: CapacityForecast, load: Load, hours: dict[float, float], prices: Prices, utilisation: float
) -> Answers:
    """Return the best guesses of the command's own functions."""
    rng = np.random.default_rng(0)
    rows = [
        *traffic(load, rng),
        *rollouts(load, {share: np.full(2, value) for share, value in hours.items()}),
        *requests(load, rng),
        *aggregator(load),
        *tiers(load),
        *servers(load, CALIBRATION, utilisation),
    ]
    q = load.sampling_probability
    private = epsilons(privacy_of(load.base, load.plan, q))
    found = replace(template, plan=load.plan, forecasts=tuple(rows))
    guesses = best_guesses([*rows, *costs(load.base, found, prices)], q)
    return guesses | private | {"rounds that fill": rounds_filled(load, q)}


def settings_of(plan: Plan, prices: dict[str, float], utilisation: float = 0.6) -> dict[str, float]:
    """Return a plan by the names of the page's inputs."""
    values = {name: getattr(plan, name) for name in CapacitySettings.model_fields if hasattr(plan, name)}
    kept = {name: value for name, value in values.items() if isinstance(value, int | float)}
    kept.pop("model_spread")
    priced_at = {f"prices.{key}": value for key, value in prices.items()}
    mbit_per_s = plan.release_bits_per_s / 1e6
    return {**kept, "release_mbit_per_s": mbit_per_s, "utilisation": utilisation, **priced_at}


def wrong(found: Answers, expected: Answers) -> dict[str, tuple[float | None, float | None]]:
    """Return the figures that one side lacks or that differ by more than a millionth."""
    return {
        name: (found.get(name), expected.get(name))
        for name in found.keys() | expected.keys()
        if found.get(name) != pytest.approx(expected.get(name), rel=1e-6, abs=1e-12)
    }


@needs_browser
def test_two_hundred_settings_have_the_command_s_best_guesses(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeded plans, wide and narrow links, prices: each figure is that of the command, to 1e-6."""
    run = base()
    first = priced(run, forecast(run, plans(1)[0][0], CALIBRATION), prices_of(PRICES))
    opened(page, tmp_path, first)
    asked = plans(200)
    monkeypatch.setattr(request_forecast, "hourly", lambda *_: [])  # the page has none of the hours
    found = in_the_page(page, [settings_of(*each) for each in asked])
    expected = [
        by_command(first, load, hours, prices_of(priced_at), utilisation)
        for (load, hours), (_, priced_at, utilisation) in zip(
            loads(run, [plan for plan, _, _ in asked]), asked, strict=True
        )
    ]
    assert [wrong(*pair) for pair in zip(found, expected, strict=True)] == [{}] * 200
    full = [each["hours a day at the cap"] for each in expected]
    assert min(full) == 0 < max(full)
    assert any(math.isinf(each["hours to 95%"]) for each in expected)
    capped = [
        each["sampling probability"] * math.ceil(plan.rounds_per_day) > 1 - 1e-9
        for each, (plan, _, _) in zip(expected, asked, strict=True)
    ]
    assert any(capped)
    assert not all(capped)
    filled = [each["rounds that fill"] for each in expected]
    assert sum(0.001 < share < 0.999 for share in filled) > 20
    assert min(each["total QPS, p99"] for each in expected) > 0


@needs_browser
def test_rounds_of_each_hour_fill_as_by_the_command(page: Page, tmp_path: Path) -> None:
    """Where each round is opened by itself its hours count; spreads of none, of chance's size and of much."""
    run, asked = base(mechanism="poisson", epsilon=None), [plan for plan, _, _ in plans(8)]
    result, found, expected = forecast(run, asked[0]), [], []
    assert result.basis is not None
    for spread in (0.0, 0.002, 0.3):
        opened(page, tmp_path, replace(result, basis=replace(result.basis, round_spread=spread)))
        answers = in_the_page(page, [settings_of(plan, {}) for plan in asked])
        found += [each["rounds that fill"] for each in answers]
        drawn = replace(draws.draw_inputs(run, 0.2, 0), spread=np.full(2, spread))
        expected += [
            rounds_filled(load_with(plan, run, drawn), planned_probability(plan, run)) for plan in asked
        ]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert sum(0.001 < share < 0.999 for share in expected) > 5


@needs_browser
@pytest.mark.parametrize("mechanism", ["poisson", "allocated", "daily", "correlated", "tree"])
def test_epsilons_are_those_of_the_command_or_not_there(page: Page, tmp_path: Path, mechanism: str) -> None:
    """Against one who sees who took part, bounds have formulas; the others are left to the command."""
    run = base(mechanism=mechanism, epsilon=2.0)
    first = CapacitySettings(devices=1_000_000).plan(run)
    opened(page, tmp_path, forecast(run, first))
    asked = [
        replace(first, devices=devices, rounds_per_day=rounds)
        for devices, rounds in ((3_000, 0.3), (1_000_000, 1.0), (8_400_000, 7.5), (10_000_000, 24.0))
    ]
    expected = [epsilons(privacy_of(run, plan, planned_probability(plan, run))) for plan in asked]
    seen = [{key: each[key] for key in each if SEEN in key} for each in expected]
    found = in_the_page(page, [settings_of(plan, {}) for plan in asked])
    kept = [{key: each[key] for key in each if key.startswith("epsilon")} for each in found]
    assert [len(each) for each in seen] == [3] * 4
    assert [wrong(*pair) for pair in zip(kept, seen, strict=True)] == [{}] * 4


@needs_browser
def test_no_epsilon_is_shown_where_delta_is_too_large(page: Page, tmp_path: Path) -> None:
    """A delta of 1e-6 as asked for: known at 100,000 phones, and of no fleet above a million."""
    run = base(devices=1_000, delta=1e-6)
    opened(page, tmp_path, forecast(run, CapacitySettings(devices=100_000).plan(run)))
    key = f"epsilon in a day{SEEN}"
    asked = "document.querySelector('[data-live]').answers({ devices: %d })[%s]"
    assert page.run(asked % (999_999, json.dumps(key))) > 0
    assert page.run(f"Number.isNaN({asked % (1_000_000, json.dumps(key))})")
    assert privacy_of(run, CapacitySettings(devices=1_000_000).plan(run), 0.01).guarantees == ()


@needs_browser
@pytest.mark.parametrize("mechanism", ["poisson", "daily"])
@pytest.mark.parametrize("schedule", ["steady", "run"])
def test_as_computed_the_page_has_the_forecast_s_own_figures(
    page: Page, tmp_path: Path, schedule: Any, mechanism: str
) -> None:
    """No input moved: each figure of the page is that of `forecast`, and has its place in a table."""
    run = base(mechanism=mechanism)
    result = forecast(run, CapacitySettings(schedule=schedule).plan(run), CALIBRATION)
    opened(page, tmp_path, result)
    (found,) = in_the_page(page, [{}])
    private = epsilons(result.privacy)
    by_formula = {key: value for key, value in private.items() if SEEN in key}
    guesses = best_guesses(list(result.forecasts), result.sampling_probability)
    assert wrong(found, guesses | by_formula) == {}
    shown = page.run("[...document.querySelectorAll('[data-answer]')].map((cell) => cell.dataset.answer)")
    assert sorted(shown) == sorted(guesses | private)


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
    del record["basis"]["round_spread"]  # a basis of fewer figures
    assert forecast_of(record).basis is None
    del record["basis"]
    assert TITLE not in render(forecast_of(record), "a command")


def test_a_mechanism_with_a_rule_of_its_own_has_no_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that joins half of the rounds at most is neither of the two rules that the page knows."""
    run = base()
    monkeypatch.setattr(basis, "largest_probability", lambda *_: 0.5)
    assert forecast(run, CapacitySettings().plan(run)).basis is None
