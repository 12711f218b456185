"""The trade-off grid: cells kept, resumed, refused, stopped, failed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pandas as pd
import planning_fakes as fakes
import psutil
import pytest

from fedbert.cli.grid_progress import line
from fedbert.cli.tradeoff import run_tradeoff
from fedbert.errors import FedbertError
from fedbert.planning.tradeoff.arms import plan
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.planning.tradeoff.grid import Progress, load_cell, open_folder, run_grid
from fedbert.planning.tradeoff.settings import COMPARED, GridSettings
from fedbert.planning.workers import run_calls
from fedbert.privacy.mechanism import SEES_PARTICIPATION, SEES_SUMS
from fedbert.reporting.tradeoff.answer import answer
from fedbert.results import save_run
from fedbert.run_folder import release
from fedbert.scenario import DEFAULTS, Scenario, build

ARM, PUBLIC = f"prototypes-{DEFAULTS.mechanism}", f"public-{DEFAULTS.mechanism}-none"
"""Beginnings of the cells' names."""

FAILED = f"cell failed: prototypes, {DEFAULTS.mechanism}, epsilon 1, seed 0"


def scenario(**values: Any) -> Scenario:
    """Return a small scenario."""
    return build({"devices": 100, "rounds": 4} | values)[0]


def grid(folder: Path, simulate: Any, epsilons: list[str], seeds: int = 1, **flags: Any) -> None:
    """Run the command's function with a fake simulation."""
    asked = {"epsilons": epsilons, "seeds": seeds, "output": folder, "jobs": 2}
    asked["overwrite"] = flags.pop("overwrite", False)
    flags = {"devices": "100", "rounds": "4", "mechanism": DEFAULTS.mechanism} | flags
    run_tradeoff(GridSettings(**asked), flags, None, simulate)


def test_a_grid_whose_scenario_names_no_mechanism_compares_two(tmp_path: Path) -> None:
    """The default beside the one that counts on hidden participation; one that is named stands alone."""
    for name, flags, mechanisms in (
        ("none", {}, COMPARED),
        ("one", {"mechanism": "tree"}, ("tree",)),
    ):
        asked = GridSettings(epsilons=["1"], seeds=1, output=tmp_path / name, jobs=1)
        run_tradeoff(asked, {"devices": "100", "rounds": "4"} | flags, None, fakes.fake_run)
        assert {path.name for path in (tmp_path / name / "cells").iterdir()} == {
            f"public-{mechanisms[0]}-none-0",
            *(f"prototypes-{mechanism}-1-0" for mechanism in mechanisms),
        }


def heed_signals() -> None:
    """Let a child heed SIGINT and SIGHUP even where a background shell had this process ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_plan_covers_budgets_and_seeds() -> None:
    """Each budget once a seed, seeds counted from the scenario's own."""
    cells = plan(scenario(seed=7), [0.5, None], 2)
    assert [cell.name for cell in cells] == [
        f"{arm}-{seed}" for seed in (7, 8) for arm in (PUBLIC, f"{ARM}-0.5", f"{ARM}-none")
    ]


def test_whole_grid_ends_in_report_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every cell is kept, workers have one thread, and the files hold the same means."""
    grid(tmp_path, fakes.fake_run, ["0.5", "none"], 2)
    cells = sorted(path.name for path in (tmp_path / "cells").iterdir())
    arms = (f"{ARM}-0.5", f"{ARM}-none", PUBLIC)
    assert cells == [f"{arm}-{seed}" for arm in arms for seed in (0, 1)]
    run = json.loads((tmp_path / "cells" / f"{ARM}-0.5-0" / "run.json").read_text())
    assert run["versions"]["threads"] == "1"
    table = pd.read_csv(tmp_path / "frontier.csv", keep_default_na=False)
    assert table["budget"].tolist() == ["none", "0.5", "none"]
    expected = (fakes.final_ndcg(0.5, 0) + fakes.final_ndcg(0.5, 1)) / 2
    assert float(table["ndcg@10"][1]) == pytest.approx(expected)
    assert {"signal", "privacy_mode", "closed_low", "auc_high", "text_only_auc"} <= set(table.columns)
    assert len(pd.read_parquet(tmp_path / "frontier.parquet")) == 3
    assert len(pd.read_parquet(tmp_path / "cells.parquet")) == 6
    page = (tmp_path / "report.html").read_text()
    assert "pooled-data bound" in page
    assert "noise multiplier" in page
    captured = capsys.readouterr()
    assert "6 of 6 cells done" in captured.err
    assert "gap closed" in captured.out
    assert not list(tmp_path.rglob("*.partial"))


def test_quality_by_tier_stands_at_each_epsilon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means over seeds by tier: as seen, when scored, all scored; a tier without devices is a dash."""
    grid(tmp_path, fakes.fake_run, ["0.5", "none"], 2)
    table = pd.read_csv(tmp_path / "frontier.csv", keep_default_na=False, na_values=[""])
    final = (fakes.final_ndcg(0.5, 0) + fakes.final_ndcg(0.5, 1)) / 2
    first = table.iloc[1]
    assert first["entry_seen_ndcg@10"] == pytest.approx(0.7 * final)
    assert first["entry_scored_ndcg@10"] == pytest.approx(final)
    assert first["entry_release_0_ndcg@10"] == pytest.approx(0.78)
    assert first["flagship_final_ndcg@10"] == pytest.approx(final + 0.01)
    assert first["flagship_final_ndcg@10_low"] < final + 0.01 < first["flagship_final_ndcg@10_high"]
    assert pd.isna(first["mid_seen_ndcg@10"])
    page = (tmp_path / "report.html").read_text()
    assert "Quality by device tier" in page
    assert "How far off the device model is" in page
    assert f"{0.7 * final:.3f} ±" in page
    assert f"{final + 0.01:.3f} ±" in capsys.readouterr().out


