"""Rules of what a run prints, while it runs and at its end."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from example_run import VERIFIED, example_run, figure

from fedbert.cli.run_progress import Progress, QuietProgress, RunProgress, sparkline
from fedbert.reporting.run.terminal import print_summary
from fedbert.scenario import build


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _summary(width: int, private: bool = True, interrupted: bool = False) -> str:
    out = io.StringIO()
    print_summary(example_run(private, interrupted), Path("runs/example"), out, width)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("private", [True, False])
def test_summary_fits_its_width(width: int, private: bool) -> None:
    """No line is longer than the terminal, and nothing is cut off with dots."""
    printed = _summary(width, private)
    assert max(len(line) for line in printed.splitlines()) <= width
    assert "…" not in printed


def test_summary_labels_its_blocks() -> None:
    """Each block says measured, modelled or proved, and all eight are there."""
    titles = [
        line for line in _summary(100).splitlines() if line.endswith(("measured", "modelled", "proved"))
    ]
    assert titles == [
        "nDCG@10, 20 candidates, mean over evaluation sessions  measured",
        "nDCG@10 by device tier, whole run  measured",
        "By device tier: latency of answered sessions  modelled",
        "Energy and battery of a phone, extrapolated  modelled",
        "What became of the sessions  modelled",
        "Epsilon at delta 1e-6  proved",
        "What an attack really gets: epsilon  measured",
        "Traffic  modelled",
    ]


def _row(block: str, tier: str) -> list[str]:
    """Return the cells of a tier in the block with this title."""
    after = _summary(120).split(block)[1].splitlines()
    return next(line for line in after if line.startswith(tier)).split()


def test_summary_has_quality_by_tier_in_three_ways() -> None:
    """As users saw it, when scored, and with every session scored by release 0, final release and bound."""
    row = _row("nDCG@10 by device tier", "entry")
    assert row == ["entry", "0.780", "0.870", "0.800", "0.860", "0.890"]


def test_summary_has_energy_by_session_round_and_day() -> None:
    """mJ a session and a round, mAh and battery a day, and what most of it goes to; labelled extrapolated."""
    assert _row("Energy and battery of a phone, extrapolated", "entry") == [
        "entry", "30", "5,230", "0.4", "0.0225%", "downloads", "72%",
    ]  # fmt: skip


def test_summary_says_how_far_off_the_device_model_is() -> None:
    """One line with the median error; a run of before has none, and no tier loses its row."""
    line = "Median error of predicted against measured times: an example of boards left out: 16.8%."
    assert line in _summary(120)
    result = example_run()
    del result["device_errors"]
    for tier in result["tiers"].values():
        del tier["energy_mj_per_round"], tier["energy_mj_per_round_by"], tier["energy_mj_per_day_by"]
    for row in result["comparison"]:
        del row["tiers"]
    out = io.StringIO()
    print_summary(result, Path("runs/example"), out, 100)
    assert "Median error" not in out.getvalue()
    assert out.getvalue().count("\nentry ") == 4


def test_summary_without_privacy_or_end() -> None:
    """Not private and interrupted are said; figures that were not reached are left out."""
    printed = _summary(100, private=False, interrupted=True)
    assert "Not private. The server sees exact sums" in printed
    assert "Interrupted after round 2." in printed
    assert "pooled-data bound" not in printed


def test_summary_takes_brackets_as_text() -> None:
    """A name with brackets is printed as it is, not read as a style."""
    result = example_run()
    result["comparison"][0]["system"] = "[bold]x[/bold]"
    out = io.StringIO()
    print_summary(result, Path("runs/[1]"), out)
    assert "[bold]x[/bold]" in out.getvalue()
    assert "runs/[1]/report.html" in out.getvalue()


def test_plain_progress_is_one_line_a_round() -> None:
    """Not on a terminal: the title, stages before the first round, a line a round with the time left."""
    out, clock = io.StringIO(), _Clock()
    scenario, execution = build({"rounds": 4, "epsilon": 2.0})
    rows = example_run()["rounds"]
    with RunProgress(out, clock) as progress:
        progress.start(scenario, execution)
        progress.stage("loading the teacher")
        clock.now_s = 10
        progress.stage("round 0")
        for row in rows[:3]:
            clock.now_s += 5
            progress.round_done(row, 9000.0)
            progress.stage(f"round {row['round'] + 1}")
    assert out.getvalue().splitlines() == [
        "10,000 devices, 4 rounds, world services, epsilon 2, seed 0, backend inprocess",
        "loading the teacher ...",
        "round 0 ...",
        "round 0/4, nDCG@10 0.780, epsilon 0, 9,000 devices/s, elapsed 15 s, left 20 s",
        "round 1/4, nDCG@10 0.796, epsilon 2.67, 9,000 devices/s, elapsed 20 s, left 15 s",
        "round 2/4, nDCG@10 0.810, epsilon 3.78, 9,000 devices/s, elapsed 25 s, left 10 s",
    ]


def test_a_held_round_says_why_when_it_happens() -> None:
    """The reason and the flags to change, once for a row of rounds, and how many were held so far."""
    out = io.StringIO()
    progress = RunProgress(out, _Clock())
    progress.start(*build({"rounds": 6}))
    rows = example_run()["rounds"]
    for index in (3, 4, 5, 6):
        row = rows[index] if index != 5 else {**rows[4], "round": 5}
        progress.round_done(row, 1.0)
    lines = out.getvalue().splitlines()[1:]
    said = (
        "round 4 was held: fewer than 10 reports (min_reports); lower --min-reports, simulate more --devices "
        "or raise --sampling-probability"
    )
    assert [line for line in lines if "was held" in line] == [said]
    assert lines[2] == said
    assert [line.rpartition(", ")[2] for line in lines[3:]] == ["held so far 2", "held so far 2"]


def test_summary_says_what_is_not_beaten_and_what_was_held() -> None:
    """Under the headline: baselines that win, held rounds with their reason, gap, delivery, the two arms."""
    result = example_run()
    row = result["findings"]["baselines"][0]
    row["difference"], row["ndcg"] = figure(-0.02, 0.005), 0.9
    out = io.StringIO()
    print_summary(result, Path("runs/example"), out, 4000)
    lines = out.getvalue().splitlines()
    assert lines[2].startswith("The final release loses to popularity: nDCG@10 0.880 against 0.900, -0.020")
    assert lines[3] == (
        "1 of 12 rounds was held (round 4): fewer than 10 reports (min_reports). To open them, lower "
        "--min-reports, simulate more --devices or raise --sampling-probability."
    )
    assert [line.split()[0] for line in lines[4:7]] == ["The", "As", "From"]


def test_plain_progress_says_not_private() -> None:
    """Without a budget every line says so."""
    out = io.StringIO()
    scenario, execution = build({"epsilon": None})
    progress = RunProgress(out, _Clock())
    progress.start(scenario, execution)
    progress.round_done(example_run(private=False)["rounds"][1], 1.0)
    progress.finish()
    assert all("not private" in line for line in out.getvalue().splitlines())


def test_live_progress_shows_figures_and_ends_once() -> None:
    """On a terminal: one display with round, quality, epsilon, speed, stage; finish may come twice."""
    out, clock = _Terminal(), _Clock()
    scenario, execution = build({"rounds": 4, "epsilon": 2.0})
    with RunProgress(out, clock) as progress:
        progress.start(scenario, execution)
        progress.stage("loading the teacher")
        for row in example_run()["rounds"][:3]:
            clock.now_s += 5
            progress.round_done(row, 9000.0)
        progress.stage("round 3")
        progress.finish()
    shown = out.getvalue()
    assert re.search(r"round +nDCG@10 +epsilon +speed +elapsed +left", re.sub(r"\x1b\[[0-9;]*m", "", shown))
    for part in ("2/4", "0.810", "3.78", "9,000 devices/s", "nDCG@10 as users see it"):
        assert part in shown


def test_an_error_in_a_run_ends_the_display() -> None:
    """Leaving the block by Ctrl-C gives the terminal its cursor back."""
    out = _Terminal()
    scenario, execution = build({})
    with pytest.raises(KeyboardInterrupt), RunProgress(out, _Clock()) as progress:
        progress.start(scenario, execution)
        raise KeyboardInterrupt
    assert out.getvalue().rstrip().endswith("\x1b[?25h")


def test_quiet_progress_is_a_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """The quiet one takes every call and prints nothing."""
    quiet: Progress = QuietProgress()
    scenario, execution = build({})
    quiet.start(scenario, execution)
    quiet.stage("x")
    quiet.round_done(example_run()["rounds"][0], 1.0)
    quiet.finish()
    assert capsys.readouterr().out == ""


def test_sparkline() -> None:
    """Least and greatest value take the lowest and highest bar."""
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""


def test_importing_reporting_loads_nothing_heavy() -> None:
    """Help must answer in under a second: plotly, pandas and jinja2 wait until they are needed."""
    code = (
        "import sys, fedbert.reporting.run.folder, fedbert.reporting.run.terminal, fedbert.cli.run_progress;"
        "print([m for m in ('plotly', 'pandas', 'jinja2', 'rich', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verified_devices_are_listed() -> None:
    """Devices run under a limit get a measured block that marks a wrong verdict; else there is none."""
    result, out = example_run(), io.StringIO()
    result["verified_devices"] = VERIFIED
    print_summary(result, Path("runs/example"), out, 120)
    printed = out.getvalue()
    assert "Devices run under a hard memory limit  measured" in printed
    assert "2 of 3 devices, really run under a hard memory limit, did as predicted" in printed
    assert "fits (!)" in printed
    assert "hard memory limit" not in _summary(120)
