"""Rules of ``fedbert report FOLDER``: any command's page made again from its folder, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_compression import example_compression
from example_run import example_run
from planning import planning_fakes as fakes
from planning.backtest_examples import example_backtest
from planning.budget_examples import grid_folder

from fedbert.cli.budget import run_budget
from fedbert.cli.capacity import run_capacity
from fedbert.cli.main import call
from fedbert.cli.tradeoff import run_tradeoff
from fedbert.files import write_text
from fedbert.journal import Journal
from fedbert.output_folder import write_together
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.settings import GridSettings
from fedbert.reporting.backtest.folder import contents as backtest_contents
from fedbert.reporting.compression.folder import write_compression
from fedbert.reporting.run.folder import write_run_folder
from fedbert.results import save_run
from fedbert.run_folder import holding, present
from fedbert.scenario import build, scenario_toml


def run(folder: Path) -> None:
    """Write a run's folder."""
    write_run_folder(example_run(), pd.DataFrame({"device": [1]}), folder)


def tradeoff(folder: Path) -> None:
    """Write a grid's folder, with one seed and without some tier."""
    settings = GridSettings(epsilons=(0.5, None), seeds=1, output=folder, jobs=1)
    run_tradeoff(settings, {"devices": "100", "rounds": "4"}, None, fakes.fake_run)


def capacity(folder: Path) -> None:
    """Write a forecast's folder, under a cap that no release gets through within the horizon."""
    run_capacity(CapacitySettings(release_mbit_per_s=1.0, output=folder), fakes.fake_run)


def budget(folder: Path) -> None:
    """Write a plan's folder, with a loss that was measured and one that was not."""
    grid = grid_folder(folder.parent / "grid", (0.5, 1.0, 2.0))
    run_budget(
        BudgetSettings(
            epsilon=3, days=1, devices=1_000, mechanisms="daily tree", frontiers=(grid,), output=folder
        )
    )


def compression(folder: Path) -> None:
    """Write the report folder of a compression."""
    write_compression(example_compression(), folder)


def backtest(folder: Path) -> None:
    """Write a back-test of invented figures."""
    with holding(folder):
        write_together(folder, backtest_contents(example_backtest(), "fedbert capacity backtest"))


def compare(folder: Path) -> None:
    """Write the comparison of two runs, one of them private."""
    for name, epsilon in (("a", None), ("b", 2.0)):
        result = fakes.fake_run(*build({"devices": 1_000, "epsilon": epsilon}))
        save_run(result, folder.parent / name)
    words = [str(folder.parent / name) for name in "ab"]
    assert call("compare", [*words, "--output", str(folder)]) == 0


KINDS = {
    "run": (run, "run.json"),
    "tradeoff": (tradeoff, "tradeoff.json"),
    "budget": (budget, "budget.json"),
    "capacity": (capacity, "capacity.json"),
    "backtest": (backtest, "backtest.json"),
    "compare": (compare, "compare.json"),
    "compression": (compression, "compression.json"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_made_again_is_the_page_that_was_written(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report` of each command's folder writes the same bytes, names the page and changes nothing else."""
    folder = tmp_path / kind
    KINDS[kind][0](folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "report.html").unlink()
    capsys.readouterr()
    assert call("report", [str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_folder_is_one_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No JSON, another shape: exit code 2, one line that names the file, and the old page stays."""
    make, name = KINDS[kind]
    folder = tmp_path / kind
    make(folder)
    page = (folder / "report.html").read_bytes()
    whole = json.loads((folder / name).read_text())
    capsys.readouterr()
    for damaged in ("{", "[1]", json.dumps({**whole, "command": 3})):
        (folder / name).write_text(damaged)
        assert call("report", [str(folder)]) == 2
        assert re.fullmatch(rf"error: [^\n]*{name}[^\n]*\n", capsys.readouterr().err)
    assert (folder / "report.html").read_bytes() == page


def test_a_grid_that_is_not_finished_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the tables of all cells there is no frontier to draw."""
    (tmp_path / "grid.toml").write_text("devices = 100\n")
    assert call("report", [str(tmp_path)]) == 2
    assert "run `fedbert tradeoff` again: finished cells are kept" in capsys.readouterr().err


def test_folders_of_nobody_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist, a file and a folder of something else: one line with the next step."""
    (tmp_path / "thesis.txt").write_text("three years")
    for folder, rule in (
        (tmp_path / "nowhere", "must be a folder that exists; check the path"),
        (tmp_path / "thesis.txt", "must be a folder that exists; check the path"),
        (
            tmp_path,
            "must hold run.json, rounds.jsonl, grid.toml, budget.json, capacity.json, backtest.json, "
            "compare.json or compression.json;",
        ),
    ):
        assert call("report", [str(folder)]) == 2
        assert re.fullmatch(rf"error: folder\(=[^\n]*{re.escape(rule)}[^\n]*\n", capsys.readouterr().err)
    assert present(tmp_path) == ["thesis.txt"]


def stopped(folder: Path, rounds: int, **settings: Any) -> None:
    """Leave what a run leaves that was killed after `rounds` rounds."""
    write_text(folder / "checkpoint" / "scenario.toml", scenario_toml(build(settings)[0]))
    with Journal(folder / "rounds.jsonl") as journal:
        for row in example_run(private="epsilon" in settings)["rounds"][: rounds + 1]:
            journal.append(dict(row))


def test_a_run_that_was_stopped_has_a_page_of_its_rounds(tmp_path: Path) -> None:
    """The page says so at the top, how to go on, and has the chapters that rounds are enough for."""
    stopped(tmp_path, 5, epsilon=2.0)
    assert call("report", [str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    header = page[: page.index("</header>")]
    assert "This run did not finish." in header
    assert "5 of 24 rounds" in header
    assert f"fedbert run --resume {tmp_path}" in header
    assert "nDCG@10 was 0.780 (95% interval 0.774 to 0.786) before the first round" in header
    assert "0.837 (95% interval 0.831 to 0.843) in round 5" in header
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Quality",
        "What it reveals",
        "What the server learned and released",
        "Who took part",
        "Traffic",
        "Scenario",
    ]
    assert present(tmp_path) == ["checkpoint", "report.html", "rounds.jsonl"]


def test_a_run_that_was_stopped_at_once_has_a_page_too(tmp_path: Path) -> None:
    """Not one window was finished, and it is not private: no figure, but the settings."""
    stopped(tmp_path, -1)
    assert call("report", [str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Scenario"]
    assert "not private" in page


def test_rounds_of_another_version_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that lacks a figure is named with its key; so are rounds without settings."""
    stopped(tmp_path, 1)
    with Journal(tmp_path / "rounds.jsonl") as journal:
        journal.append({"round": 2})
    assert call("report", [str(tmp_path)]) == 2
    assert re.fullmatch(r"error: [^\n]*rounds\.jsonl lacks '2\.hour'; [^\n]*\n", capsys.readouterr().err)
    (tmp_path / "checkpoint" / "scenario.toml").unlink()
    assert call("report", [str(tmp_path)]) == 2
    assert re.fullmatch(r"error: [^\n]*scenario\.toml must exist [^\n]*\n", capsys.readouterr().err)
    assert "report.html" not in present(tmp_path)