def test_second_call_computes_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished cells are taken over; new budgets and cells of a wrong seed are computed."""
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv("FEDBERT_TEST_CALLS", str(calls))
    folder = tmp_path / "grid"
    grid(folder, fakes.counted_run, ["1", "2"])
    assert {path.name for path in calls.iterdir()} == {
        "public-None-0",
        "prototypes-1.0-0",
        "prototypes-2.0-0",
    }
    for path in calls.iterdir():
        path.unlink()
    copied = (folder / "cells" / f"{ARM}-1-0" / "run.json").read_text()
    (folder / "cells" / f"{ARM}-2-0" / "run.json").write_text(copied)
    grid(folder, fakes.counted_run, ["1", "2", "none"])
    assert {path.name for path in calls.iterdir()} == {"prototypes-2.0-0", "prototypes-None-0"}


def test_unfinished_and_broken_cells_are_not_taken(tmp_path: Path) -> None:
    """A cell that was interrupted, is cut off or is of another scenario counts as missing."""
    _, cell = plan(scenario(), [1.0], 1)
    place = tmp_path / "cells" / cell.name
    place.mkdir(parents=True)
    result = fakes.fake_run(cell.scenario, build({})[1])
    save_run(result, place)
    assert load_cell(tmp_path, cell) is not None
    _, other = plan(scenario(rounds=5), [1.0], 1)
    assert load_cell(tmp_path, other) is None
    result["status"] = "interrupted after round 2"
    save_run(result, place)
    assert load_cell(tmp_path, cell) is None
    (place / "run.json").write_text("{")
    assert load_cell(tmp_path, cell) is None


def test_other_scenario_is_refused_in_one_line(tmp_path: Path) -> None:
    """The line names what differs; --overwrite drops the old cells; epsilon and seed are not the scenario."""
    open_folder(tmp_path, scenario(), overwrite=False)
    release(tmp_path)
    open_folder(tmp_path, scenario(epsilon=2, seed=5), overwrite=False)
    (tmp_path / "cells" / "old").mkdir(parents=True)
    release(tmp_path)
    with pytest.raises(FedbertError, match=r"another scenario \(rounds = 4; now rounds = 5\)[^\n]*$"):
        open_folder(tmp_path, scenario(rounds=5), overwrite=False)
    open_folder(tmp_path, scenario(rounds=5), overwrite=True)
    release(tmp_path)
    assert not (tmp_path / "cells" / "old").exists()


def test_foreign_folders_are_never_emptied(tmp_path: Path) -> None:
    """A folder with anything else in it is refused, even with --overwrite; so is a file."""
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(FedbertError, match="choose another --output"):
            open_folder(tmp_path, scenario(), overwrite)
    with pytest.raises(FedbertError, match="must be a folder"):
        open_folder(tmp_path / "thesis.tex", scenario(), False)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_failed_cell_is_one_line_and_others_are_kept(tmp_path: Path) -> None:
    """The failed cell is named with its reason; the finished ones stay for the next call."""
    with pytest.raises(
        FedbertError,
        match=rf"^{FAILED}: profiles[^\n]*kept[^\n]*$",
    ):
        grid(tmp_path, fakes.failing_run, ["1", "2"])
    assert (tmp_path / "cells" / f"{ARM}-2-0" / "run.json").is_file()
    assert not (tmp_path / "report.html").exists()
    grid(tmp_path, fakes.fake_run, ["1", "2"])
    assert (tmp_path / "report.html").is_file()


def test_unexpected_failures_are_one_line(tmp_path: Path) -> None:
    """An exception without a message for users, and a killed worker, are one line too."""
    cells = plan(scenario(), [1.0], 1)
    with pytest.raises(FedbertError, match=r"^[^\n]*ZeroDivisionError: first line second line[^\n]*$"):
        run_grid(tmp_path, cells, fakes.broken_run, 1)
    with pytest.raises(FedbertError, match=r"^[^\n]*worker process was killed[^\n]*$"):
        run_grid(tmp_path, cells, fakes.killed_run, 1)


def test_a_killed_worker_fails_its_cell_alone(tmp_path: Path) -> None:
    """One cell of three runs out of memory: the other two are computed and kept, even with one worker."""
    with pytest.raises(
        FedbertError,
        match=rf"^{FAILED}: its worker process was killed",
    ):
        grid(tmp_path, fakes.killed_for_epsilon_1, ["0.5", "1", "2"])
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == [
        f"{ARM}-0.5-0",
        f"{ARM}-2-0",
        f"{PUBLIC}-0",
    ]
    for jobs in (1, 3):
        calls = [(number,) for number in range(4)]
        ended = dict(run_calls(fakes.killed_by_1, calls, jobs))
        assert [ended[number].exception() is None for number in range(4)] == [True, False, True, True]


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import planning_fakes as fakes
from fedbert.cli.tradeoff import run_tradeoff
from fedbert.cli.command import report_errors
from fedbert.planning.tradeoff.settings import GridSettings
import click

def command() -> None:
    asked = GridSettings(epsilons=["1"], output={folder!r}, jobs=2)
    run_tradeoff(asked, {{"devices": "100", "rounds": "4"}}, None, fakes.slow_run)

if __name__ == "__main__":
    sys.exit(report_errors(click.Command("test", callback=command), []))
"""
"""A grid whose first cell is quick and whose others take a minute."""


