"""``fedbert budget``: what it prints and writes, and how it refuses."""

import json
import re
from pathlib import Path

import pytest
from planning.budget_examples import example_plan, grid_folder

from fedbert.cli.main import call
from fedbert.reporting.budget.record import plan_of, record_of
from fedbert.reporting.budget.text import answer, fleet


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line of a call that ends with exit code 2."""
    assert call("budget", list(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", said.err)
    return said.err


def test_a_plan_without_a_frontier(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Accounting alone, within 80 columns, the mechanism by name, and the command that would measure the
    rest; nothing is written.
    """
    assert call("budget", ["--days", "30", "--mechanisms", "daily", "correlated"]) == 0
    out = capsys.readouterr().out
    assert "daily leaves the least noise" in " ".join(out.split())
    assert "fedbert tradeoff --mechanisms daily --epsilons" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert "report:" not in out


def test_the_command_that_measures_is_of_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Its runs are a day of the plan's rounds, with the plan's fleet; what is as by default is left out."""
    flags = "--days 365 --round-hours 4 --availability always --devices 50000 --mechanisms daily"
    assert call("budget", flags.split()) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--noise-cohort 50000 --round-hours 4.0 --rounds 6 --availability always --output" in out
    assert "--epsilons 0.042 0.084 0.34 1.3 5.4 none" in out


def test_a_plan_with_a_frontier_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The table says what was measured; budget.json and report.html lie in the folder, an earlier plan there
    is replaced only on demand, and anything else never.
    """
    grid = grid_folder(tmp_path / "grid", (0.5, 1.0, 2.0, 8.0))
    folder = tmp_path / "plan"
    asked = ["--epsilon", "3", "--days", "1", "--devices", "1000", "--mechanisms", "daily"]
    asked += ["--frontier", str(grid), "--output", str(folder)]
    assert call("budget", asked) == 0
    out = capsys.readouterr().out
    written = json.loads((folder / "budget.json").read_text())
    loss = written["planned"][0]["loss"]
    assert f"{loss['value']:+.3f} ({loss['low']:+.3f} to {loss['high']:+.3f})" in " ".join(out.split())
    assert sorted(path.name for path in folder.iterdir()) == ["budget.json", "report.html"]
    assert "must be empty or not exist" in refused(capsys, *asked)
    assert call("budget", [*asked, "--overwrite"]) == 0
    (folder / "thesis.txt").write_text("three years")
    capsys.readouterr()
    assert "thesis.txt" in refused(capsys, *asked, "--overwrite")
    assert (folder / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--epsilon 0", r"epsilon\(=.0.\) must be greater than 0"),
        ("--epsilon nan", r"epsilon\(="),
        ("--days 0", r"days\(="),
        (
            "--days 1 --round-hours 0.01",
            r"round_hours\(=0.01\) must be >= 0.073: 365 days",
        ),
        ("--delta 0.5", r"delta\(=0.5\) must be < 1/devices"),
        ("--delta 1e-200", r"delta\(=1e-200\) must be >="),
        ("--mechanisms hope", r"mechanisms.* must be one of .*\(not 'hope'\)"),
        ("--frontier nowhere", r"frontier\(='nowhere'\) must be the folder of a finished trade-off grid"),
        ("--epsilon 1e-9 --mechanisms daily", r"epsilon\(=1e-09\) is out of reach"),
    ],
)
def test_bad_input_is_one_line(flags: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, value, rule and next step; nothing is printed before."""
    assert re.search(said, refused(capsys, "--availability", "always", *flags.split()))


def test_frontiers_that_do_not_fit_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grids of two scenarios, a setting that is not the grid's, a signal that it lacks, a damaged table, and
    a grid that never ended.
    """
    grid = grid_folder(tmp_path / "grid", (1.0, 2.0))
    other = grid_folder(tmp_path / "other", (1.0,), update_steps=9)
    said = refused(capsys, "--frontier", str(grid), "--frontier", str(other))
    assert "its update_steps is 9, not 4" in said
    said = refused(capsys, "--frontier", str(grid), "--round-hours", "1")
    assert "round_hours(=1.0) must be the frontier's (2.0)" in said
    said = refused(capsys, "--frontier", str(grid), "--signal", "votes")
    assert "signal(='votes') must have a private arm in the frontier (has: prototypes)" in said
    (other / "frontier.parquet").write_bytes(b"PAR1 no table")
    assert "must be a readable table" in refused(capsys, "--frontier", str(other))
    (other / "frontier.parquet").unlink()
    assert "run `fedbert tradeoff` to its end" in refused(capsys, "--frontier", str(other))


def test_the_record_is_the_plan(tmp_path: Path) -> None:
    """What is written and read back is the same plan."""
    found = example_plan(tmp_path / "grid")
    assert plan_of(json.loads(json.dumps(record_of(found, "a command")))) == found


def test_the_answer_says_no_more_than_its_interval(tmp_path: Path) -> None:
    """Mechanism, epsilon with its days and adversary, the difference with its interval, and the fleet only
    where one was found.
    """
    found = example_plan(tmp_path / "grid")
    said = answer(found)
    assert said.startswith("At epsilon 3 over a day, participation seen, daily leaves the least noise")
    assert re.search(r"nDCG@10 differs by -\d\.\d{3} \(-\d\.\d{3} to -\d\.\d{3}\) from no privacy", said)
    (row,) = (row for row in found.rows if row.accounted.mechanism == "daily")
    assert row.free.devices is None
    assert fleet(row.free) in said
