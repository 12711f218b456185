"""Rules of the run folder."""

import errno
import json
import os
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_run import example_run

from fedbert.cli.main import call
from fedbert.cli.run import default_folder
from fedbert.errors import FedbertError
from fedbert.reporting.run import folder as files
from fedbert.reporting.run.folder import FILES, prepare_folder, rerender, rounds_table, write_run_folder
from fedbert.results import RunResult, load_run
from fedbert.run_folder import release
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
    release(tmp_path)
    assert _names(tmp_path) == sorted([*FILES, "notes.txt"])
    assert load_run(tmp_path)["privacy"]["epsilon"] is None


def test_prepare_reserves_and_release_leaves_nothing(tmp_path: Path) -> None:
    """A new folder, however deep, and an empty one are reserved; unused, they are as before."""
    for folder in (tmp_path / "a" / "b", tmp_path):
        prepare_folder(folder, overwrite=False)
        assert folder.is_dir()
        release(folder)
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
    with pytest.raises(
        FedbertError, match=r"must be a folder that can be made and written \(Not a directory\)"
    ):
        prepare_folder(mine / "thesis.txt" / "run", overwrite=False)
    assert (mine / "thesis.txt").read_text(encoding="utf-8") == "x"


def _stop_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int, error: BaseException) -> None:
    """Make call number `at` of the function `name` of `owner` raise `error`, once."""
    plain, calls = getattr(owner, name), 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return plain(*arguments)

    monkeypatch.setattr(owner, name, counted)


def _says(folder: Path) -> set[str]:
    """Return the commands that the files of a run folder name: one if they are all of the same run."""
    command = load_run(folder)["command"]  # first: a reader finishes what was broken off
    report = (folder / "report.html").read_text(encoding="utf-8")
    return {command} | {word for word in ("OLD", "NEW") if f">{word}<" in report}


def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "render_report", lambda result: f"<p>{result['command']}</p>")


def _run(command: str) -> RunResult:
    result = example_run()
    result["command"] = command
    return result


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existed", [True, False])
def test_a_finished_run_is_kept_wherever_its_writing_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, error: BaseException
) -> None:
    """At each flush to the disk that fails: an old run stays whole, and the new result can be read."""
    _quick_report(monkeypatch)
    for at in range(1, 60):
        folder = tmp_path / f"{at}" / "run"
        if existed:
            write_run_folder(_run("OLD"), SAMPLE, folder)
        with monkeypatch.context() as patch:
            _stop_at(patch, os, "fsync", at, error)
            with suppress(FedbertError, KeyboardInterrupt):
                write_run_folder(_run("NEW"), SAMPLE, folder)
                break
        kept = [load_run(path.parent)["command"] for path in folder.parent.rglob("run.json")]
        assert kept.count("NEW") == 1
        if existed:
            assert _says(folder) in ({"OLD"}, {"NEW"})
        assert ".lock" not in _names(folder) if folder.exists() else True
        assert not [path for path in folder.parent.rglob("*") if path.name.endswith(".partial")]
    assert 8 < at < 59
    assert _says(folder) == {"NEW"}


def test_the_line_about_a_full_disk_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the folder of the kept result; `fedbert report` of that folder makes the rest."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(files, "render_report", lambda result: 1 / 0)
        with pytest.raises(FedbertError, match=r"finished.*ZeroDivisionError.*`fedbert report [^`]*run`"):
            write_run_folder(example_run(), SAMPLE, folder)
    assert _names(folder) == ["devices.parquet", "run.json"]
    rerender(folder)
    assert _names(folder) == sorted(FILES)
    write_run_folder(_run("OLD"), SAMPLE, tmp_path / "old")
    with monkeypatch.context() as patch:
        patch.setattr(files, "render_report", lambda result: 1 / 0)
        with pytest.raises(FedbertError, match=r"fedbert report [^`]*old-recovered`"):
            write_run_folder(_run("NEW"), SAMPLE, tmp_path / "old")
    assert load_run(tmp_path / "old")["command"] == "OLD"
    rerender(tmp_path / "old-recovered")
    assert load_run(tmp_path / "old-recovered")["command"] == "NEW"
    assert _names(tmp_path / "old-recovered") == sorted(FILES)


def test_overwriting_is_all_or_nothing_at_each_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever renaming fails, and even if all after it fail too, the folder is one run's."""
    _quick_report(monkeypatch)
    for always in (False, True):
        for at in range(1, 20):
            folder = tmp_path / f"{always}{at}" / "run"
            write_run_folder(_run("OLD"), SAMPLE, folder)
            with monkeypatch.context() as patch:
                plain, calls = Path.replace, 0

                def failing(
                    self: Path, to: Path, plain: Any = plain, at: int = at, always: bool = always
                ) -> Path:
                    nonlocal calls
                    calls += 1
                    if calls == at or (always and calls > at):
                        raise OSError(errno.EIO, "Input/output error")
                    return plain(self, to)  # type: ignore[no-any-return]

                patch.setattr(Path, "replace", failing)
                with suppress(FedbertError):
                    write_run_folder(_run("NEW"), SAMPLE, folder)
            assert _says(folder) in ({"OLD"}, {"NEW"})
            if calls < at:
                break
        assert 5 < at < 19


