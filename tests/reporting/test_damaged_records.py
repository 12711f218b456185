"""A damaged run.json: every key taken away or replaced, and each reader says so in one line or reads on."""

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reporting.example_run import example_run

from fedbert.cli.main import call
from fedbert.errors import FedbertError
from fedbert.results import save_run

HUGE = 10**400
"""A whole number that no double holds."""

CHANGES: tuple[Any, ...] = ("gone", None, "x", [], {}, -1, HUGE, True, [1], "\ud800")
"""What becomes of a key: it goes, or has another value."""

ALL = os.environ.get("FEDBERT_FUZZ") == "1"
"""Whether every key meets all of them (`make fuzz`), or one of them, in turn."""


def _read(*given: Any) -> None:
    raise FedbertError("the run was read")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key below `value`; of a list's members, those of the first and the last."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _places(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index in sorted({0, len(value) - 1}):
            yield from _places(value[index], (*path, index))


def _changed(run: Any, path: tuple[Any, ...], change: Any) -> Any:
    """Return `run` without the key at `path` (`change` is "gone") or with another value there."""
    again = copy.deepcopy(run)
    inner = again
    for part in path[:-1]:
        inner = inner[part]
    if change == "gone":
        del inner[path[-1]]
    else:
        inner[path[-1]] = change
    return again


@pytest.mark.parametrize("command", ["report", "capacity", *(["compare"] if ALL else [])])
def test_every_key_gone_or_replaced_is_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key of a run's record is damaged in its turn: exit code 2 and one line, or it is read.

    Pages are drawn, and runs compared, by `make fuzz` only, which takes minutes.
    """
    monkeypatch.chdir(tmp_path)
    if not ALL:
        monkeypatch.setattr("fedbert.reporting.run.folder.render_report", lambda result: "")
    monkeypatch.setattr("fedbert.reporting.run.folder.parquet_bytes", lambda frame: b"")
    monkeypatch.setattr("fedbert.planning.capacity.forecast.forecast", _read)
    run = json.loads(json.dumps(example_run()))
    words = {
        "report": ["report", "r"],
        "capacity": ["capacity", "--from", "r", "--output", "c"],
        "compare": ["compare", "whole", "r", "--output", "c", "--overwrite"],
    }[command]
    Path("r").mkdir()
    save_run(example_run(), Path("whole"))
    for number, path in enumerate(_places(run)):
        for change in CHANGES if ALL else (CHANGES[number % len(CHANGES)],):
            Path("r/run.json").write_text(json.dumps(_changed(run, path, change)))
            code = call(words[0], words[1:])
            lines = capsys.readouterr().err.splitlines()
            what = f"{path} = {change!r}: {lines}"
            assert code in (0, 2), what
            assert len(lines) == (code != 0), what
