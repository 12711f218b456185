"""The capacity plan reaches the phone and the busiest second, and can be the run's own schedule."""

import math
from dataclasses import replace
from typing import Any

import dp_accounting
import numpy as np
import planning_fakes as fakes
import pytest
from scipy import stats

from fedbert.devices.availability import hourly_shares
from fedbert.errors import FedbertError
from fedbert.intervals import Estimate
from fedbert.planning.capacity import draws
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import CapacityForecast, Plan
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.privacy_forecast import mechanism_at
from fedbert.planning.capacity.rollout import by_hour, scheduled
from fedbert.planning.capacity.run_releases import RunReleases, releases_made, run_releases
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.reporting.capacity.record import forecast_of, record_of
from fedbert.reporting.capacity.text import figures_text
from fedbert.scenario import build

N = 8_400_000


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best guesses need no draws; 40 of them say whether an interval is there."""
    monkeypatch.setattr(draws, "DRAWS", 40)


def base(**values: Any) -> BaseRun:
    """Return the forecast's view of an invented run of ten thousand devices and a day."""
    plain = {"devices": 10_000, "rounds": 12, "mechanism": "poisson", "epsilon": None}
    scenario, execution = build(plain | values)
    return base_of(fakes.fake_run(scenario, execution))


def plan(**values: Any) -> Plan:
    """Return the plan of 8.4 million phones with some values changed."""
    return replace(Plan(N, 1.5e12, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2), **values)


def value(found: CapacityForecast, name: str, tier: str | None = None) -> float:
    """Return the best guess of a figure."""
    return found.find(name, tier=tier).estimate.value


def test_the_plan_reaches_the_phone_part_by_part() -> None:
    """Sessions 10 mJ, installs 20, uploads 30, downloads 40 a day in the run: each follows its own part."""
    run = base()
    found = forecast(run, plan(sessions_per_day=8.0, download_bytes=fakes.RELEASE_BYTES / 2))
    fetched = value(found, "downloads per phone and day") / run.downloads_per_day
    reports = value(found, "reports per day") / N / run.reports_per_day
    parts = {"sessions": 20.0, "installs": 20 * fetched, "uploads": 30 * reports, "downloads": 20 * fetched}
    for use, expected in parts.items():
        assert value(found, f"energy per day, {use}", "entry") == pytest.approx(expected), use
    total = sum(parts.values())
    assert value(found, "energy per day", "entry") == pytest.approx(total)
    assert value(found, "charge per day", "entry") == pytest.approx(0.5 * total / 100)
    assert value(found, "battery per day", "entry") == pytest.approx(0.01 * total / 100)
    assert value(found, "installs per day", "entry") == pytest.approx(2 * fetched)
    assert value(found, "computing per day", "entry") == pytest.approx(2 * 3800 + 200 * fetched)
    up = value(found, "reports per day") * fakes.REPORT_BYTES / N
    assert value(found, "bytes up per phone and day") == pytest.approx(up)


def test_the_run_s_own_schedule_gives_the_run_s_own_day() -> None:
    """As many phones, the run's schedule: downloads, reports and energy are the run's, to 2 per cent."""
    run = base()
    found = forecast(run, CapacitySettings(devices=10_000, schedule="run").plan(run))
    assert value(found, "downloads per phone and day") == pytest.approx(run.downloads_per_day, rel=0.02)
    assert value(found, "reports per day") == pytest.approx(run.completed.sum(), rel=0.02)
    assert value(found, "energy per day", "entry") == pytest.approx(100, rel=0.02)
    assert value(found, "computing per day", "entry") == pytest.approx(4000, rel=0.02)
    assert found.sampling_probability == pytest.approx(run.sampling_probability, rel=0.01)


def test_the_number_of_releases_is_an_outcome_of_the_run_s_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four due, three let through: three at best guess, a posterior of them; a plan's are sure."""
    monkeypatch.setattr(draws, "DRAWS", 400)
    run = base()
    held = replace(run, releases=replace(run.releases, made=np.array([True, True, False, True])))
    asked = CapacitySettings(devices=10_000, schedule="run").plan(held)
    row = forecast(held, asked).find("releases per day")
    ends = stats.betabinom.ppf([0.025, 0.975], 4, 3.5, 1.5)
    assert (row.estimate.low, row.estimate.value, row.estimate.high) == (ends[0], 3.0, ends[1])
    sure = forecast(held, plan(releases_per_day=2.0)).find("releases per day").estimate
    assert (sure.low, sure.value, sure.high) == (2.0, 2.0, 2.0)


def test_releases_of_a_run_without_a_gate_are_made() -> None:
    """A timing run releases on schedule: nothing was judged, and nothing is drawn."""
    releases = RunReleases(np.array([6.0, 12.0]), np.array([True, True]), False, np.zeros(24))
    assert releases_made(releases, np.random.default_rng(0), 50).all()
    judged = releases_made(replace(releases, judged=True), np.random.default_rng(0), 50)
    assert judged[0].all()
    assert not judged.all()


