"""Rules of the back-test: which figures are compared, when one is inside, and what the command writes."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from planning.planning_fakes import RELEASE_BYTES, REPORT_BYTES, fake_run

from fedbert.cli import backtest as command
from fedbert.cli.main import call
from fedbert.intervals import Estimate
from fedbert.planning.capacity.backtest import LARGE_SEED, Backtest, Checked, backtest, summary
from fedbert.planning.capacity.backtest_settings import BacktestSettings
from fedbert.planning.capacity.simulated import simulated
from fedbert.results import RunResult
from fedbert.run_folder import present
from fedbert.scenario import build

MADE: list[tuple[int, int, int]] = []


def invented(devices: int, seed: int, rounds: int) -> RunResult:
    """Return an invented run, and note that it was made."""
    MADE.append((devices, seed, rounds))
    made = fake_run(*build({"devices": devices, "seed": seed, "rounds": rounds, "mechanism": "poisson"}))
    made["device_errors"]["rows"][0]["asked"] = 0.2
    return made


def checked(predicted: float, low: float, high: float, came_out: float, name: str = "a figure") -> Checked:
    """Return one figure of a fleet of 10 phones."""
    return Checked(10, 0, name, None, None, "bytes", predicted, low, high, came_out)


def test_figures_of_a_run_are_its_counts_over_its_days() -> None:
    """Of 12 rounds of two hours, a day: sums of its rounds, sums over tiers, and the hour of a window."""
    result = invented(1_000, 0, 12)
    found = simulated(result)
    rows = result["rounds"][1:]
    assert found["downloads per day", None, None] == sum(row["downloads"] for row in rows)
    assert found["egress per day", None, None] == found["downloads per day", None, None] * RELEASE_BYTES
    assert found["ingress per day", None, None] == sum(row["completed"] for row in rows) * REPORT_BYTES
    assert found["share of sessions scored", None, None] == pytest.approx(0.8)  # 0.7 and 0.9
    assert found["battery per day", None, "entry"] == 0.01
    assert found["eligible devices", 1, None] == pytest.approx(300, abs=6)  # round 1 ends at 2:00
    half = invented(1_000, 0, 24)
    assert (
        simulated(half)["downloads per day", None, None]
        == sum(row["downloads"] for row in half["rounds"][1:]) / 2
    )


def test_hours_to_a_share_are_read_between_windows() -> None:
    """Release 1 of 100 fetching phones is on 40, 60 and 90 of them after 2, 4 and 6 hours: 50 % after 3 h."""
    result = invented(100, 0, 12)
    result["scenario"]["control_share"] = 0.0
    rows = result["rounds"][1:]
    for row in rows:
        row["released"], row["installed"] = None, {"0": 100}
    rows[2]["released"] = 1
    for row, count in zip(rows[3:7], (40, 60, 90, 95), strict=True):
        row["installed"] = {"1": count}
    rows[6]["released"] = 2
    found = simulated(result)
    assert found["hours to 50%", None, None] == pytest.approx(3.0)
    assert found["hours to 90%", None, None] == pytest.approx(6.0)
    assert ("hours to 99%", None, None) not in found


def test_error_width_and_whether_it_is_inside() -> None:
    """110 (90 to 120) against 100: 10 % too high, half a width of 13.6 %, inside; 80 is not."""
    row = checked(110, 90, 120, 100)
    assert (row.error, row.inside) == (pytest.approx(0.1), True)
    assert row.half_width == pytest.approx(15 / 110)
    assert not checked(110, 90, 120, 80).inside
    assert checked(0, 0, 1, 0).error is None


def test_a_summary_counts_and_names_what_every_seed_misses() -> None:
    """Of four figures three are inside; one that is missed above and below is not systematic."""
    rows = [checked(100, 90, 110, value) for value in (100, 105, 91, 130)]
    found = summary(10, rows, 1)
    assert (found.figures, found.inside) == (4, Estimate(0.75, None, None))
    assert found.median_error == pytest.approx((100 / 105 - 1) / -2 + (100 / 91 - 1) / 2)
    above = [checked(100, 90, 110, 130, "above") for _ in range(3)]
    both = [checked(100, 90, 110, value, "both") for value in (130, 70, 130)]
    some = [checked(100, 90, 110, value, "some") for value in (130, 100, 130)]
    assert summary(10, [*above, *both, *some], 3).systematic == ("above",)
    assert summary(10, [*above, *both, *some], 2).systematic == ()


@pytest.fixture(scope="module")
def found() -> Backtest:
    """The back-test of an invented world, in which figures scale without error but by rounding."""
    return backtest(BacktestSettings(small=1_000, large=(4_000,), rounds=12), invented)


def test_what_scales_is_forecast(found: Backtest) -> None:
    """Downloads, reports and bytes of a fleet four times as large, with the run's own schedule."""
    by_name = {each.name: each for each in found.checked if each.tier is None}
    for name in ("downloads per day", "reports per day", "egress per day"):
        assert by_name[name].error == pytest.approx(0, abs=0.1), name
        assert by_name[name].inside
    assert {each.tier for each in found.checked} == {None, "entry", "flagship"}
    assert not any(each.low == each.high for each in found.checked)


