"""Stages with files between them."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedbert.ei_bert.compression.stages import load_tensors, run_stage, save_tensors
from fedbert.errors import FedbertError


def test_a_stage_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    """The second call reads the record; other inputs make another folder."""
    calls = []

    def make(folder: Path) -> Mapping[str, Any]:
        calls.append(folder)
        (folder / "out.txt").write_text("made")
        return {"loss": 0.5}

    first = run_stage(tmp_path, "prune", {"seed": 0}, make)
    again = run_stage(tmp_path, "prune", {"seed": 0}, make)
    other = run_stage(tmp_path, "prune", {"seed": 1}, make)
    assert not first.reused
    assert replace(first, reused=True) == again
    assert first.record == {"loss": 0.5}
    assert len(calls) == 2
    assert other.folder != first.folder
    assert other.sha256 == first.sha256


def test_an_interrupted_stage_is_not_taken_for_done(tmp_path: Path) -> None:
    """Its checkpoint stays for the next try, and goes when the stage is done."""

    def stopped(folder: Path) -> Mapping[str, Any]:
        save_tensors({"step": 3}, folder / "checkpoint.pt")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path, "train", {}, stopped)

    def goes_on(folder: Path) -> Mapping[str, Any]:
        return {"from": load_tensors(folder / "checkpoint.pt")["step"]}

    done = run_stage(tmp_path, "train", {}, goes_on)
    assert done.record == {"from": 3}
    assert [path.name for path in done.folder.iterdir()] == ["stage.json"]


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    """A stage vouches for its files by their hashes."""

    def make(folder: Path) -> Mapping[str, Any]:
        (folder / "out.txt").write_text("made")
        return {}

    done = run_stage(tmp_path, "prune", {}, make)
    (done.folder / "out.txt").write_text("changed")
    with pytest.raises(FedbertError, match="is not what the stage wrote"):
        run_stage(tmp_path, "prune", {}, make)
    (done.folder / "stage.json").write_text("{}")
    with pytest.raises(FedbertError, match="is no record of a stage"):
        run_stage(tmp_path, "prune", {}, make)


def test_what_cannot_be_written_or_read_is_one_line(tmp_path: Path) -> None:
    """A file in the way of the folder, and a damaged checkpoint."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FedbertError, match="give --work another folder"):
        run_stage(tmp_path / "file", "prune", {}, lambda _: {})
    (tmp_path / "broken.pt").write_bytes(b"broken")
    with pytest.raises(FedbertError, match=r"broken\.pt cannot be read"):
        load_tensors(tmp_path / "broken.pt")


def test_two_at_once_make_a_stage_once(tmp_path: Path) -> None:
    """The second to come waits for the first and takes what it made."""
    calls = []

    def make(folder: Path) -> Mapping[str, Any]:
        calls.append(folder)
        time.sleep(0.3)
        (folder / "out.txt").write_text("made")
        return {}

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: run_stage(tmp_path, "prune", {}, make), range(2))
    assert first == second
    assert len(calls) == 1
