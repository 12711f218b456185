"""Rules of the run folder."""

import errno
import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from example_run import example_run

from fedbert import results
from fedbert.errors import FedbertError
from fedbert.reporting.files import FILES, prepare_folder, rerender, rounds_table, write_run_folder
from fedbert.results import load_run
from fedbert.scenario import build, read_toml

SAMPLE = pd.DataFrame({"device": [1, 2], "tier": ["entry", "mid"]})


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_all_files_are_written_and_read_back(tmp_path: Path) -> None:
    """The five files are there, nothing else, and say what the result says."""
    folder = tmp_path / "runs" / "one"
    result = example_run()
    write_run_folder(result, SAMPLE, folder)
    assert _names(folder) == sorted(FILES)
    assert _names(folder.parent) == ["one"]
    assert load_run(folder) == result
    assert pd.read_parquet(folder / "devices.parquet").equals(SAMPLE)
    rounds = pd.read_parquet(folder / "rounds.parquet")
    assert rounds["ndcg@10"].tolist() == [row["ndcg@10"] for row in result["rounds"]]
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_scenario_can_be_run_again(tmp_path: Path) -> None:
    """scenario.toml read with --config gives the same scenario."""
    result = example_run()
    write_run_folder(result, SAMPLE, tmp_path / "one")
    scenario, _ = build(read_toml(tmp_path / "one" / "scenario.toml"))
    assert scenario.model_dump(mode="json") == result["scenario"]


def test_rounds_table_has_a_column_for_each_name_and_keeps_what_is_missing() -> None:
    """Counts by name are columns, absent names are 0, absent numbers stay absent."""
    table = rounds_table(example_run(private=False))
    assert table["installed: 3"].tolist() == [0] * 9 + [2000] * 4
    assert table["outcomes: too_slow"].tolist() == [60] * 13
    assert table["epsilon"].isna().all()
    assert table["epsilon"].dtype == "float64"
    assert table["released"].dropna().tolist() == [1, 2, 3, 4]


def test_overwriting_replaces_ours_and_leaves_the_rest(tmp_path: Path) -> None:
    """A person's own file in a run folder survives --overwrite."""
    write_run_folder(example_run(), SAMPLE, tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    prepare_folder(tmp_path, overwrite=True)
    write_run_folder(example_run(private=False), SAMPLE, tmp_path)
    assert _names(tmp_path) == sorted([*FILES, "notes.txt"])
    assert load_run(tmp_path)["privacy"]["epsilon"] is None


def test_prepare_accepts_new_and_empty_folders_and_makes_nothing(tmp_path: Path) -> None:
    """A folder that does not exist, however deep, and an empty one are fine; neither is touched."""
    prepare_folder(tmp_path / "a" / "b", overwrite=False)
    prepare_folder(tmp_path, overwrite=False)
    assert _names(tmp_path) == []


def test_prepare_refuses_what_is_in_the_way(tmp_path: Path) -> None:
    """Full folder, file, and a folder that is not a run's: one line each, with the next step."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FedbertError, match="add --overwrite or choose another"):
        prepare_folder(mine, overwrite=False)
    with pytest.raises(FedbertError, match=r"neither run\.json nor scenario\.toml"):
        prepare_folder(mine, overwrite=True)
    with pytest.raises(FedbertError, match="must be a folder, not a file"):
        prepare_folder(mine / "thesis.txt", overwrite=True)
    with pytest.raises(FedbertError, match="in a folder that can be written"):
        prepare_folder(mine / "thesis.txt" / "run", overwrite=False)
    assert (mine / "thesis.txt").read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize("existed", [True, False])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    """If a file cannot be written, no new file stays and an old run stays whole."""
    folder = tmp_path / "run"
    if existed:
        write_run_folder(example_run(), SAMPLE, folder)
    before = {name: (folder / name).read_bytes() for name in _names(folder)} if existed else None

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    calls = 0
    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(FedbertError, match="No space left on device; free some space"):
        write_run_folder(example_run(private=False), SAMPLE, folder)
    if before is None:
        assert _names(tmp_path) == []
    else:
        assert {name: (folder / name).read_bytes() for name in _names(folder)} == before


def test_rerender_writes_the_same_report_again(tmp_path: Path) -> None:
    """The report depends on run.json alone."""
    folder = tmp_path / "run"
    write_run_folder(example_run(), SAMPLE, folder)
    first = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert rerender(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == first


def test_rerender_refuses_what_is_no_run(tmp_path: Path) -> None:
    """A folder without run.json, broken JSON and another schema are refused in one line."""
    with pytest.raises(FedbertError, match="must exist"):
        rerender(tmp_path)
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(FedbertError, match="must be a run's JSON"):
        rerender(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"schema": 0}), encoding="utf-8")
    with pytest.raises(FedbertError, match=r"schema\(=0\)"):
        rerender(tmp_path)


def test_scenario_toml_is_plain(tmp_path: Path) -> None:
    """Unset keys are left out and the rest are flat TOML."""
    write_run_folder(example_run(private=False), SAMPLE, tmp_path / "one")
    values = tomllib.loads((tmp_path / "one" / "scenario.toml").read_text(encoding="utf-8"))
    assert "epsilon" not in values
    assert values["devices"] == 10_000
