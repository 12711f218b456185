"""Files are written whole or not at all and read with a limit; a journal keeps what came before a damage."""

import errno
import json
import os
import sys
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from fedbert.errors import FedbertError
from fedbert.files import (
    UnreadableFile,
    is_temporary,
    read_bytes,
    read_json,
    read_text,
    read_toml,
    sha256_of,
    temporary_name,
    write_bytes,
    write_text,
)
from fedbert.journal import Journal, read_journal


def _full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flushing to the disk fails: one line, the old content, no temporary file."""
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(FedbertError, match=r"a\.txt' cannot be written: No space left[^\n]*$"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_that_is_stopped_anywhere_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    """Ctrl-C at each instruction of the write in its turn: a whole file, and no hidden one beside it."""
    path, steps = tmp_path / "a.json", 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != write_bytes.__code__.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    stopped = True
    while stopped:
        path.write_bytes(b"old")
        steps += 1
        left, before = steps, sys.gettrace()
        sys.settrace(trace)
        try:
            write_bytes(path, b"new")
            stopped = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert path.read_bytes() in (b"old", b"new")
        assert list(tmp_path.iterdir()) == [path]
    assert steps > 100
    assert path.read_bytes() == b"new"


def test_a_write_makes_folders_and_stands_every_name(tmp_path: Path) -> None:
    """A name of 255 bytes leaves no room for a longer temporary one; bytes of no UTF-8 become escapes."""
    path = tmp_path / "sub" / ("n" * 255)
    write_text(path, "a \udcff")
    assert path.read_bytes() == rb"a \udcff"
    with pytest.raises(FedbertError, match=r"^'/proc/a' cannot be written[^\n]*$"):
        write_bytes(Path("/proc/a"), b"")


def test_temporary_names_are_nobody_else_s() -> None:
    """A name of the user's, .partial or hidden, is not taken for ours."""
    assert is_temporary(temporary_name("run.json"))
    assert not any(is_temporary(name) for name in ("a.partial", ".a.partial", ".a.0123.partial", ".lock"))


def test_what_cannot_be_meant_is_not_read(tmp_path: Path) -> None:
    """Missing file, folder, pipe without a writer, endless device, too large, not UTF-8: a line each."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 11)
    (tmp_path / "latin").write_bytes(b"a\nb\xe9\n")
    for name, rule in (
        ("none", "exist"),
        (".", "be a regular file"),
        ("pipe", "be a regular file"),
        ("/dev/zero", "be a regular file"),
        ("large", "be at most 10 bytes"),
        ("latin", "be UTF-8 text (line 2 is not)"),
        ("n" * 300, "be readable (File name too long)"),
        ("a\0b", "hold no NUL"),
    ):
        with pytest.raises(UnreadableFile) as caught:
            read_text(tmp_path / name, 10)
        assert caught.value.rule == rule
        assert "\n" not in str(caught.value)
    assert len(read_bytes(tmp_path / "large", 11)) == 11


def test_text_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """An editor's mark is no part of the first key."""
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfdevices = 5\n")
    assert read_toml(tmp_path / "a.toml") == {"devices": 5}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a = " + "[" * 3000 + "]" * 3000, "nested"),
        ("a = " + "9" * 5000, "digits"),
        ("a = 2024-02-31", "TOML"),
        ("a = ", "TOML"),
        ("#" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)
def test_toml_that_python_cannot_take_is_one_line(tmp_path: Path, text: str, rule: str) -> None:
    """Deep nesting, a number of thousands of digits, a day that is not: refused, no traceback."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UnreadableFile, match=rf"^[^\n]*{rule}[^\n]*$"):
        read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, "NaN", "{", "", '"\\x"'])
def test_json_that_python_cannot_take_is_one_line(tmp_path: Path, text: str) -> None:
    """Deep nesting, a number of thousands of digits, NaN, half a file."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnreadableFile, match=r"^[^\n]*must be JSON[^\n]*$"):
        read_json(tmp_path / "a.json")


ROWS = [{"round": 1, "loss": 0.1}, {"round": 2, "text": "é\n"}, {}]


def _journal(path: Path) -> bytes:
    with Journal(path) as journal:
        for row in ROWS:
            journal.append(row)
    return path.read_bytes()


def test_a_journal_gives_back_its_rows(tmp_path: Path) -> None:
    """One line a row, its last key the CRC-32 of the rest in canonical JSON; a missing file is empty."""
    path = tmp_path / "rounds.jsonl"
    assert read_journal(path) == ([], 0)
    lines = _journal(path).splitlines()
    assert read_journal(path) == (ROWS, 0)
    assert lines[0] == b'{"loss":0.1,"round":1,"crc32":"%08x"}' % zlib.crc32(b'{"loss":0.1,"round":1}')
    assert [list(json.loads(line))[-1] for line in lines] == ["crc32"] * 3
    assert path.stat().st_size == len(_journal(path)) - sum(len(line) + 1 for line in lines)


def test_every_cut_and_every_changed_byte_is_found(tmp_path: Path) -> None:
    """Cut anywhere, the whole lines before it are read; with a byte changed, those before its line."""
    path = tmp_path / "rounds.jsonl"
    content = _journal(path)
    ends = [index + 1 for index, byte in enumerate(content) if byte == 10]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        assert read_journal(path) == (ROWS[:whole], int(size not in (0, *ends)))
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        whole = sum(end <= place for end in ends)
        read = read_journal(path)
        assert read.rows == ROWS[:whole]
        assert read.dropped >= 1


def test_opening_again_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    """A torn line is cut off, so that the next row is not lost with it."""
    path = tmp_path / "rounds.jsonl"
    path.write_bytes(_journal(path)[:-3])
    with Journal(path) as journal:
        journal.append({"round": 9})
    assert read_journal(path) == ([*ROWS[:2], {"round": 9}], 0)


def test_a_row_that_cannot_be_flushed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full disk: one line, and the file ends with the row before; then it goes on."""
    path = tmp_path / "rounds.jsonl"
    with Journal(path) as journal:
        journal.append({"round": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _full)
            with pytest.raises(FedbertError, match="No space left on device"):
                journal.append({"round": 2})
        journal.append({"round": 3})
        with pytest.raises(ValueError, match="crc32"):
            journal.append({"crc32": 1})
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.append({"loss": float("nan")})
    assert read_journal(path) == ([{"round": 1}, {"round": 3}], 0)


def test_a_hash_is_that_of_the_content_and_waits_for_nothing(tmp_path: Path) -> None:
    """SHA-256 of "abc" as FIPS 180-2 gives it; a pipe, a terabyte and one byte too many are refused."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path, 3) == sha256_of(path)
    with pytest.raises(UnreadableFile, match="must be at most 2 bytes"):
        sha256_of(path, 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFile, match="must be a regular file"):
        sha256_of(tmp_path / "pipe")
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnreadableFile, match="must be at most"):
        sha256_of(path)
