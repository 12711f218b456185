"""Runs that were stopped: they go on from their folder, and nothing else can be taken for them."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_runs import TINY, figures, loaded_once

from fedbert import provenance
from fedbert.cli.main import call
from fedbert.errors import FedbertError
from fedbert.federation.checkpoint import load_checkpoint, read_phones
from fedbert.journal import read_journal
from fedbert.paths import profiles_folder
from fedbert.reporting.run.folder import FILES, prepare_folder, write_run_folder
from fedbert.results import RoundRow, load_run
from fedbert.resume import OtherRun, finish, input_digests
from fedbert.run_folder import holding, release
from fedbert.scenario import Execution, Scenario
from fedbert.simulation.simulate import Quiet, RunOutput, run

LAST = TINY.rounds


class Stopped(Exception):
    """Whatever may end a run between two rounds."""


class StopAfter(Quiet):
    """Stops a run once its round `last` is done, and keeps what it was told."""

    def __init__(self, last: int | None) -> None:
        self.last, self.notes = last, list[str]()

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Stop after the last round that is wanted."""
        if row["round"] == self.last:
            raise Stopped

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)


def go(
    folder: Path,
    shards: int,
    last: int | None = None,
    resume: bool = False,
    scenario: Scenario = TINY,
    command: str = "",
    **execution: Any,
) -> tuple[RunOutput | None, list[str]]:
    """Run in `folder`, up to round `last` if it is given; return the output, None if stopped, and notes."""
    progress, output = StopAfter(last), None
    with holding(folder):
        try:
            how = Execution(shards=shards, **execution)
            output = run(scenario, how, progress, command, folder=folder, resume=resume)
        except Stopped:
            pass
    return output, progress.notes


@dataclass(frozen=True)
class Whole:
    """All that a run is after a round, comparable: plain values, arrays, releases and phones."""

    plain: str
    arrays: dict[str, bytes]
    releases: set[str]
    phones: dict[str, bytes]


def whole(folder: Path) -> Whole:
    """Return the state in the last checkpoint of `folder`, which must be sound, without the clock's time."""
    notes: list[str] = []
    found = load_checkpoint(folder / "checkpoint", notes.append)
    assert found is not None
    assert notes == []
    plain = found.state.plain()
    # How many phones' masks were run depends on the number of shards, and nothing else does.
    del plain["masks_checked"]
    for row in plain["rows"]:
        del row["wall_s"]
    phones = read_phones(folder / "checkpoint", found.kept, 0, TINY.devices)
    return Whole(
        json.dumps(plain, sort_keys=True),
        {name: array.tobytes() for name, array in found.state.arrays().items()},
        set(found.state.artefacts()),
        {name: array.tobytes() for name, array in phones.arrays().items()},
    )


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with loaded_once():
        yield


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing stopped, on one shard."""

    output: RunOutput
    state: Whole


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The run of `TINY` without a stop."""
    folder = tmp_path_factory.mktemp("undisturbed")
    output, notes = go(folder, 1)
    assert output is not None
    assert notes == []
    assert [row["released"] for row in output.result["rounds"]] == [None, 1, 2, 3]
    return Undisturbed(output, whole(folder))


