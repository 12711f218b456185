"""The capacity forecast: literal arithmetic, plain references, monotone behaviour, files and errors."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import planning_fakes as fakes
import pytest
from scipy import stats

from fedbert.cli.capacity import run_capacity
from fedbert.errors import FedbertError
from fedbert.intervals import Estimate, from_draws
from fedbert.planning.capacity.base_run import BaseRun, base_of, read_base_run, window_hours
from fedbert.planning.capacity.capacity import CapacityForecast, Plan
from fedbert.planning.capacity.draws import draw_inputs, error_sd, round_spread, spread_sd
from fedbert.planning.capacity.filling import fill_chance, sampling_probability
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.request_forecast import p99
from fedbert.planning.capacity.rollout import (
    STEPS_PER_HOUR,
    bits_per_s,
    per_step,
    roll_out,
    time_to_share,
    usual_day,
)
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.text import interval_text, part_day_warning, value_text
from fedbert.results import DeviceErrorRow, DeviceErrors, save_run
from fedbert.scenario import build
from fedbert.units import S_PER_DAY, TERABYTE

ASKED: dict[str, Any] = {
    "devices": 8_400_000,
    "release_mbit_per_s": 1500.0,
    "reports_per_round": 10_000,
}
"""What the tests plan for; the rest are the defaults."""

ALIKE = np.array([[0.0, 1.0]])
"""The frailty of phones that are all connected as often."""


def plan_for(
    asked: dict[str, Any], run: Path | None, output: Path, overwrite: bool, simulate: Any = None
) -> None:
    """Run the command's function as its flags would call it."""
    settings = CapacitySettings(**(asked | {"base": run, "output": output, "overwrite": overwrite}))
    run_capacity(settings, simulate)


def base(**values: Any) -> BaseRun:
    """Return the forecast's view of an invented run."""
    plain = {"devices": 10_000, "rounds": 12, "mechanism": "poisson", "epsilon": None}
    scenario, execution = build(plain | values)
    return base_of(fakes.fake_run(scenario, execution))


def plan(**values: Any) -> Plan:
    """Return the plan of 8.4 million phones with some values changed."""
    return replace(Plan(8_400_000, 1.5e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2), **values)


@pytest.fixture(scope="module")
def usual() -> CapacityForecast:
    """The forecast of 8.4 million phones from the invented run."""
    return forecast(base(), plan())


def test_the_paper_s_fleet_by_arithmetic() -> None:
    """8.4 M x 1.91 MB = 16.04 TB; 1.49 Gbit/s over 24 h; 97.2 Gbit/s over 22 minutes."""
    assert round(8.4e6 * 1.91e6 / TERABYTE, 2) == 16.04
    assert round(bits_per_s(8.4e6, 1.91e6, S_PER_DAY) / 1e9, 2) == 1.49
    assert round(bits_per_s(8.4e6, 1.91e6, 22 * 60) / 1e9, 1) == 97.2


def test_forecast_states_the_paper_s_arithmetic(usual: CapacityForecast) -> None:
    """The same figures stand in the forecast, as measured sizes times the fleet."""
    row = usual.find("egress, one release to all devices")
    assert value_text(row.estimate.value, row.unit) == "16.04 TB"
    assert row.label == "measured"
    row = usual.find("egress, one release in 24 h")
    assert value_text(row.estimate.value, row.unit) == "1.49 Gbit/s"


def test_window_hours_wrap_over_midnight() -> None:
    """A window that ends at 1 and lasts 2.5 hours holds parts of hours 22, 23 and 0."""
    hours = window_hours(1.0, 2.5)
    assert {hour: hours[hour] for hour in (22, 23, 0)} == {22: 0.5, 23: 1.0, 0: 1.0}
    assert hours.sum() == 2.5
    assert window_hours(0.0, 2.0)[[22, 23]].tolist() == [1.0, 1.0]
    assert window_hours(5.0, 24.0).tolist() == [1.0] * 24


def test_roll_out_without_cap_is_the_closed_form() -> None:
    """At .3 an hour, a fifth of the phones at a tenth of that: .8 exp(-.3 t) + .2 exp(-.03 t) are behind."""
    rollout = roll_out(1000.0, math.inf, np.full((1, 24), 0.3), np.array([[0.2, 0.1]]), 3.0, 1)
    for hours in (1, 5, 24):
        expected = 1000 * (1 - 0.8 * math.exp(-0.3 * hours) - 0.2 * math.exp(-0.03 * hours))
        assert rollout.reached[0, hours * STEPS_PER_HOUR] == pytest.approx(expected, rel=1e-9)


