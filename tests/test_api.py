"""fedbert in Python: ten lines from a scenario to tables, a report and a folder that loads again."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fedbert
from fedbert.results import load_run


@pytest.fixture(scope="module")
def out() -> fedbert.Run:
    """Return a small run, really simulated, without its pooled-data bound."""
    return fedbert.run(fedbert.Scenario.quick(devices=200, rounds=1, seed=3), progress=False)


def test_tables(out: fedbert.Run) -> None:
    """A row per round with round 0, per tier, per ranking system; inner figures are columns of their own."""
    assert out.rounds["round"].tolist() == [0, 1]
    assert set(out.tiers.index) <= {"entry", "mid", "flagship"}
    assert out.tiers["devices"].sum() == 200
    assert {"ndcg@10", "outcomes: scored", "latency_ms: p95"} <= set(out.tiers.columns)
    assert out.comparison.set_index("id").loc["final_full", "ndcg@10"] > 0
    assert "epsilon" in out.privacy
    assert len(out.devices) == 200


def test_without_the_pooled_bound_there_is_no_gap(out: fedbert.Run) -> None:
    """What was not trained is neither compared with nor a gap to close, and the report says so."""
    assert out.gap is None
    assert not out.comparison["id"].str.startswith("pooled").any()
    assert "pooled-data bound was left out" in out.report().html


def test_a_saved_run_loads_as_it_was(out: fedbert.Run, tmp_path: Path) -> None:
    """The folder is the command's; loading gives the same tables; what is there is not overwritten."""
    folder = out.save(tmp_path / "mine")
    again = fedbert.load(folder)
    pd.testing.assert_frame_equal(again.rounds, out.rounds)
    pd.testing.assert_frame_equal(again.devices, out.devices)
    assert load_run(folder) == out.result
    with pytest.raises(fedbert.FedbertError, match="be empty or not exist"):
        out.save(folder)
    out.save(folder, overwrite=True)


def test_a_report_shows_in_a_notebook_and_is_a_page(out: fedbert.Run, tmp_path: Path) -> None:
    """A notebook gets a frame with the whole page inside; saved, it is that page."""
    report = out.report()
    assert report._repr_html_().startswith("<iframe srcdoc=")
    assert report.save(tmp_path / "page.html").read_text() == report.html
    assert report.html.startswith("<!doctype html>".upper()) or report.html.lower().startswith("<!doctype")


def test_provenance_is_the_call(out: fedbert.Run) -> None:
    """The command of a run from Python is the call that makes it again."""
    command = out.result["command"]
    changed = "devices=200, rounds=1, seed=3, epsilon=None, pooled_bound=False"
    assert command == f"fedbert.run(fedbert.Scenario({changed}))"
    assert eval(command.removeprefix("fedbert.run(").removesuffix(")")) == fedbert.Scenario.quick(
        devices=200, rounds=1, seed=3
    )


def test_a_folder_that_lacks_a_run_is_one_line(tmp_path: Path) -> None:
    """load and run name what is wrong."""
    with pytest.raises(fedbert.FedbertError, match="must exist; name the folder of a finished run"):
        fedbert.load(tmp_path)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(fedbert.FedbertError, match="be empty or not exist"):
        fedbert.run(folder=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_trackers_follow_a_run_from_python(tmp_path: Path) -> None:
    """A tracker of the execution gets every round; without a folder for it the run is refused."""
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def started(self, scenario, folder, resumed_rounds): self.said = folder / 'said.txt'\n"
        "    def round(self, row): self.said.open('a').write(f'{row[\"round\"]}\\n')\n"
        "    def finished(self, result): self.said.open('a').write(result['status'])\n"
        "    def stopped(self, why): pass\n"
    )
    how = fedbert.Execution(trackers=(f"{tmp_path / 'mine.py'}:Mine",))
    with pytest.raises(fedbert.FedbertError, match=r"^trackers\(=.* must come with a folder"):
        fedbert.run(fedbert.Scenario.quick(), how)
    scenario = fedbert.Scenario.quick(devices=60, rounds=1, model="tiny")
    fedbert.run(scenario, how, folder=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "said.txt").read_text().split() == ["0", "1", "finished"]


def test_import_is_light_and_typed() -> None:
    """import fedbert loads nothing heavy, dir() shows the doors, and the package says that it is typed."""
    code = (
        "import fedbert, sys; "
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)), dir(fedbert))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("[] ")
    for name in fedbert.__all__:
        assert f"'{name}'" in said
        assert getattr(fedbert, name) is not None
    assert (Path(fedbert.__file__).parent / "py.typed").is_file()
