"""Kept work on disk: found by all that decides it, computed again where anything differs or is damaged."""

from pathlib import Path

import numpy as np
import pytest
from small_runs import TINY, figures

from fedbert import kept_work
from fedbert.ei_bert.artefact.artefact import Artefact, load_artefact, pack
from fedbert.errors import FedbertError
from fedbert.federation.kept_parts import kept_or_trained
from fedbert.kept_work import KeptWork
from fedbert.paths import models_folder
from fedbert.planning.tradeoff.grid import simulate
from fedbert.scenario import Execution

SHAPES = {"numbers": ((3,), np.int64)}


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    """A shipped artefact, in the place of a bound."""
    return load_artefact(models_folder() / "tiny")


@pytest.fixture
def work(tmp_path: Path) -> KeptWork:
    """An empty folder of kept work."""
    return KeptWork.open(tmp_path / "shared", "float32", 2)


def numbers(work: KeptWork, key: str, first: int) -> list[int]:
    """Return what is kept as numbers under `key`, else first, first + 1, first + 2."""
    made = {"numbers": np.arange(first, first + 3)}
    return list(work.arrays("numbers", key, SHAPES, lambda: made)["numbers"].tolist())


def test_computed_once_a_key(work: KeptWork) -> None:
    """The same key gives what was kept, another one is computed, and so it is in another folder."""
    assert numbers(work, "a", 1) == [1, 2, 3]
    assert numbers(work, "a", 5) == [1, 2, 3]
    assert numbers(work, "b", 5) == [5, 6, 7]


def test_a_bound_is_trained_once(work: KeptWork, artefact: Artefact) -> None:
    """An artefact comes back as it was kept."""
    first = kept_or_trained(work, "a", lambda: artefact)
    again = kept_or_trained(work, "a", lambda: load_artefact(models_folder() / "small"))
    assert pack(first) == pack(again) == pack(artefact)


def test_all_that_decides_is_in_the_key(
    work: KeptWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain value, an array's numbers, type or name, the precision, a package and the code each make
    another key.
    """
    of = {"a": np.arange(2)}
    keys = {work.key({"x": 1}, of), work.key({"x": 2}, of), work.key({"x": 1}, {"a": np.arange(2) + 1})}
    keys |= {work.key({"x": 1}, {"b": np.arange(2)}), work.key({"x": 1}, {"a": np.arange(2, dtype=np.int32)})}
    keys.add(KeptWork.open(tmp_path, "bfloat16", 2).key({"x": 1}, of))
    monkeypatch.setattr(kept_work, "versions", lambda: {"fedbert": "another"})
    keys.add(KeptWork.open(tmp_path, "float32", 2).key({"x": 1}, of))
    monkeypatch.undo()
    monkeypatch.setattr(kept_work, "source_digest", lambda: "another")
    keys.add(KeptWork.open(tmp_path, "float32", 2).key({"x": 1}, of))
    assert len(keys) == 8


@pytest.mark.parametrize("fault", ["cut", "changed", "empty", "foreign", "other shape"])
def test_what_is_damaged_or_foreign_is_computed_again(
    work: KeptWork, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """No such file is taken: one line, and it is whole afterwards."""
    numbers(work, "a", 1)
    (path,) = work.folder.iterdir()
    whole = path.read_bytes()
    if fault == "other shape":
        work.write_arrays("numbers", "a", {"numbers": np.arange(4)})
    elif fault == "foreign":
        work.write("numbers", "a", b"no arrays of ours")
    else:
        path.write_bytes({"cut": whole[:99], "changed": whole[:-1] + b"?", "empty": b""}[fault])
    assert numbers(work, "a", 1) == [1, 2, 3]
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "is computed again" in said
    assert path.read_bytes() == whole


def test_what_cannot_be_kept_is_one_line(
    work: KeptWork, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in the file's place is said, and the run has its figures; what is too large is not kept."""
    (work.folder / "numbers-a.kept").mkdir(parents=True)
    assert numbers(work, "a", 1) == [1, 2, 3]
    assert capfd.readouterr().err.count("\n") == 1
    monkeypatch.setattr(kept_work, "LIMIT_BYTES", 10)
    assert numbers(work, "b", 1) == [1, 2, 3]
    assert [path.name for path in work.folder.iterdir()] == ["numbers-a.kept"]


def test_a_folder_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    """A file in the folder's place is one line with the flag's name, before anything is computed."""
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(FedbertError, match=r"cache.* must be a folder"):
        KeptWork.open(tmp_path / "taken", "float32", 2)


def test_a_run_that_takes_has_the_figures_of_one_that_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that computes all, and keeps it, and one that takes it agree to the bit; nothing is trained for
    the bound, encoded by the teacher or written twice.
    """
    scenario = TINY.model_copy(update={"rounds": 1, "epsilon": None})

    def run(cache: Path) -> str:
        return figures(simulate(scenario, Execution(shards=1, cache=cache)))

    plain = run(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    names = sorted(name.partition("-")[0] for name in kept)
    assert names == ["items", "pooled", "public", "teacher", "texts", "tokens"]
    encode = "fedbert.ei_bert.teaching.server_models.ServerModels.teacher_items"
    monkeypatch.setattr(encode, lambda _: pytest.fail("was kept"))
    monkeypatch.setattr("fedbert.federation.compare.pooled_bound", lambda *_: pytest.fail("was kept"))
    assert run(tmp_path) == plain
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