def test_roll_out_under_a_cap_is_a_straight_line() -> None:
    """When all ask at once, 8.4 M at 1.5 Gbit/s take 23.77 hours, and half of them half of that."""
    capacity = per_step(1.5e9, 1.91e6)
    rollout = roll_out(8.4e6, capacity, np.full((1, 24), 1e6), ALIKE, 0.0, 2)
    total = 8.4e6 * 1.91e6 * 8 / 1.5e9 / 3600
    assert time_to_share(rollout, 8.4e6, 1.0)[0] == pytest.approx(total, abs=0.1)
    assert time_to_share(rollout, 8.4e6, 0.5)[0] == pytest.approx(total / 2, abs=0.1)


def test_roll_out_serves_like_a_plain_loop() -> None:
    """The fluid model equals a step-by-step account of asked, waiting and served with plain numbers."""
    rates = np.linspace(0.1, 0.6, 24)
    found = roll_out(500.0, 4.0, rates[None, :], np.array([[0.3, 0.2]]), 20.0, 1).served[0]
    exposure = waiting = 0.0
    asked = 0.0
    for step in range(24 * STEPS_PER_HOUR):
        hour = int(20 + step / STEPS_PER_HOUR) % 24
        exposure += rates[hour] / STEPS_PER_HOUR
        now = 500 * (1 - 0.7 * math.exp(-exposure) - 0.3 * math.exp(-0.2 * exposure))
        waiting += now - asked
        asked = now
        served = min(4.0, waiting)
        waiting -= served
        assert found[step] == pytest.approx(served, abs=1e-9)


def test_never_reached_is_infinite() -> None:
    """A share that the horizon does not reach takes infinitely long."""
    rollout = roll_out(1e6, 1.0, np.full((1, 24), 1.0), ALIKE, 0.0, 1)
    assert time_to_share(rollout, 1e6, 0.5)[0] == math.inf


@pytest.mark.parametrize("releases", [0.5, 1.0, 2.0, 4.0])
def test_usual_day_brings_each_release_to_everybody(releases: float) -> None:
    """With eager devices and no cap, a day's downloads are devices x releases a day."""
    day = usual_day(1000.0, math.inf, np.full((1, 24), 50.0), ALIKE, 1.0, releases)
    assert day.sum() == pytest.approx(1000 * releases, rel=1e-6)


def test_usual_day_respects_the_cap() -> None:
    """No step serves more than the cap; a cap too small for the releases is used all day."""
    day = usual_day(1e6, 10.0, np.full((1, 24), 1.0), np.array([[0.2, 0.1]]), 0.0, 2.0)
    assert day.max() <= 10.0
    assert day.min() == pytest.approx(10.0)


def test_control_group_does_not_count_as_behind() -> None:
    """Devices behind in the first window after a release are all but the control group."""
    fetch = base().fetch
    assert fetch.behind[0] == 9_500
    assert fetch.before[0].sum() == 0
    assert fetch.after[0].sum() == 2.0


@pytest.mark.parametrize("release_every", [12, 100])
def test_a_run_without_a_fetched_release_is_refused(release_every: int) -> None:
    """No release, or one in the last round that nobody could fetch, leaves nothing to fit the roll-out to."""
    with pytest.raises(
        FedbertError, match=r"no release that a device fetched .* use more rounds or a smaller"
    ):
        base(release_every=release_every)


def test_fill_chance_is_binomial_without_spread() -> None:
    """Spread 0: the survival function of the binomial."""
    found = fill_chance(30, 1000, np.array([0.03, 0.05]), np.zeros(2))
    assert found == pytest.approx(stats.binom.sf(29, 1000, [0.03, 0.05]))


def test_fill_chance_with_spread_is_beta_binomial() -> None:
    """Spread tau: beta-binomial with mean p and relative standard deviation tau of p."""
    p, tau = 0.03, 0.2
    size = p * (1 - p) / (tau * p) ** 2 - 1
    expected = stats.betabinom.sf(29, 1000, p * size, (1 - p) * size)
    assert fill_chance(30, 1000, np.array([p]), np.array([tau]))[0] == pytest.approx(expected, abs=2e-3)


