"""Rules of choosing trackers, and of telling them about a run."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example_tracked import SCENARIO, result, row

from fedbert.errors import FedbertError
from fedbert.plugins import load_named
from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario
from fedbert.tracking.registry import TRACKERS, open_trackers
from fedbert.tracking.tracker import Trackers


class Told:
    """A tracker that writes down what it is told, and raises `error` in the method `fails`."""

    def __init__(self, fails: str = "", error: Exception | None = None) -> None:
        self.heard: list[Any] = []
        self._fails, self._error = fails, error or OSError(28, "No space left on device")

    def _hear(self, method: str, what: object) -> None:
        self.heard.append((method, what))
        if method == self._fails:
            raise self._error

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int) -> None:
        """Note devices, folder and resumption."""
        self._hear("started", (scenario.devices, folder.name, resumed_rounds))

    def round(self, row: RoundRow) -> None:
        """Note the round."""
        self._hear("round", row["round"])

    def finished(self, result: RunResult) -> None:
        """Note the status."""
        self._hear("finished", result["status"])

    def stopped(self, reason: str) -> None:
        """Note the reason."""
        self._hear("stopped", reason)


def _refused(spec: object) -> str:
    """Return the one line that `spec` is refused with."""
    with pytest.raises(FedbertError) as caught:
        open_trackers([str(spec)], print)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.fixture
def example(worked_example: Callable[[str], str]) -> str:
    """The tracker of docs/how-to/tracker.md."""
    return worked_example("A tracker")


def test_every_tracker_is_told_everything_in_order(tmp_path: Path) -> None:
    """Started, each round, finished; after that a stop is no news."""
    one, two = Told(), Told()
    trackers = Trackers({"one": one, "two": two}, pytest.fail)
    trackers.started(SCENARIO, tmp_path, resumed_rounds=2)
    trackers.round(row(2))
    trackers.finished(result())
    trackers.stopped("too late")
    expected = [("started", (50, tmp_path.name, 2)), ("round", 2), ("finished", "finished")]
    assert one.heard == two.heard == expected


@pytest.mark.parametrize("fails", ["started", "round", "finished"])
def test_a_tracker_that_fails_is_left_out(tmp_path: Path, fails: str) -> None:
    """It is told to let go, one line says so, and the other tracker misses nothing."""
    bad, good, notes = Told(fails), Told(), list[str]()
    trackers = Trackers({"bad": bad, "good": good}, notes.append)
    trackers.started(SCENARIO, tmp_path)
    for index in range(3):
        trackers.round(row(index))
    trackers.finished(result())
    reason = "OSError: [Errno 28] No space left on device"
    assert notes == [f"tracker bad failed and is left out from here on: {reason}"]
    assert [method for method, _ in bad.heard].count(fails) == 1
    assert bad.heard[-1] == ("stopped", reason)
    assert [method for method, _ in good.heard] == ["started", "round", "round", "round", "finished"]


def test_a_tracker_that_cannot_even_stop_is_left_out(tmp_path: Path) -> None:
    """A failure while it lets go costs the run nothing either, and is said in one line."""
    notes = list[str]()
    trackers = Trackers({"bad": Told("stopped", ValueError("two\nlines"))}, notes.append)
    trackers.started(SCENARIO, tmp_path)
    trackers.stopped("the disk is full")
    assert notes == ["tracker bad failed and is left out from here on: ValueError: two lines"]


def test_ctrl_c_is_not_a_failure_of_a_tracker(tmp_path: Path) -> None:
    """An interrupt in a tracker goes through to the run."""

    class Interrupted(Told):
        def round(self, row: RoundRow) -> None:
            """Be interrupted."""
            raise KeyboardInterrupt

    trackers = Trackers({"slow": Interrupted()}, pytest.fail)
    with pytest.raises(KeyboardInterrupt):
        trackers.round(row(0))


def test_the_pages_example_follows_a_run_and_its_resumption(tmp_path: Path, example: str) -> None:
    """The tracker of docs/how-to/tracker.md, writes each round once, then how the run ended."""
    file, folder = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(example, encoding="utf-8")
    folder.mkdir()
    for rows, resumed in ((range(2), 0), (range(2, 3), 2)):
        trackers = open_trackers([f"{file}:Quality"], pytest.fail)
        trackers.started(SCENARIO, folder, resumed)
        for index in rows:
            trackers.round(row(index))
        if resumed:
            trackers.finished(result())
        else:
            trackers.stopped("killed")
    written = (folder / "quality.txt").read_text(encoding="utf-8").splitlines()
    assert written == ["0 0.500", "1 0.625", "killed", "2 0.750", "finished"]


def test_a_users_tracker_that_fails_is_named_with_its_line(tmp_path: Path, example: str) -> None:
    """The note says which line of the user's file failed."""
    file, notes = tmp_path / "mine.py", list[str]()
    code = example
    file.write_text(code.replace("'ndcg@10'", "'ndgc'"), encoding="utf-8")
    trackers = open_trackers([f"{file}:Quality"], notes.append)
    trackers.started(SCENARIO, tmp_path)
    trackers.round(row(0))
    line = 1 + code[: code.index("print(row")].count("\n")
    said = f"KeyError: 'ndgc' on line {line} of mine.py"
    assert notes == [f"tracker {file}:Quality failed and is left out from here on: {said}"]


def test_a_tracker_is_opened_once(tmp_path: Path, example: str) -> None:
    """A name that is given twice is one tracker."""
    file = tmp_path / "mine.py"
    file.write_text(example + "\nmade = []\n\n\ndef make():\n    made.append(1)\n    return Quality()\n")
    open_trackers([f"{file}:make", f"{file}:make"], pytest.fail)
    assert load_named(f"{file}:made", {}, "list", "list") == [1]


def test_what_is_no_tracker_is_refused(tmp_path: Path) -> None:
    """An unknown name, a class that cannot be made and one that lacks a method end in one line each."""
    known = "tracker(='mlfow') must be one of mlflow, tensorboard, wandb; or name a tracker of your own as "
    assert _refused("mlfow") == known + "PATH.py:NAME"
    file = tmp_path / "mine.py"
    file.write_text("class Lean: ...\n\n\nclass Greedy:\n    def __init__(self, more): ...\n\n\nNUMBER = 1\n")
    assert "must have the method started; docs/how-to/tracker.md shows one" in _refused(f"{file}:Lean")
    assert "be a class that can be made without arguments: TypeError: " in _refused(f"{file}:Greedy")
    assert "be a class that can be made without arguments: TypeError: " in _refused(f"{file}:NUMBER")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tensorboard", "tensorboard.summary.writer.record_writer"),
        ("mlflow", "mlflow"),
        ("wandb", "wandb"),
    ],
)
def test_a_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    """Without its package a tracker is refused with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    assert _refused(name).endswith(f"must have its package {name} installed; pip install 'fedbert[{name}]'")


def test_a_name_costs_nothing_until_it_is_used() -> None:
    """The list of trackers is known without importing any of their packages, or torch."""
    code = "import sys, fedbert.tracking.registry; print([n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *TRACKERS, "torch"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