@pytest.fixture(scope="module")
def stopped_after_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two shards, stopped after round 2: it has the checkpoints of rounds 1 and 2."""
    folder = tmp_path_factory.mktemp("stopped")
    go(folder, 2, last=2)
    names = sorted(path.name for path in (folder / "checkpoint").glob("*.json"))
    assert names == ["00001.json", "00002.json"]
    return folder


def _rounds(path: Path) -> list[int]:
    rows, dropped = read_journal(path)
    assert dropped == 0
    return [row["round"] for row in rows]


# -- the same figures ---------------------------------------------------------------------------------------


def test_a_run_stopped_after_every_round_equals_the_undisturbed_one(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """Stopped after each round and taken up each time on other shards: every figure, bit and row is equal."""
    go(tmp_path, 2, last=0)
    for shards, last in ((3, 1), (1, 2), (5, 3)):
        output, notes = go(tmp_path, shards, last, resume=True)
        assert output is None
        assert notes == []
        assert _rounds(tmp_path / "rounds.jsonl") == list(range(last + 1))
    assert whole(tmp_path) == undisturbed.state
    output, _ = go(tmp_path, 4, resume=True)
    assert output is not None
    assert figures(output.result) == figures(undisturbed.output.result)
    assert output.result["execution"]["resumed_rounds"] == LAST + 1
    assert output.result["status"] == "finished"
    assert _rounds(tmp_path / "rounds.jsonl") == [0, 1, 2, 3]
    finish(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rounds.jsonl"]


# -- damage -------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _file(place: Path, kind: str, round_: int) -> Path:
    """Return a file that the checkpoint of `round_` needs, and the one before it does not."""
    if kind == "release":
        old, new = (
            {each["artefact"] for each in json.loads((place / name).read_text())["body"]["releases"]}
            for name in (f"{round_ - 1:05d}.json", f"{round_:05d}.json")
        )
        (only,) = new - old
        return place / "releases" / only
    pattern = {"manifest": "{}.json", "arrays": "{}.state", "phones": "phones/{}-30-30"}[kind]
    return place / pattern.format(f"{round_:05d}")


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("manifest", _flip),
        ("arrays", _flip),
        ("phones", _flip),
        ("release", _flip),
        ("manifest", _cut),
        ("phones", _cut),
        ("arrays", Path.unlink),
        ("release", Path.unlink),
    ],
)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(
    tmp_path: Path,
    undisturbed: Undisturbed,
    stopped_after_2: Path,
    kind: str,
    damage: Callable[[Path], None],
) -> None:
    """One bit of any of its files, a byte too few or a missing file: one line, and the same figures.

    The checkpoints that follow are sound: what was damaged is written again.
    """
    folder = tmp_path / "run"
    shutil.copytree(stopped_after_2, folder)
    damage(_file(folder / "checkpoint", kind, 2))
    _, notes = go(folder, 3, LAST, resume=True)
    (line,) = notes
    assert line.startswith("the checkpoint of round 2 is damaged (")
    assert line.endswith("; the one before it is used")
    assert "\n" not in line
    assert _rounds(folder / "rounds.jsonl") == [0, 1, 2, 3]
    assert whole(folder) == undisturbed.state


def test_without_a_sound_checkpoint_the_run_begins_again(
    tmp_path: Path, undisturbed: Undisturbed, stopped_after_2: Path
) -> None:
    """Both damaged: one line names both, and the run from round 0 gives the same figures."""
    folder = tmp_path / "run"
    shutil.copytree(stopped_after_2, folder)
    for round_ in (1, 2):
        _flip(_file(folder / "checkpoint", "arrays", round_))
    _, notes = go(folder, 2, LAST, resume=True)
    (line,) = notes
    assert line == (
        "the checkpoint of round 2 is damaged (00002.state differs from its SHA-256); "
        "the checkpoint of round 1 is damaged (00001.state differs from its SHA-256); the run begins again"
    )
    assert _rounds(folder / "rounds.jsonl") == [0, 1, 2, 3]
    assert whole(folder) == undisturbed.state


@pytest.mark.parametrize(
    ("every", "kept", "told"),
    [(2, ["00000.json"], []), (0, [], ["there is no checkpoint; the run begins again"])],
)
def test_checkpoints_come_as_often_as_asked(
    tmp_path: Path, undisturbed: Undisturbed, every: int, kept: list[str], told: list[str]
) -> None:
    """Every 2: after rounds 0, 2 and the last. 0: none, and a stopped run begins again."""
    go(tmp_path, 2, 1, checkpoint_every=every)
    assert sorted(path.name for path in (tmp_path / "checkpoint").glob("*.json")) == kept
    assert _rounds(tmp_path / "rounds.jsonl") == [0, 1]
    _, notes = go(tmp_path, 2, LAST, resume=True, checkpoint_every=2)
    assert notes == told
    names = sorted(path.name for path in (tmp_path / "checkpoint").glob("*.json"))
    assert names == ["00002.json", "00003.json"]
    assert _rounds(tmp_path / "rounds.jsonl") == [0, 1, 2, 3]
    assert whole(tmp_path) == undisturbed.state


# -- other runs ---------------------------------------------------------------------------------------------


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_scenario_or_version_is_refused(
    stopped_after_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs is named with both values, and the folder stays as it was."""
    before = _contents(stopped_after_2)
    with pytest.raises(OtherRun, match="and seed differs: it was 3, and is 4; resume it as it was, or"):
        go(stopped_after_2, 2, resume=True, scenario=TINY.model_copy(update={"seed": 4}))
    now = provenance.__version__
    monkeypatch.setattr(provenance, "__version__", "99.0")
    with pytest.raises(OtherRun, match=f"the version of fedbert differs: it was '{now}', and is '99.0'"):
        go(stopped_after_2, 2, resume=True)
    assert _contents(stopped_after_2) == before