def _die_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let this process die at the flush or renaming number `at`."""
    calls = 0

    def counted(plain: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                os._exit(9)
            return plain(*arguments)

        return call

    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "rename")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


@pytest.mark.parametrize("existed", [True, False])
def test_a_killed_writer_leaves_one_run_to_the_next_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    """The process dies at each rename and flush: `fedbert report` has the whole old or the whole new run."""
    _quick_report(monkeypatch)
    died = 0
    for at in range(1, 60):
        folder = tmp_path / f"{at}" / "run"
        if existed:
            write_run_folder(_run("OLD"), SAMPLE, folder)
        child = os.fork()
        if not child:
            _die_at(monkeypatch, at)
            write_run_folder(_run("NEW"), SAMPLE, folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            break
        died += 1
        try:
            rerender(folder)
        except FedbertError:
            assert not existed
            assert not list(folder.rglob("run.json"))  # it died before anything was on the disk
            continue
        assert len(_says(folder)) == 1
        assert set(FILES) >= set(_names(folder)) >= set(FILES) - {"devices.parquet"}
    assert died > 8
    assert _says(folder) == {"NEW"}


def test_a_user_s_partial_folder_stays(tmp_path: Path) -> None:
    """NAME.partial beside the run folder NAME, and x.partial in it, are nobody's but the user's."""
    for path in (tmp_path / "run.partial" / "thesis.txt", tmp_path / "run" / "draft.partial"):
        path.parent.mkdir()
        path.write_text("three years")
    (tmp_path / "run" / "run.json").write_text("{}")
    prepare_folder(tmp_path / "run", overwrite=True)
    write_run_folder(example_run(), SAMPLE, tmp_path / "run")
    release(tmp_path / "run")
    assert (tmp_path / "run.partial" / "thesis.txt").read_text() == "three years"
    assert (tmp_path / "run" / "draft.partial").read_text() == "three years"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("x" * 256, "have names of at most 255 bytes"),
        ("a\0b", "hold no NUL"),
        ("\udcff", "be UTF-8 text"),
        ("x/" * 2500, "be at most 4,095 bytes"),
        ("/proc/x", "be a folder that can be made"),
    ],
)
def test_what_cannot_be_written_later_is_refused_before_the_run(name: str, rule: str) -> None:
    """One line names the rule; a name of 250 bytes can be written and is taken."""
    with pytest.raises(FedbertError, match=rf"^output[^\n]*must {rule}[^\n]*$"):
        prepare_folder(Path(name), overwrite=False)


def test_a_name_of_250_bytes_is_written(tmp_path: Path) -> None:
    """Names that are made beside or inside a run folder do not ask for more room than its own."""
    folder = tmp_path / ("x" * 250)
    prepare_folder(folder, overwrite=False)
    write_run_folder(example_run() | {"command": "run.py --config \udcff"}, SAMPLE, folder)
    release(folder)
    assert _names(folder) == sorted(FILES)


def test_ten_runs_at_once_get_ten_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten processes reserve the default folder and write together: ten whole runs."""
    monkeypatch.chdir(tmp_path)
    _quick_report(monkeypatch)
    children = []
    for number in range(10):
        child = os.fork()
        if not child:
            folder = default_folder(build({"devices": 60})[0])
            write_run_folder(_run(f"run {number}"), SAMPLE, folder)
            release(folder)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
    folders = sorted(Path("runs").iterdir())
    assert {load_run(folder)["command"] for folder in folders} == {f"run {number}" for number in range(10)}
    assert all(_names(folder) == sorted(FILES) for folder in folders)
    assert folders[0].name == "services-60-seed0"


def test_a_folder_in_use_is_refused_by_name_of_its_user(tmp_path: Path) -> None:
    """A second process may not write the folder of the first, whose number the line gives."""
    folder = tmp_path / "run"
    prepare_folder(folder, overwrite=False)
    code = (
        "import sys, pathlib; from fedbert.reporting.run.folder import prepare_folder; "
        "prepare_folder(pathlib.Path(sys.argv[1]), True)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"must not be in use, and process {os.getpid()} on" in done.stderr.splitlines()[-1]
    write_run_folder(example_run(), SAMPLE, folder)
    release(folder)
    assert _names(folder) == sorted(FILES)


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


def _with(**changes: Any) -> str:
    return json.dumps(dict(example_run()) | changes)


DAMAGED = {
    "list": "[1]",
    "null": "null",
    "string": '"x"',
    "deep": "[" * 100_000,
    "huge": '{"schema": ' + "9" * 5_000 + "}",
    "NaN": '{"schema": NaN}',
    "only the schema": '{"schema": 1}',
    "rounds": _with(rounds="x"),
    "a round": _with(rounds=[{"round": 0}]),
    "a number of a round": _with(rounds=[example_run()["rounds"][0] | {"hour": "noon"}]),
    "a switch for a number": _with(wall_s=True),
    "privacy": _with(privacy=None),
    "tiers": _with(tiers=[]),
    "scenario": _with(scenario=None),
    "comparison": _with(comparison=None),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_run_is_one_line(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in run.json, `report` and `capacity --from` end with exit code 2 and a line."""
    (tmp_path / "run.json").write_text(DAMAGED[name])
    for command, flags in (("report", []), ("capacity", ["--output", str(tmp_path / "c"), "--from"])):
        assert call(command, [*flags, str(tmp_path)]) == 2, command
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert _names(tmp_path) == ["run.json"]


def test_scenario_toml_is_plain(tmp_path: Path) -> None:
    """Unset keys are left out and the rest are flat TOML; no epsilon is a word, since the default is one."""
    write_run_folder(example_run(private=False), SAMPLE, tmp_path / "one")
    values = tomllib.loads((tmp_path / "one" / "scenario.toml").read_text(encoding="utf-8"))
    assert (values["epsilon"], "budget" in values) == ("none", False)
    assert values["devices"] == 10_000