def test_the_share_inside_has_an_interval_over_pairs() -> None:
    """Pairs with 3 of 4, 4 of 4 and 4 of 4 inside: 11 of 12, and Student's t of .75, 1 and 1 up to 1."""
    rows = [
        replace(checked(100, 90, 110, 130 if (seed, number) == (0, 0) else 100), seed=seed)
        for seed in range(3)
        for number in range(4)
    ]
    found = summary(10, rows, 3).inside
    half = 4.302653 * math.sqrt(1 / 48) / math.sqrt(3)
    assert (found.value, found.high) == (pytest.approx(11 / 12), 1.0)
    assert found.low == pytest.approx(11 / 12 - half, rel=1e-5)


def test_only_statistics_are_tested(found: Backtest) -> None:
    """The model spread and the device model's error widen what is said beside it, and nothing else."""
    alone = backtest(BacktestSettings(small=1_000, large=(4_000,), rounds=12, model_spread=0), invented)
    spread, without = (
        {(each.name, each.hour, each.tier): each for each in one.checked} for one in (found, alone)
    )
    assert spread.keys() == without.keys()
    for key, each in without.items():
        tested = (each.predicted, each.low, each.high)
        assert tested == (spread[key].predicted, spread[key].low, spread[key].high)
        assert each.spread_half_width == each.half_width
    key = ("energy per session", None, "entry")
    widths = (spread[key].half_width, spread[key].spread_half_width, spread[key].plan_half_width)
    assert None not in widths
    assert 2 * widths[0] < widths[1] < widths[2]


def test_large_runs_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds 0, 1 forecast; 1000, 1001 are simulated, whatever the order of the sizes."""
    monkeypatch.setattr("fedbert.planning.capacity.backtest.check", lambda base, result, spread: [])
    MADE.clear()
    backtest(BacktestSettings(small=1_000, large=(4_000, 2_000), seeds=2, rounds=12), invented)
    assert MADE == [
        (1_000, 0, 12),
        (2_000, LARGE_SEED, 12),
        (4_000, LARGE_SEED, 12),
        (1_000, 1, 12),
        (2_000, LARGE_SEED + 1, 12),
        (4_000, LARGE_SEED + 1, 12),
    ]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--large", "100"], "must be > small"),
        (["--large", "x"], "whole numbers of phones"),
        (["--small", "1"], "small(='1') must be greater than or equal to 100"),
        (["--seeds", "0"], "seeds"),
        (["--model-spread", "-1"], "model_spread"),
    ],
)
def test_wrong_input_is_one_line(words: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line, before anything is simulated."""
    assert call("capacity", ["backtest", *words]) == 2
    assert re.fullmatch(rf"error: [^\n]*{re.escape(rule)}[^\n]*\n", capsys.readouterr().err)


def test_the_command_writes_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record and a page, which `report` makes again; the forecast's own flags still work beside it."""
    monkeypatch.setattr(command, "_simulate", invented)
    folder = tmp_path / "b"
    words = ["backtest", "--small", "1000", "--large", "2000", "--rounds", "12", "--output", str(folder)]
    assert call("capacity", words) == 0
    assert "From 1,000 phones, one pair of runs" in " ".join(capsys.readouterr().out.split())
    assert present(folder) == ["backtest.json", "report.html"]
    record = json.loads((folder / "backtest.json").read_text())
    assert {each["devices"] for each in record["summaries"]} == {2_000}
    page = (folder / "report.html").read_bytes()
    assert call("report", [str(folder)]) == 0
    assert (folder / "report.html").read_bytes() == page
    assert call("capacity", words) == 2
    assert call("capacity", ["--devices", "0"]) == 2
    assert "devices(='0')" in capsys.readouterr().err