def test_fill_chance_at_the_ends() -> None:
    """No chance to report never fills a round, certain reports always do; a share is never outside 0..1."""
    found = fill_chance(10, 1000, np.array([0.0, 1.0]), np.array([0.3, 0.3]))
    assert found == pytest.approx([0.0, 1.0], abs=1e-6)


def test_sampling_probability_expects_the_wanted_reports() -> None:
    """q x devices x yield = over-selection x wanted, and at most 1."""
    assert sampling_probability(1000, 1.3, 10_000, 0.25) == pytest.approx(0.52)
    assert sampling_probability(1000, 1.3, 1_000, 0.25) == 1.0
    assert sampling_probability(1000, 1.3, 1_000, 0.0) == 1.0


def test_round_spread_finds_extra_variation() -> None:
    """Binomial rounds show next to none; rounds that differ by 30 % show about .3."""
    run = base()
    ones = np.ones((1, len(run.completed)))
    assert round_spread(run, ones)[0] < 0.05
    rng = np.random.default_rng(0)
    many = 400
    uneven = replace(
        run,
        cohort=np.full(many, 1e5),
        completed=2.7e4 * (1 + 0.3 * rng.standard_normal(many)),
        round_hours_of_day=np.tile(run.round_hours_of_day[0], (many, 1)),
    )
    assert round_spread(uneven, np.ones((1, many)))[0] == pytest.approx(0.3, rel=0.1)


def test_figures_of_a_constant_fleet_by_hand(usual: CapacityForecast) -> None:
    """Shares and rates of the invented run times 8.4 million."""
    n, rounds = 8_400_000, 12
    q = 1.3 * 10_000 / (n * 0.3 * 0.9)
    assert usual.sampling_probability == pytest.approx(q, rel=1e-6)
    reports = n * q * 0.3 * 0.9 * rounds
    expected = {
        "reports per day": reports,
        "ingress per day": reports * fakes.REPORT_BYTES,
        "aggregator ingress": reports * fakes.REPORT_BYTES / 86_400,
        "aggregator additions": reports * fakes.REPORT_BYTES / 4 / 86_400,
        "aggregator ingress, burst": 13_000 * fakes.REPORT_BYTES / 180,
        "share of sessions scored": 0.8,
        "check-in QPS, peak hour": n * 0.3 * rounds / 86_400,
    }
    for name, value in expected.items():
        assert usual.find(name).estimate.value == pytest.approx(value, rel=1e-3), name
    assert usual.find("eligible devices", 5).estimate.value == pytest.approx(0.3 * n)
    # 2 installs of 100 ms of the run's 4,000 ms follow the plan's downloads, the rest its sessions.
    downloads = usual.find("downloads per phone and day").estimate.value / base().downloads_per_day
    computing = usual.find("computing per day", tier="entry").estimate.value
    assert computing == pytest.approx(3800 + 200 * downloads)


def test_figures_are_said_with_three_digits() -> None:
    """Units by size; an interval says its unit once, and what lies beyond the horizon in words."""
    said = [value_text(*each) for each in ((8.4e6, "downloads"), (45_100, "additions/s"), (0.93, "share"))]
    assert said == ["8.40 million", "45,100/s", "93.0%"]
    assert value_text(1.77e12, "bit/s") == "1.77 Tbit/s"
    assert interval_text(Estimate(2.0, 1.8e6, 45.1e6), "additions/s") == "1.80 to 45.1 million/s"
    assert interval_text(Estimate(0.8, 0.746, 0.843), "share") == "74.6 to 84.3%"
    assert interval_text(Estimate(math.inf, 150.0, math.inf), "hours") == "150 hours or more"
    assert interval_text(Estimate(math.inf, math.inf, math.inf), "hours") == "not within 7 days"
    assert interval_text(Estimate(1.0, None, None), "hours") == "–"


def test_headroom_is_what_downloads_leave_of_the_cap(usual: CapacityForecast) -> None:
    """It is 1 minus the peak hour's bits over the cap; a cap that binds has none."""
    wide = forecast(base(), plan(release_bits_per_s=1e15))
    peak = wide.by_hour("download QPS").value.max() * fakes.RELEASE_BYTES * 8
    assert wide.find("egress headroom, peak hour").estimate.value == pytest.approx(1 - peak / 1e15)
    half = forecast(base(), plan(release_bits_per_s=2 * peak))
    assert half.find("egress headroom, peak hour").estimate.value == pytest.approx(0.5, abs=0.05)
    assert (
        forecast(base(), plan(release_bits_per_s=1e6)).find("egress headroom, peak hour").estimate.value
        < 0.01
    )


