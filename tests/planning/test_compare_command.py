"""Rules of ``fedbert compare``: its folder, what it refuses, and that it harms nothing."""

import json
import re
from pathlib import Path

import pytest
from planning.comparing_examples import invented
from planning.planning_fakes import fake_run

from fedbert.cli.capacity import run_capacity
from fedbert.cli.main import call
from fedbert.cli.tradeoff import run_tradeoff
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.settings import GridSettings
from fedbert.results import save_run
from fedbert.run_folder import present


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, a and b, in the working folder."""
    monkeypatch.chdir(tmp_path)
    save_run(invented(0), tmp_path / "a")
    save_run(invented(0, 0.05, min_reports=5), tmp_path / "b")
    return tmp_path


def test_runs_are_compared_and_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --output the folder is named after the first two, with a number behind it if it is there."""
    assert call("compare", ["a", "b"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "scenario min_reports" in said
    assert "but one seed each" in said
    assert call("compare", ["a", "b"]) == 0
    assert present(here / "runs") == ["compare-a-b", "compare-a-b-2"]
    folder = here / "runs" / "compare-a-b"
    assert present(folder) == ["compare.json", "report.html"]
    record = json.loads((folder / "compare.json").read_text())
    assert [each["folders"] for each in record["variants"]] == [["a"], ["b"]]
    assert "B against A" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_grid_is_compared_by_its_cells(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two real grid folders of two seeds; a cell that is gone is named, and how to get it back."""
    for name, rounds in (("g", "4"), ("h", "5")):
        grid = GridSettings(epsilons=(None,), seeds=2, output=here / name, jobs=1)
        run_tradeoff(grid, {"devices": "100", "rounds": rounds, "mechanism": "poisson"}, None, fake_run)
    assert call("compare", ["g", "h", "--output", "c"]) == 0
    record = json.loads(Path("c/compare.json").read_text())
    assert record["kind"] == "tradeoff"
    assert record["pairs"][0]["seeds"] == [0, 1]
    assert [each["key"] for each in record["settings"]] == ["rounds"]
    capsys.readouterr()
    Path("h/cells/prototypes-poisson-none-1/run.json").unlink()
    assert call("compare", ["g", "h", "--output", "d"]) == 2
    line = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]*prototypes, poisson, epsilon none, seed 1; run `fedbert[^\n]*\n", line)
    assert not Path("d").exists()


def test_what_cannot_be_compared_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One folder, one twice, another kind, unfinished, damaged, of another schema, none: exit code 2."""
    run_capacity(CapacitySettings(output=here / "plan"), fake_run)
    stopped = invented(0)
    stopped["status"] = "interrupted"
    save_run(stopped, here / "stopped")
    for name, text in (("damaged", "{"), ("other", json.dumps({**invented(0), "schema": 99}))):
        (here / name).mkdir()
        (here / name / "run.json").write_text(text)
    (here / "rounds").mkdir()
    (here / "rounds" / "rounds.jsonl").touch()
    capsys.readouterr()
    for words, rule in (
        (["a"], "folders(=1) must be 2 to 200"),
        (["a", "b", "./a"], "folder(='a') must be named once"),
        (["a", "plan"], "be that of a run as 'a' is, and is that of a capacity forecast"),
        (["a", "stopped"], "must be finished (it says 'interrupted')"),
        (["a", "damaged"], "damaged/run.json must be a run's JSON"),
        (["a", "other"], "schema(=99) must be"),
        (["a", "rounds"], "rounds/run.json must exist"),
        (["a", "gone"], "must be a folder that exists"),
        (["a", "x" * 300], "must be a folder that exists"),
        (["a", "b", "--output", "b"], "must not be one of the folders compared"),
        (["a", "b", "--output", "plan"], "must be empty or not exist"),
        (["a", "b", "--output", "plan", "--overwrite"], "which this command did not write"),
    ):
        assert call("compare", words) == 2, words
        line = capsys.readouterr().err
        assert re.fullmatch(rf"error: [^\n]*{re.escape(rule)}[^\n]*\n", line), line
    assert not (here / "runs").exists()


def test_an_earlier_comparison_gives_way_when_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --overwrite it stays; a comparison that is refused leaves it as it was."""
    assert call("compare", ["a", "b", "--output", "c"]) == 0
    before = Path("c/compare.json").read_bytes()
    assert call("compare", ["b", "a", "--output", "c"]) == 2
    assert call("compare", ["b", "gone", "--output", "c", "--overwrite"]) == 2
    assert Path("c/compare.json").read_bytes() == before
    assert call("compare", ["b", "a", "--output", "c", "--overwrite"]) == 0
    assert json.loads(Path("c/compare.json").read_text())["variants"][0]["folders"] == ["b"]
