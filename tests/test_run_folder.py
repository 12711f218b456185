"""Rules of a held folder that no command shows: sub-folders, removals, damaged records, file systems."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedbert.commits import COMMIT
from fedbert.errors import FedbertError
from fedbert.run_folder import (
    LOCK,
    check_writable,
    commit,
    holding,
    is_held,
    present,
    read_committed,
    recover,
    release,
    reserve,
    reserve_next,
)


def _tree(folder: Path) -> dict[str, str]:
    """Return the files below `folder` with their content, the lock left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK
    }


def test_a_commit_writes_sub_folders_and_removes(tmp_path: Path) -> None:
    """Named files are replaced or removed, a sub-folder that is empty then too; others stay."""
    with holding(tmp_path):
        commit(tmp_path, {"a.txt": b"1", "run/run.json": b"2", "old/b.txt": b"3"})
        (tmp_path / "mine.txt").write_text("mine")
        assert _tree(tmp_path) == {"a.txt": "1", "run/run.json": "2", "old/b.txt": "3", "mine.txt": "mine"}
        commit(tmp_path, {"a.txt": b"4"}, remove=["old/b.txt", "none.txt"])
    assert _tree(tmp_path) == {"a.txt": "4", "run/run.json": "2", "mine.txt": "mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "mine.txt", "run"]


def test_only_its_holder_commits(tmp_path: Path) -> None:
    """A folder that nobody holds is not written: another process could be at it."""
    with pytest.raises(ValueError, match="is not held"):
        commit(tmp_path, {"a.txt": b""})
    assert _tree(tmp_path) == {}


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old files are copied where they cannot be linked; a renaming that fails for good brings them back."""

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with holding(tmp_path):
        commit(tmp_path, {"a.txt": b"old a", "b.txt": b"old b"})
        plain = Path.replace

        def stubborn(self: Path, to: Path) -> Path:
            if to == tmp_path / "b.txt":
                raise OSError(errno.EPERM, "Operation not permitted")
            return plain(self, to)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", stubborn)
            with pytest.raises(OSError, match="Operation not permitted"):
                commit(tmp_path, {"a.txt": b"new a", "b.txt": b"new b", "c.txt": b"new c"})
        assert _tree(tmp_path) == {"a.txt": "old a", "b.txt": "old b"}


def test_a_folder_in_the_way_of_a_file_leaves_all_as_it_was(tmp_path: Path) -> None:
    """A folder of the user's with the name of a file is not replaced, nor is anything else."""
    (tmp_path / "b.txt").mkdir()
    with holding(tmp_path):
        with pytest.raises(IsADirectoryError):
            commit(tmp_path, {"a.txt": b"1", "b.txt": b"2"})
        assert present(tmp_path) == ["b.txt"]


def _broken_off(folder: Path, record: object) -> None:
    (folder / COMMIT / "new").mkdir(parents=True)
    (folder / COMMIT / "old").mkdir()
    (folder / COMMIT / "new" / "a.txt").write_text("new")
    (folder / COMMIT / "record.json").write_text(json.dumps(record))


def test_a_reader_finishes_what_was_decided(tmp_path: Path) -> None:
    """A crash between the decision and the renaming: the next reader sees the new file, in its place."""
    (tmp_path / "a.txt").write_text("old")
    _broken_off(tmp_path, {"write": ["a.txt"], "remove": []})
    assert read_committed(tmp_path, "a.txt", 100) == b"new"
    assert _tree(tmp_path) == {"a.txt": "new"}
    assert not (tmp_path / LOCK).exists()


def test_a_record_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    """A run folder from somebody else must not write outside itself."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("../a.txt", "/a.txt", "x/../../a.txt", ""):
        _broken_off(folder, {"write": [name], "remove": []})
        with pytest.raises(FedbertError, match="outside its folder"):
            recover(folder)
        for path in sorted((folder / COMMIT).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (folder / COMMIT).rmdir()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("record", [[], {}, {"write": 5, "remove": []}, None])
def test_a_damaged_record_is_one_line(tmp_path: Path, record: object) -> None:
    """A record that fedbert cannot have written is refused, not followed."""
    _broken_off(tmp_path, record)
    with pytest.raises(FedbertError, match=r"^[^\n]*record\.json[^\n]*$"):
        recover(tmp_path)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """kill -9 leaves the lock's file, not the lock; the folder counts as empty and can be taken."""
    folder = tmp_path / "run"
    code = (
        "import os, sys, pathlib; from fedbert.run_folder import reserve; "
        "reserve(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=False)
    assert (folder / LOCK).is_file()
    assert present(folder) == []
    reserve(folder)
    assert is_held(folder)
    release(folder)
    assert not is_held(folder)
    assert not (folder / LOCK).exists()


def test_names_count_up_and_are_given_back(tmp_path: Path) -> None:
    """Each reservation is a new folder; one that stays empty is removed with the parents it made."""
    parent = tmp_path / "runs"
    names = [reserve_next(parent, "a") for _ in range(3)]
    assert [path.name for path in names] == ["a", "a-2", "a-3"]
    for path in names:
        release(path)
    assert not parent.exists() or not list(parent.iterdir())


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    """A folder that could be written is not made by asking."""
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "x", Path("/proc/x")):
        with pytest.raises(FedbertError, match=r"^work\(=[^\n]*choose another --work$"):
            check_writable(path, "work")