def test_p99_of_a_day_of_equal_hours_is_poisson_s() -> None:
    """At 100 requests per second 1% of seconds have over 124; one busy hour of 24 moves it."""
    even, uneven = np.full((1, 24), 100.0), np.r_[np.full(23, 1.0), 100.0][None, :]
    hours = np.full(24, 1 / 24)
    assert p99(even, hours)[0] == stats.poisson.isf(0.01, 100.0) == 124
    assert 100 < p99(uneven, hours)[0] < 124
    assert p99(np.zeros((2, 24)), hours).tolist() == [0.0, 0.0]
    # A part that takes no time does not count.
    assert p99(np.array([[100.0, 9.0]]), np.array([0.0, 1.0]))[0] == stats.poisson.isf(0.01, 9.0)


def test_every_forecast_has_unit_label_assumption_and_interval(usual: CapacityForecast) -> None:
    """low <= value <= high for all that is modelled, and nobody has to guess what a figure rests on."""
    for row in usual.forecasts:
        assert row.unit
        assert row.label in ("measured", "modelled")
        assert len(row.assumption) >= 10
        low, value, high = row.estimate.low, row.estimate.value, row.estimate.high
        if math.isnan(value):
            assert row.note.startswith("beyond what the run saw: a release reached 83.5%")
            continue
        if row.label == "measured":
            continue
        assert low is not None
        assert high is not None
        assert low <= value <= high, row.name
    hours = {row.hour for row in usual.forecasts if row.name == "chance that a round fills"}
    assert hours == set(range(24))


def test_same_arguments_same_forecast(usual: CapacityForecast) -> None:
    """The draws come from the run's seed: a second forecast is equal to the bit."""
    assert forecast(base(), plan()).forecasts == usual.forecasts


def test_intervals_widen_with_spread_and_smaller_runs() -> None:
    """A larger model spread and a smaller run both widen the interval of the eligible share."""

    def width(devices: int, spread: float) -> float:
        row = from_draws(draw_inputs(base(devices=devices), spread, 0).eligible[:, 0])
        return (row.high or 0.0) - (row.low or 0.0)

    assert width(10_000, 0.5) > 1.5 * width(10_000, 0.2)
    assert width(400, 0.0) > 3 * width(10_000, 0.0) > 0


def test_intervals_cover_other_runs() -> None:
    """Sampling: the interval from 1,000 devices holds the truth in about 95 of 100 samples of a fleet."""
    rng = np.random.default_rng(1)
    run = base(devices=1000)
    held = 0
    for seed in range(60):
        sampled = replace(run, eligible=np.full(24, rng.binomial(1000, 0.3) / 1000))
        row = from_draws(draw_inputs(sampled, 0.0, seed).eligible[:, 3])
        assert row.low is not None
        assert row.high is not None
        held += row.low <= 0.3 <= row.high
    assert 51 <= held <= 60


def test_always_available_and_tiny_fleets_forecast() -> None:
    """Shares of exactly 1 and a fleet of one phone give finite figures."""
    always = forecast(base(availability="always"), plan())
    assert always.find("eligible devices", 0).estimate.value == 8_400_000
    one = forecast(base(), plan(devices=1, reports_per_round=1))
    assert 0 <= one.find("rounds that fill").estimate.value <= 1


def test_unfinished_or_empty_runs_are_refused() -> None:
    """An interrupted run and a run without reports cannot be scaled."""
    scenario, execution = build({"devices": 100})
    result = fakes.fake_run(scenario, execution)
    result["status"] = "interrupted after round 3"
    with pytest.raises(FedbertError, match=r"must be finished[^\n]*$"):
        base_of(result)
    result = fakes.fake_run(*build({"devices": 1}))
    with pytest.raises(FedbertError, match=r"must have completed reports[^\n]*$"):
        base_of(result)
    result = fakes.fake_run(scenario, execution)
    result["rounds"][1]["round_s"] = 7.2
    with pytest.raises(FedbertError, match=r"must take every report of its rounds[^\n]*target-reports$"):
        base_of(result)
    result = fakes.fake_run(*build({"devices": 100, "selection": "by-tier"}))
    with pytest.raises(FedbertError, match=r"must ask whom the mechanism[^\n]*without --selection by-tier$"):
        base_of(result)


