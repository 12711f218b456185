"""A display that goes away does not cost the work; what it cannot show it shows in another way."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from fedbert.cli.command import report_errors
from fedbert.cli.run_progress import RunProgress
from fedbert.display import Display, display, standard_streams_as_display
from fedbert.scenario import build

PROGRAM = """
import sys, pathlib, click
from fedbert.cli.command import report_errors

@click.command()
def command():
    for number in range(100_000):
        click.echo(f"line {number} of a progress nobody reads")
    pathlib.Path(sys.argv[1]).write_text("finished")

sys.exit(report_errors(command, []))
"""


class _Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_after_an_error_it_is_silent() -> None:
    """Writing, flushing, closed streams: no exception, and the length as usual."""
    gone = display(_Gone())
    assert gone.write("abc") == 3
    gone.flush()
    closed = io.StringIO()
    closed.close()
    closed_display = display(closed)
    assert closed_display.write("abc") == 3
    assert not closed_display.isatty()
    assert display(None).write("abc") == 3
    assert display(gone) is gone


def test_letters_that_it_cannot_show_become_escapes() -> None:
    """A terminal of ASCII gets a line, not a traceback."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    shown = Display(stream)
    shown.write("0.78 → 0.88")
    shown.flush()
    assert raw.getvalue() == b"0.78 \\u2192 0.88"


def test_progress_goes_on_in_silence() -> None:
    """The progress of a run on a stream that is gone raises nothing."""
    with RunProgress(_Gone()) as progress:
        progress.start(*build({}))
        progress.stage("loading")


def test_standard_streams_are_as_before() -> None:
    """They are displays inside the block only."""
    before = sys.stdout, sys.stderr
    with standard_streams_as_display():
        assert isinstance(sys.stdout, Display)
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("kind", ["reader goes away", "full disk", "closed"])
def test_a_command_finishes_without_its_display(tmp_path: Path, kind: str) -> None:
    """`command | head -1`, a full disk behind standard output, `>&-`: exit code 0, no word, work done."""
    done = tmp_path / "done"
    way = {"reader goes away": "| head -1", "full disk": "> /dev/full", "closed": ">&-"}[kind]
    line = f'set -o pipefail; "$0" -c "$1" "$2" {way}'
    ended = subprocess.run(
        ["bash", "-c", line, sys.executable, PROGRAM, str(done)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.read_text() == "finished"
    assert ended.returncode == 0
    assert ended.stderr == ""


def test_an_unforeseen_error_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, the place, and how to report it; the traceback only where it is asked for."""

    def broken() -> None:
        values: dict[str, Any] = {}
        values["p95"]

    monkeypatch.delenv("FEDBERT_TRACEBACK", raising=False)
    assert report_errors(click.Command("test", callback=broken), []) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: KeyError: 'p95' (test_display.py, line ")
    assert "please report it" in error
    monkeypatch.setenv("FEDBERT_TRACEBACK", "1")
    assert report_errors(click.Command("test", callback=broken), []) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