def test_a_release_is_due_where_a_sum_is_opened() -> None:
    """A day's rounds are opened as one: due at its end alone; held there is due and not made."""

    def row(number: int, gate: str, released: int | None = None, downloads: int = 0) -> Any:
        return {
            "round": number,
            "hour": 12.0 * number % 24,
            "gate": gate,
            "released": released,
            "downloads": downloads,
        }

    rounds = [
        row(1, "gathered: no update", downloads=24),
        row(2, "released", 1, downloads=12),
        row(3, "gathered: no update", downloads=99),
        row(4, "held: worse"),
    ]
    found = run_releases(rounds, 1, 12.0, lambda round_: 0 if round_ % 2 else 2)
    assert found.due_hours.tolist() == [24.0, 48.0]
    assert found.made.tolist() == [True, False]
    assert found.early_downloads.tolist() == [2.0] * 12 + [1.0] * 12


def test_scheduled_serves_like_a_plain_loop() -> None:
    """Two draws, one of which skips the second release: each equals its own step-by-step account."""
    rates = np.linspace(0.1, 0.6, 24)
    made = np.array([[True, True], [True, False]])
    twice, due = np.tile(rates, (2, 1)), np.array([2.0, 9.0])
    served = scheduled(500.0, 4.0, twice, np.array([[0.3, 0.2]] * 2), due, made, 20.0)
    for draw in range(2):
        at = {24} | ({108} if made[draw, 1] else set())
        exposure = waiting = asking = 0.0
        stayed = 0.0
        for step in range(240):
            if step in at:
                exposure, stayed, asking = 0.0, 1.0, 500.0 - waiting
            exposure += rates[step // 12 % 24] / 12
            now = min(stayed, 0.7 * math.exp(-exposure) + 0.3 * math.exp(-0.2 * exposure))
            waiting += asking * (stayed - now)
            stayed = now
            done = min(4.0, waiting)
            waiting -= done
            assert served[draw, step] == pytest.approx(done, abs=1e-9)


def test_part_days_are_scaled_to_a_day() -> None:
    """Twelve hours of one download a step are 24 a day in each hour that they covered."""
    found = by_hour(np.ones((1, 144)), 12.0)[0]
    assert found.tolist() == [24.0] * 12 + [0.0] * 12


def test_the_run_s_schedule_refuses_another_one() -> None:
    """Rounds, releases and hour are the run's; one that is asked for beside it is refused by name."""
    for name in ("rounds_per_day", "releases_per_day", "release_hour"):
        with pytest.raises(FedbertError, match=rf"^{name}\(=2\) must be left out with schedule 'run'[^\n]*$"):
            CapacitySettings(schedule="run", **{name: 2.0})


def test_a_round_s_uploads_are_in_the_busiest_second() -> None:
    """13,000 reports within 180 s are in the peak second, beside the check-ins of the hour."""
    found = forecast(base(), plan(release_bits_per_s=1e3))  # next to no downloads
    rate = 13_000 / 180 + N * 0.3 * 12 / 86_400
    assert value(found, "total QPS, peak second") == pytest.approx(stats.poisson.isf(1 / 86_400, rate), abs=2)
    # 12 rounds of 180 s are 2.5 % of the day: the busiest 1 % of its seconds are among them.
    within = stats.poisson.isf(0.01 / 0.025, rate)
    assert value(found, "total QPS, p99") == pytest.approx(within, abs=2)


def test_check_ins_on_the_hour_are_a_peak_of_their_own() -> None:
    """2.52 million eligible phones that wake together check in within 60 s."""
    found = forecast(base(), plan(release_bits_per_s=1e3))
    rate = 13_000 / 180 + N * 0.3 / 60
    aligned = value(found, "peak second, check-ins aligned")
    assert aligned == pytest.approx(stats.poisson.isf(1 / 86_400, rate), rel=1e-4)


def test_repeats_tls_and_check_ins_are_counted() -> None:
    """Repeats of the run in bytes and requests; 3,000 bytes a check-in and a transfer, each way."""
    scenario, execution = build({"devices": 10_000, "rounds": 12})
    result = fakes.fake_run(scenario, execution)
    downloads = sum(row["downloads"] for row in result["rounds"])
    for row in result["rounds"]:
        row["bytes_down"] = round(1.1 * row["bytes_down"])
    result["traffic"] = {**result["traffic"], "download_attempts": 2 * downloads}
    found, plain = forecast(base_of(result), plan()), forecast(base(), plan())
    fetched, reports = value(found, "downloads per day"), value(found, "reports per day")
    assert value(found, "egress per day") == pytest.approx(1.1 * fetched * fakes.RELEASE_BYTES, rel=1e-6)
    peak = "download QPS, peak hour"
    assert value(found, peak) == pytest.approx(2 * value(plain, peak))
    check_ins = N * 0.3 * 12
    assert value(found, "check-ins per day") == pytest.approx(check_ins)
    expected = 3_000 * (check_ins + 2 * fetched + reports)
    assert value(found, "check-in and TLS bytes, each way") == pytest.approx(expected)


def test_what_the_run_did_not_see_is_not_extrapolated() -> None:
    """A run whose releases reached 70 % says nothing of 90 %; the record keeps the reason."""
    found = forecast(base(release_every=1), plan())
    assert found.run.seen_share == pytest.approx(1 - math.exp(-0.6), abs=1e-3)
    assert math.isnan(value(found, "hours to 50%"))
    row = forecast_of(record_of(found, "a command")).find("hours to 50%")
    assert figures_text(row) == ("not known", "beyond what the run saw: a release reached 45.1% at most")
    assert figures_text(row, in_full=False) == ("not known", "beyond what the run saw")


def test_an_interval_that_closed_names_the_cap() -> None:
    """Under a cap that binds all day egress is the cap in every draw: the interval's place says so."""
    row = forecast(base(), plan(release_bits_per_s=1e7)).find("egress per day")
    assert row.note == "the cap binds: 10 Mbit/s"
    assert figures_text(row)[1] == row.note
    assert forecast(base(), plan()).find("egress per day").note == ""


def test_phones_that_wait_for_a_later_round_report_as_in_the_run() -> None:
    """Where a day's sum is opened once, reports by hour are the run's, and the day's sum is what fills."""
    run = base()
    shares = np.where(run.round_hours_of_day[:, :12].any(axis=1), 0.1, 0.5)
    gathered = replace(run, waits=True, completed=shares * run.devices * run.sampling_probability)
    assert gathered.report_share == pytest.approx(np.r_[np.full(12, 0.1), np.full(12, 0.5)])
    found = forecast(gathered, plan())
    assert found.sampling_probability == pytest.approx(1.3 * 10_000 / (N * 0.3))
    assert value(found, "reports per day") == pytest.approx(13_000 * 12)
    assert value(found, "rounds that fill") > 0.99
    assert found.find("chance that a round fills", 3).estimate.value < 0.01


def test_alerts_say_what_the_plan_does_not_carry() -> None:
    """Link, rounds and roll-out each with number, limit and flag; a plan that carries all has none."""
    run = base()
    carried = plan(over_selection=2.0)
    assert forecast(run, carried).alerts == ()
    narrow = {alert.name: alert for alert in forecast(run, replace(carried, release_bits_per_s=1e7)).alerts}
    assert set(narrow) == {"link full", "releases faster than the roll-out"}
    link = narrow["link full"]
    assert (link.value, link.limit, link.unit) == (24.0, 0.0, "hours")
    wide = float(link.change.removeprefix("--release-mbit-per-s "))
    assert forecast(run, replace(carried, release_bits_per_s=wide * 1e6)).alerts == ()
    # 10 Mbit/s bring 1.91 MB to 56,545 phones in a day, of 7.98 million that fetch.
    slow = narrow["releases faster than the roll-out"]
    assert slow.value == pytest.approx(86_400 * 1e7 / 8 / fakes.RELEASE_BYTES / (0.95 * N), rel=1e-3)
    (rounds,) = forecast(run, plan(over_selection=0.9)).alerts
    assert (rounds.name, rounds.limit) == ("rounds that do not fill", pytest.approx(0.05))
    assert rounds.value > 0.9
    enough = float(rounds.change.removeprefix("--over-selection "))
    assert forecast(run, plan(over_selection=enough)).alerts == ()
    assert forecast(run, plan(over_selection=enough - 0.02)).alerts != ()


def test_a_round_that_no_cohort_fills_says_so() -> None:
    """Every phone of 1,000 wanted: no over-selection helps, fewer reports do."""
    run = base(mechanism="poisson")
    (alert,) = forecast(run, plan(devices=1_000, reports_per_round=1_000)).alerts
    assert alert.change == "--reports-per-round"


def accounted(noise: float, probability: float, rounds: int, delta: float) -> float:
    """Return the epsilon of Poisson-sampled Gaussians as dp-accounting has it."""
    one = dp_accounting.PoissonSampledDpEvent(probability, dp_accounting.GaussianDpEvent(noise))
    return epsilon_of(dp_accounting.SelfComposedDpEvent(one, rounds), delta)


def test_a_thousand_of_8_4_million() -> None:
    """Published: 1,000 a round, 1,000 rounds, noise 1, delta 1e-8 come to epsilon .0295."""
    run = base(mechanism="poisson", epsilon=2.0, delta=1e-8).privacy  # noise multiplier 1 in the fake
    found = mechanism_at(run, plan(), 1_000 / N).spent(1_000)[0]
    assert found.epsilon == pytest.approx(0.0295, abs=5e-4)


def test_privacy_is_accounted_at_the_plan_s_cohort() -> None:
    """Each epsilon is the mechanism's own, at the plan's rate, delta and rounds; a day is one Gaussian."""
    daily = forecast(base(mechanism="daily", epsilon=1.0), plan()).privacy  # noise multiplier 2 in the fake
    assert (daily.mechanism, daily.noise_multiplier, daily.delta) == ("daily", 2.0, 0.1 / N)
    (found,) = daily.guarantees
    for days, epsilon in zip((1, 30, 365), found.epsilons, strict=True):
        assert epsilon == pytest.approx(gaussian_epsilon(2 / math.sqrt(days), 0.1 / N))
    poisson = forecast(base(mechanism="poisson", epsilon=1.0), plan())
    hidden, seen = poisson.privacy.guarantees
    probability = poisson.sampling_probability
    assert hidden.epsilons[0] == pytest.approx(accounted(2.0, probability, 12, 0.1 / N), rel=0.01)
    assert seen.epsilons[0] == pytest.approx(gaussian_epsilon(2 / math.sqrt(12), 0.1 / N), rel=1e-6)


def test_a_phone_joins_no_more_than_once_a_day_where_its_mechanism_says_so() -> None:
    """Of 12 rounds a day a phone joins one: no cohort is above a twelfth of the fleet."""
    asked = plan(devices=10_000, reports_per_round=5_000)
    assert forecast(base(mechanism="daily"), asked).sampling_probability == pytest.approx(1 / 12)
    assert forecast(base(mechanism="poisson"), asked).sampling_probability == 1.0


def test_how_often_a_phone_joins_does_not_depend_on_delta() -> None:
    """A delta of 1e-4 covers no fleet of 10,000: no epsilon there, and phones still join once a day."""
    run = base(mechanism="daily", epsilon=2.0, devices=1_000, delta=1e-4)
    found = forecast(run, plan(devices=1_000_000, reports_per_round=500_000))
    assert found.sampling_probability == pytest.approx(1 / 12)
    assert (found.privacy.guarantees, "delta(=0.0001)" in found.privacy.why) == ((), True)


def test_a_spent_budget_is_an_alert() -> None:
    """2 over the run's one day were allowed; four times the rounds cost more where each is a release."""
    run = base(mechanism="poisson", epsilon=2.0)
    run = replace(run, privacy=replace(run.privacy, of_hidden=False))
    once = CapacitySettings(devices=10_000, schedule="run").plan(run)
    spent = forecast(run, once).privacy.spent_epsilon or 0.0
    assert spent == pytest.approx(gaussian_epsilon(1 / math.sqrt(12), 1e-6), rel=1e-6)
    (alert,) = (alert for alert in forecast(run, once).alerts if alert.name == "budget spent")
    assert (alert.value, alert.limit) == (spent, 2.0)


def test_quality_is_known_only_of_the_run_s_own_fleet() -> None:
    """The run's phones, cohort and rounds: its nDCG@10; 8.4 million: not known, with the reason and a way."""
    run = base()
    same = forecast(run, CapacitySettings(devices=10_000, schedule="run").plan(run)).privacy
    assert same.quality == Estimate(fakes.final_ndcg(None, 0), 0.0, 1.0)
    other = forecast(run, plan()).privacy
    assert other.quality is None
    assert other.quality_why.startswith("the run is of other phones (1e+04, planned 8.4e+06); measure it")


def test_a_run_without_privacy_says_so() -> None:
    """No epsilon, no guarantee: the record keeps why."""
    found = forecast(base(epsilon=None), plan())
    again = forecast_of(record_of(found, "a command"))
    assert again.privacy == found.privacy
    assert again.alerts == found.alerts
    assert found.privacy.guarantees == ()
    assert found.privacy.why == "the run is not private: it had no epsilon"


def test_waiting_is_the_mechanism_s_not_the_gate_s() -> None:
    """A timing run's gate says nothing of sums that wait; the mechanism does."""
    assert base(mechanism="daily").waits
    assert not base(mechanism="poisson").waits


def test_eligible_phones_swing_as_published() -> None:
    """The model's phones in a plan: fourfold over the day (Bonawitz et al. 2019), 22 % on average (FLINT)."""
    shares = hourly_shares("default", 0, 4_000, None)["eligible"]
    found = forecast(replace(base(), eligible=shares), plan()).by_hour("eligible devices").value
    assert 3.2 <= found.max() / found.min() <= 4.8
    assert 0.18 <= found.mean() / N <= 0.26