def test_a_changed_file_of_the_users_is_refused(tmp_path: Path) -> None:
    """The run was begun with other shares of phones than the file holds now."""
    fleet = tmp_path / "shares.toml"
    shutil.copy(profiles_folder() / "fleets" / "low_end.toml", fleet)
    scenario = TINY.model_copy(update={"fleet": str(fleet)})
    go(tmp_path / "run", 2, 0, scenario=scenario)
    fleet.write_text(fleet.read_text() + "\n")
    with pytest.raises(OtherRun, match="the content of fleet differs; resume it as it was"):
        go(tmp_path / "run", 2, resume=True, scenario=scenario)


NAMED = {
    "items": "items.csv",
    "interactions": "clicks.csv",
    "availability_trace": "trace.csv",
    "fleet": "shares.toml",
    "world": "parts.py:load",
    "signal": "parts.py:Votes",
    "mechanism": "parts.py:Mine",
    "selection": "parts.py:Own",
    "profiles": "phones/01_own.toml",
    "model": "student/model.onnx",
    "teacher": "bert/model.safetensors",
}


@pytest.mark.parametrize("key", NAMED)
def test_every_file_that_a_scenario_names_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A changed byte changes the digest of the keys that name the file, and of no other."""
    monkeypatch.chdir(tmp_path)
    for name in NAMED.values():
        path = Path(name.partition(":")[0])
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
    folders = {"profiles": Path("phones"), "model": "student", "teacher": "bert"}
    scenario = TINY.model_copy(
        update={
            name: Path(value) if name in ("items", "interactions", "availability_trace") else value
            for name, value in (NAMED | folders).items()
        }
    )
    before = input_digests(scenario)
    assert before.keys() == NAMED.keys()
    Path(NAMED[key].partition(":")[0]).write_text("two")
    after = input_digests(scenario)
    same_file = {
        name for name, value in NAMED.items() if value.partition(":")[0] == NAMED[key].partition(":")[0]
    }
    assert {name for name in NAMED if before[name] != after[name]} == same_file


def test_the_models_of_the_server_are_noticed(tmp_path: Path) -> None:
    """A model's server folder lies beside it, and a run depends on it as well."""
    for folder in ("student", "student-server"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weights").write_text("one")
    scenario = TINY.model_copy(update={"model": str(tmp_path / "student")})
    before = input_digests(scenario)
    (tmp_path / "student-server" / "weights").write_text("two")
    assert before.keys() == input_digests(scenario).keys() == {"model"}
    assert input_digests(scenario) != before


# -- the command line ---------------------------------------------------------------------------------------


def test_a_flag_of_the_scenario_is_refused_with_resume(
    stopped_after_2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run goes on with its own settings; flags that say how to compute it are not among them."""
    before = _contents(stopped_after_2)
    for words in (["--rounds", "3"], ["--config", "mine.toml"], ["--output", "elsewhere"]):
        assert call("run", ["--resume", str(stopped_after_2), *words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert f"{words[0][2:]}(={words[1]!r}) must be left out with --resume" in said.err
    assert _contents(stopped_after_2) == before


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Empty or missing: one line, and nothing is made."""
    for folder in (tmp_path, tmp_path / "missing"):
        assert call("run", ["--resume", str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "must be the folder of a run, and none was begun there" in said
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_says_so(
    tmp_path: Path, undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to resume: exit code 0, and the folder stays as it was."""
    with holding(tmp_path):
        write_run_folder(undisturbed.output.result, undisturbed.output.devices, tmp_path)
    before = _contents(tmp_path)
    assert call("run", ["--resume", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"the run in {tmp_path} is finished; there is nothing to resume\n"
    assert _contents(tmp_path) == before


def test_a_new_run_does_not_take_the_folder_of_a_stopped_one(
    stopped_after_2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fedbert run` into it is refused and names --resume, without a result in it and with one."""
    before = _contents(stopped_after_2)
    assert call("run", ["--devices", "60", "--output", str(stopped_after_2)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds a run that was stopped; go on with it by --resume " in said
    assert _contents(stopped_after_2) == before


def test_a_stopped_run_may_be_overwritten(tmp_path: Path, stopped_after_2: Path) -> None:
    """--overwrite takes a folder that holds nothing but a stopped run."""
    folder = tmp_path / "run"
    shutil.copytree(stopped_after_2, folder)
    prepare_folder(folder, overwrite=True)
    release(folder)


def test_overwriting_keeps_the_old_run_until_the_new_one_is_whole(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """The new run is stopped and taken up: the old files stay to the bit until all are replaced."""
    go(tmp_path, 2, 0)
    with holding(tmp_path):
        write_run_folder(undisturbed.output.result, undisturbed.output.devices, tmp_path)
        finish(tmp_path)
    old = _contents(tmp_path)
    assert old.keys() == {*FILES, "rounds.jsonl"}
    prepare_folder(tmp_path, overwrite=True)
    release(tmp_path)
    go(tmp_path, 2, 1, command="the new one")
    output, _ = go(tmp_path, 3, resume=True, command="the new one")
    assert output is not None
    kept = _contents(tmp_path)
    assert {name: kept[name] for name in old} == old
    with holding(tmp_path):
        write_run_folder(output.result, output.devices, tmp_path)
        finish(tmp_path)
    assert _contents(tmp_path).keys() == old.keys()
    assert load_run(tmp_path)["command"] == "the new one"
    assert _rounds(tmp_path / "rounds.jsonl") == [0, 1, 2, 3]


def test_a_run_goes_on_as_it_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it is computed is kept too, all but the folder; a flag beside --resume changes it."""
    from fedbert.cli.run import resumed_settings

    asked = {"backend": "inprocess", "verify_devices": 2, "checkpoint_every": 2, "lost_shards": "leave-out"}
    go(tmp_path, 2, 0, trackers=("mine.py:Told",), overwrite=True, **asked)
    monkeypatch.chdir("/")
    found = resumed_settings(tmp_path, None, {"shards": "7", "trackers": ()})
    assert found.keys().isdisjoint({"output", "overwrite"})
    assert {key: found[key] for key in asked} == asked
    assert found["shards"] == "7"
    (tracker,) = found["trackers"]
    assert Path(tracker).is_absolute()
    with pytest.raises(FedbertError, match="verify_devices"):
        resumed_settings(tmp_path, None, {"verify_devices": "3"})


@pytest.mark.parametrize("shards", [2, 3])
def test_a_run_whose_phones_lie_in_files_is_the_same(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    """Memory in files, stopped and resumed on as many shards or more, gives the figures and bits of memory
    in the process; the checkpoint is the files that the shards work from."""
    monkeypatch.setattr("fedbert.federation.phone_files.LARGEST_IN_MEMORY", 10)
    go(tmp_path, 2, last=2)
    phones = sorted((tmp_path / "checkpoint/phones").iterdir())
    assert [path.name for path in phones] == ["00001-0-30", "00001-30-30", "00002-0-30", "00002-30-30"]
    assert all(path.is_dir() for path in phones)
    output, _ = go(tmp_path, shards, resume=True)
    assert output is not None
    assert figures(output.result) == figures(undisturbed.output.result)
    assert whole(tmp_path) == undisturbed.state


def test_a_damaged_folder_of_phones_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that changed in a file of phones' memory sends the run back to the checkpoint before."""
    monkeypatch.setattr("fedbert.federation.phone_files.LARGEST_IN_MEMORY", 10)
    go(tmp_path, 2, last=2)
    _flip(tmp_path / "checkpoint/phones/00002-30-30/item.npy")
    notes: list[str] = []
    found = load_checkpoint(tmp_path / "checkpoint", notes.append)
    assert found is not None
    assert found.state.round == 1
    assert "phones/00002-30-30 differs from its SHA-256" in notes[0]