def test_folders_that_are_no_run(tmp_path: Path) -> None:
    """Missing folder, no run.json, not JSON, lacking keys: one line each."""
    with pytest.raises(FedbertError, match=r"^from\(=.*check the path$"):
        read_base_run(tmp_path / "nowhere")
    with pytest.raises(FedbertError, match=r"run\.json must exist[^\n]*$"):
        read_base_run(tmp_path)
    (tmp_path / "run.json").write_text("not JSON")
    with pytest.raises(FedbertError, match=r"must be a run's JSON[^\n]*$"):
        read_base_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 1}')
    with pytest.raises(FedbertError, match=r"lacks 'scenario'[^\n]*$"):
        read_base_run(tmp_path)


def saved_run(folder: Path) -> Path:
    """Save an invented run and return its folder."""
    folder.mkdir()
    save_run(fakes.fake_run(*build({"devices": 10_000, "rounds": 12, "epsilon": None})), folder)
    return folder


def test_command_writes_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, JSON, CSV and page agree; a second call needs --overwrite."""
    run, out = saved_run(tmp_path / "run"), tmp_path / "out"
    plan_for(ASKED, run, out, overwrite=False)
    assert sorted(path.name for path in out.iterdir()) == ["capacity.json", "forecast.csv", "report.html"]
    found = json.loads((out / "capacity.json").read_text())
    by_name = {row["forecast"]: row for row in found["forecasts"] if row["hour"] is None}
    assert by_name["egress, one release to all devices"]["value"] == pytest.approx(16.044e12)
    table = pd.read_csv(out / "forecast.csv")
    assert len(table) == len(found["forecasts"])
    page = (out / "report.html").read_text()
    assert "Chance that a round fills" in page
    assert "16.04 TB" in page
    assert "16.04 TB" in capsys.readouterr().out
    with pytest.raises(FedbertError, match=r"add --overwrite[^\n]*$"):
        plan_for(ASKED, run, out, overwrite=False)
    plan_for(ASKED | {"devices": 1_000_000}, run, out, overwrite=True)
    assert json.loads((out / "capacity.json").read_text())["plan"]["devices"] == 1_000_000


def test_part_of_a_day_is_said(usual: CapacityForecast) -> None:
    """Six rounds of two hours are half a day, and cost a day then rests on half of the hours."""
    assert part_day_warning(usual) is None
    assert "0.5 days" in (part_day_warning(forecast(base(rounds=6), plan())) or "")


def test_without_from_it_runs_10_000_devices_first(tmp_path: Path) -> None:
    """The small run is kept beside the forecast, and can be named with --from."""
    plan_for(ASKED, None, tmp_path / "out", False, fakes.fake_run)
    assert read_base_run(tmp_path / "out" / "run").devices == 10_000


def test_unreachable_roll_out_is_valid_json(tmp_path: Path) -> None:
    """A cap that is far too small: null in the JSON, words in the page."""
    run = saved_run(tmp_path / "run")
    plan_for(ASKED | {"release_mbit_per_s": 1.0}, run, tmp_path / "out", False)
    rows = json.loads((tmp_path / "out" / "capacity.json").read_text())["forecasts"]
    assert next(row for row in rows if row["forecast"] == "hours to 95%")["value"] is None
    assert "not within 7 days" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"devices": 0}, "devices"),
        ({"devices": -8}, "devices"),
        ({"devices": 10**12}, "devices"),
        ({"release_mbit_per_s": 0.0}, "release_mbit_per_s"),
        ({"release_mbit_per_s": math.nan}, "release_mbit_per_s"),
        ({"reports_per_round": 0}, "reports_per_round"),
        ({"devices": 100, "reports_per_round": 101}, "reports_per_round"),
        ({"rounds_per_day": -1.0}, "rounds_per_day"),
        ({"releases_per_day": math.inf}, "releases_per_day"),
        ({"release_hour": 24.0}, "release_hour"),
        ({"over_selection": 0.0}, "over_selection"),
        ({"model_spread": -0.1}, "model_spread"),
    ],
)
def test_wrong_values_are_one_line_and_write_nothing(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    """Each flag out of its range is refused by name before anything runs."""
    with pytest.raises(FedbertError, match=rf"^{word}\(=[^\n]*$"):
        plan_for(ASKED | change, None, tmp_path / "out", False, fakes.broken_run)
    assert not (tmp_path / "out").exists()


def test_the_run_itself_is_never_overwritten(tmp_path: Path) -> None:
    """--output may not be the folder of --from, nor hold it."""
    run = saved_run(tmp_path / "run")
    for folder in (run, tmp_path):
        with pytest.raises(FedbertError, match=r"must not hold the run[^\n]*$"):
            plan_for(ASKED, run, folder, overwrite=True)
    assert (run / "run.json").is_file()


def test_failed_first_run_leaves_no_forecast(tmp_path: Path) -> None:
    """When the small run fails, nothing that looks like a forecast is left."""
    with pytest.raises(ZeroDivisionError):
        plan_for(ASKED, None, tmp_path / "out", False, fakes.broken_run)
    assert not (tmp_path / "out").exists()


def test_failed_first_run_keeps_an_earlier_forecast(tmp_path: Path) -> None:
    """--overwrite replaces only once there is something to replace it with."""
    plan_for(ASKED, saved_run(tmp_path / "run"), tmp_path / "out", False)
    with pytest.raises(ZeroDivisionError):
        plan_for(ASKED, None, tmp_path / "out", True, fakes.broken_run)
    assert (tmp_path / "out" / "report.html").is_file()


def test_quality_by_tier_device_errors_and_energy_are_in_the_forecast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base run's quality by tier, how far off the device model is, and mJ a session and a round."""
    plan_for(ASKED, saved_run(tmp_path / "run"), tmp_path / "out", overwrite=False)
    page = (tmp_path / "out" / "report.html").read_text()
    base = read_base_run(tmp_path / "run")
    for part in ("Quality by device tier", "How far off the device model is", "invented boards", "17.0%"):
        assert part in page
    engine = "Latency is predicted for an invented engine."
    assert engine in page
    entry = next(tier for tier in base.tiers if tier.name == "entry")
    final = fakes.final_ndcg(None, 0)
    assert entry.ndcg == pytest.approx((0.7 * final, final, 0.78, final - 0.02, 0.9))
    printed = capsys.readouterr().out
    assert engine in " ".join(printed.split())
    for value in entry.ndcg:
        assert f"{value:.3f}" in page
        assert f"{value:.3f}" in printed
    rows = json.loads((tmp_path / "out" / "capacity.json").read_text())["forecasts"]
    found = {row["forecast"]: row for row in rows if row["tier"] == "entry"}
    assert (found["energy per session"]["value"], found["energy per session"]["unit"]) == (4.0, "mJ")
    assert found["energy per round"]["value"] == 4000.0
    assert all(
        "extrapolated" in found[name]["assumption"] for name in ("energy per round", "battery per day")
    )


