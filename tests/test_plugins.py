"""Rules of parts that are chosen by name, or come from a user's own file."""

import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from fedbert.errors import FedbertError
from fedbert.plugins import Named, load_named

OWN = {"fraction": "fractions:Fraction", "decimal": "decimal:Decimal"}


def _file(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _load(spec: object) -> Any:
    return load_named(str(spec), OWN, "number", "number")


def _refused(spec: object) -> str:
    """Return the one line that `spec` is refused with."""
    with pytest.raises(FedbertError) as caught:
        _load(spec)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_a_known_name_is_imported_when_asked_for() -> None:
    """A registered name gives the attribute of its module."""
    from fractions import Fraction

    assert _load("fraction") is Fraction


def test_a_users_file_gives_its_own_objects(tmp_path: Path) -> None:
    """PATH.py:NAME gives NAME of the file, also from a path with dots, blanks and letters beyond ASCII."""
    folder = tmp_path / "my v1.2 späť"
    folder.mkdir()
    path = _file(folder, "class Half:\n    value = 0.5\n", "a.b.py")
    assert _load(f"{path}:Half").value == 0.5


def test_a_file_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gives the same object twice, however its path is written; two files of one name stay apart."""
    path = _file(tmp_path, "class Half: ...\n")
    (tmp_path / "other").mkdir()
    other = _file(tmp_path / "other", "class Half: ...\n")
    (tmp_path / "link.py").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    first = _load(f"{path}:Half")
    assert all(_load(spec) is first for spec in ("mine.py:Half", "other/../mine.py:Half", "link.py:Half"))
    assert _load(f"{other}:Half") is not first


def _value(half: Any) -> tuple[int, float]:
    return os.getpid(), half.value


def test_a_spawned_process_gets_objects_of_a_users_file(tmp_path: Path) -> None:
    """A class and its instances cross to a fresh interpreter that never heard of the file."""
    path = _file(tmp_path, "class Half:\n    def __init__(self) -> None:\n        self.value = 0.5\n")
    half = _load(f"{path}:Half")
    assert pickle.loads(pickle.dumps(half)) is half
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        process, value = pool.apply(_value, (half(),))
    assert (value, process != os.getpid()) == (0.5, True)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("third", "number(='third') must be one of decimal, fraction; or name a number of your own as "),
        ("", "must be one of decimal, fraction"),
        ("mine.txt:Half", "must have the form PATH.py:NAME"),
        ("mine.py:", "must have the form PATH.py:NAME"),
        ("mine.py:a b", "must have the form PATH.py:NAME"),
        (".py:Half", "there is no .py; check the path"),
        ("no/such.py:Half", "must name a file that exists: there is no no/such.py; check the path"),
    ],
)
def test_a_wrong_spec_is_refused(spec: str, message: str) -> None:
    """What is neither a known name nor a file and a name is refused with what to type."""
    assert message in _refused(spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nraise ValueError('two\\nlines')\n", "ValueError: two lines on line 2 of mine.py; mend the file"),
        (
            "x = 1\nimport no_such_module\n",
            "ModuleNotFoundError: No module named 'no_such_module' on line 2 of mine.py",
        ),
        ("def f(\n", "SyntaxError: '(' was never closed on line 1 of mine.py"),
        ("import json\n\njson.loads('[')\n", "Expecting value: line 1 column 2 (char 1) on line 3 of mine"),
        ("raise SystemExit\n", "SystemExit on line 1 of mine.py"),
        ("x = '\0'\n", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """What a file raises while it is imported is one line with its type, message and line; twice alike."""
    path = _file(tmp_path, text)
    assert message in _refused(f"{path}:Half")
    assert message in _refused(f"{path}:Half")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder, or bytes that are no text, end in one line too."""
    (tmp_path / "folder.py").mkdir()
    assert "must name a file that exists" in _refused(f"{tmp_path / 'folder.py'}:Half")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    assert "SyntaxError" in _refused(f"{tmp_path / 'bytes.py'}:Half")


def test_a_missing_name_lists_what_the_file_defines(tmp_path: Path) -> None:
    """The names that the file itself defines are offered, not those it imports."""
    path = _file(tmp_path, "from json import loads\nclass Half: ...\ndef third(): ...\n_hidden = third\n")
    assert _refused(f"{path}:Halve").endswith(f"must name something in {path}; it has Half, third")
    empty = _file(tmp_path, "", "empty.py")
    assert _refused(f"{empty}:Half").endswith("; it defines no number")


def test_what_a_users_part_raises_is_one_line(tmp_path: Path) -> None:
    """Whether it is made, asked for a value or called: the line names setting, error and place. Values and
    fedbert's own errors go through.
    """
    path = _file(
        tmp_path,
        "from fedbert.errors import FedbertError\n"
        "class Half:\n"
        "    value = 0.5\n"
        "    gone = property(lambda self: self.nowhere)\n"
        "    def of(self, number, *, times=1): return times / number\n"
        "    def own(self): raise FedbertError('own words')\n",
    )
    named = Named("number", f"{path}:Half", "the page shows one")
    half = named.made(_load(f"{path}:Half"), ("value", "gone", "of"))
    assert (half.value, half.of(2, times=3)) == (0.5, 1.5)
    for work, said in (
        (
            lambda: half.of(0),
            "must not fail: ZeroDivisionError: division by zero on line 5 of mine.py; the page",
        ),
        (
            lambda: half.gone,
            "must not fail: AttributeError: 'Half' object has no attribute 'nowhere' on line 4",
        ),
        (lambda: half.own(), "own words"),
        (lambda: named.made(_load(f"{path}:Half"), ("size",)), "must have size; the page shows one"),
        (lambda: named.made(_load(f"{path}:Half"), (), 1, 2), "must not fail: TypeError"),
        (lambda: named.made(0.5, ()), "must name something that can be called, not float"),
    ):
        with pytest.raises(FedbertError) as caught:
            work()
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
