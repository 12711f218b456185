"""The notebooks run as they stand, and are shown with what they gave."""

import json
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT, notebooks

nbclient = pytest.importorskip("nbclient", reason="the extra 'docs' is not installed")
nbformat = pytest.importorskip("nbformat")

FEWER = "import fedbert.scenario; fedbert.scenario.QUICK.update(devices=300, rounds=1)"

IDS = [path.stem for path in notebooks()]


@pytest.mark.parametrize("path", notebooks(), ids=IDS)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    """Every cell ends well and gives outputs of the kinds that it is shown with; fewer phones do."""
    shown = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    run.cells.insert(0, nbformat.v4.new_code_cell(FEWER))
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(run, timeout=300, kernel_name="python3", resources=where).execute()
    assert _kinds(run)[1:] == _kinds(shown)


def _kinds(notebook: Any) -> list[set[tuple[str, str | None]]]:
    """Return what kinds of outputs each cell of code gave."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [{(each["output_type"], each.get("name")) for each in cell["outputs"]} for cell in cells]


@pytest.mark.parametrize("path", notebooks(), ids=IDS)
def test_a_notebook_is_shown_as_it_was_run(path: Path) -> None:
    """Its cells were run once, in order, without an error; it is small, and names no folder of a machine."""
    text = path.read_text("utf-8")
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert "error" not in {each["output_type"] for cell in code for each in cell["outputs"]}
    assert len(text) < 100_000
    assert str(ROOT.home()) not in text
    assert "/tmp/" not in text


def test_there_are_two() -> None:
    """A first run, and one's own data."""
    assert IDS == ["first_run", "own_data"]