def test_runs_of_before_can_be_scaled() -> None:
    """A run.json without the newer figures gives a forecast without them."""
    result = fakes.fake_run(*build({"devices": 10_000}))
    del result["device_errors"]
    for tier in result["tiers"].values():
        del tier["energy_mj_per_round"]
    for row in result["comparison"]:
        del row["tiers"]
    found = forecast(base_of(result), plan())
    assert found.run.device_errors is None
    assert "energy per round" not in {row.name for row in found.forecasts}
    assert found.run.tier_ndcg["entry"][2:] == [None, None, None]
    assert "How far off" not in render(found, "a command")


def test_what_a_device_spends_is_spread_by_the_measured_error() -> None:
    """Half of the factors are within the median error; without a table the model spread alone counts."""
    errors = errors_of(0.2)
    assert error_sd(errors) == pytest.approx(math.log(1.2) / 0.67449, rel=1e-4)
    assert error_sd(None) == 0.0
    assert error_sd(errors) > spread_sd(0.2)


def errors_of(median: float) -> DeviceErrors:
    """Return a table whose second row was asked something of."""
    row: DeviceErrorRow = {
        "what": "in the fit",
        "label": "measured",
        "rows": 9,
        "median_error": 0.01,
        "within_10": 1.0,
        "within_20": 1.0,
        "within_30": 1.0,
        "asked": None,
        "note": "",
    }
    return {"made_by": "by hand", "note": None, "rows": [row, {**row, "median_error": median, "asked": 0.15}]}