def _started(tmp_path: Path) -> "subprocess.Popen[str]":
    """Return the running `PROGRAM` when its first cell is finished, in a session of its own."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "grid")))
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while (
        not (tmp_path / "grid" / "cells" / f"{ARM}-1-0" / "run.json").exists() and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    return process


def _left_of_session(number: int) -> list[int]:
    return [each.pid for each in psutil.process_iter() if _session(each.pid) == number]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_die_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the command ends, no worker stays behind; finished cells do, and another call can take over."""
    process = _started(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), errors
    assert "Traceback" not in errors
    if number != signal.SIGKILL:
        assert errors.strip().splitlines()[-1] == "stopped; what was finished is kept"
    deadline = time.monotonic() + 20
    while (left := _left_of_session(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert (
        json.loads((tmp_path / "grid" / "cells" / f"{ARM}-1-0" / "run.json").read_text())["status"]
        == "finished"
    )
    if number != signal.SIGKILL:
        assert not list(tmp_path.rglob("*.partial"))
    open_folder(tmp_path / "grid", scenario(), overwrite=False)
    # What is killed in the middle of a write leaves a hidden file; the next to hold the folder removes it.
    assert not list(tmp_path.rglob("*.partial"))
    release(tmp_path / "grid")


def test_a_second_command_on_the_folder_is_refused(tmp_path: Path) -> None:
    """Two grids in one folder would take each other's cells: the second gives way in one line."""
    process = _started(tmp_path)
    try:
        with pytest.raises(FedbertError, match=rf"in use, and process {process.pid} on [^\n]*$"):
            grid(tmp_path / "grid", fakes.fake_run, ["1"])
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_environment_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread limits of the workers do not stay in the caller's environment."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    run_grid(tmp_path, plan(scenario(), [1.0], 1), fakes.fake_run, 1)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(
    ("flags", "epsilons", "seeds", "message"),
    [
        ({"devices": "0"}, ["1"], 1, "devices"),
        ({"devices": "-5"}, ["1"], 1, "devices"),
        ({"devices": "1e12"}, ["1"], 1, "devices"),
        ({"devices": "many"}, ["1"], 1, "devices"),
        ({}, ["0"], 1, "epsilons"),
        ({}, ["1"], 0, "seeds"),
        ({"world": "mars"}, ["1"], 1, "world"),
        ({"seed": str(2**31 - 1)}, ["1"], 2, "seed"),
    ],
)
def test_wrong_input_writes_nothing(
    tmp_path: Path, flags: dict[str, str], epsilons: list[str], seeds: int, message: str
) -> None:
    """Each mistake is one line that names the flag, and the folder is not made."""
    folder = tmp_path / "grid"
    with pytest.raises(FedbertError, match=rf"^{message}[^\n]*$"):
        asked = {"epsilons": epsilons, "seeds": seeds, "output": folder, "jobs": 1}
        run_tradeoff(GridSettings(**asked), flags, None, fakes.fake_run)
    assert not folder.exists()


def test_frontier_means_by_hand() -> None:
    """Three seeds of one budget: mean, Student's t interval, lines beside it."""
    results = [fakes.fake_run(cell.scenario, build({})[1]) for cell in plan(scenario(), [1.0, None], 3)]
    frame = frontier_frame(cells_frame(results))
    assert frame["budget"].tolist() == ["none", "1", "none"]
    assert frame["signal"].tolist() == ["public", "prototypes", "prototypes"]
    assert frame["seeds"].tolist() == [3, 3, 3]
    row = frame.iloc[1]
    assert row["ndcg@10"] == pytest.approx(0.851)
    assert row["ndcg@10_high"] - row["ndcg@10"] == pytest.approx(4.302653 * 0.001 / 3**0.5, rel=1e-5)
    assert row["auc"] == pytest.approx(0.901)
    assert row["text_only_ndcg@10"] == pytest.approx(0.751)
    assert row["release_0_ndcg@10"] == pytest.approx(0.8)
    assert row["pooled_auc"] == pytest.approx(0.97)
    assert row["closed"] == pytest.approx(0.051 / 0.12)
    assert row["noise_multiplier"] == 2.0
    assert row["epsilon_unamplified"] == 9.0


def test_attacks_of_an_arm_are_the_worst_of_its_seeds() -> None:
    """The largest lower bound of any seed where participation is seen; a run without an audit has none."""
    arm = plan(scenario(), [1.0], 2)[1::2]
    results = [fakes.fake_run(cell.scenario, build({})[1]) for cell in arm]
    for result, bounds in zip(results, ((0.2, 0.3), (0.1, 0.4)), strict=True):
        rows = [
            {"adversary": SEES_PARTICIPATION, "epsilon": bounds[0]},
            {"adversary": SEES_PARTICIPATION, "epsilon": bounds[1]},
            {"adversary": SEES_SUMS, "epsilon": 9.0},
        ]
        result["audit"] = cast(Any, {"bounds": rows, "exposure": {"items": bounds[1] / 2}})
    row = frontier_frame(cells_frame(results)).iloc[0]
    assert (row["attack_epsilon"], row["exposed_items"]) == (0.4, 0.2)
    del results[0]["audit"], results[1]["audit"]
    assert frontier_frame(cells_frame(results))["attack_epsilon"].isna().all()


def test_the_noise_of_a_larger_fleet_is_said_first() -> None:
    """A grid whose noise is that of more phones than were run begins with both numbers."""
    for more, beginning in (
        ({}, "At epsilon"),
        ({"noise_cohort": 5_000}, "The noise is that of 5,000 phones"),
    ):
        cells = plan(scenario(**more), [1.0, None], 2)
        results = [fakes.fake_run(cell.scenario, build({})[1]) for cell in cells]
        frontier = frontier_frame(cells_frame(results))
        assert answer(frontier).startswith(beginning)
        assert set(frontier["devices"]) == {100}


def test_frontier_needs_the_comparison() -> None:
    """A run without the systems it reads is refused by name."""
    result = fakes.fake_run(scenario(), build({})[1])
    result["comparison"] = result["comparison"][:2]
    with pytest.raises(FedbertError, match="int8 student, final"):
        cells_frame([result])
    result["gap"] = None
    with pytest.raises(FedbertError, match="must have compared"):
        cells_frame([result])


def test_progress_line() -> None:
    """Cells done, the one that ended, and the time left."""
    assert line(Progress(1, 4, "epsilon 2, seed 0", 30, 90)) == (
        "1 of 4 cells done (epsilon 2, seed 0), about 1 min 30 s left"
    )
    assert line(Progress(0, 4, "", 0, None)) == "0 of 4 cells done"
