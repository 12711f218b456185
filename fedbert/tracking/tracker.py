"""What a tracker is, and how a run talks to several of them: one that fails never costs the run."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from fedbert.plugins import one_line
from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Scenario


class Tracker(Protocol):
    """Follows one run: `started`, then `round` as rows come, then `finished` or `stopped`.

    A class of this shape is made without arguments. If a method raises an exception, the run goes on without
    the tracker.
    """

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int) -> None:
        """Begin to follow the run of `scenario` in `folder`, which exists.

        `resumed_rounds` is the number of rows that were given before an interruption, rounds 0 to
        `resumed_rounds` - 1: the tracker goes on with what it wrote in `folder` then. 0 = a new run.
        """

    def round(self, row: RoundRow) -> None:
        """Take the row of a finished round; round 0 is the window before the first."""

    def finished(self, result: RunResult) -> None:
        """Take the whole result and let go of everything; called once, after the run's files are written.

        An interrupted run that has a result ends here too: its `status` is not "finished".
        """

    def stopped(self, reason: str) -> None:
        """Let go of everything: the run has no result, or this tracker raised; `reason` is one line."""


METHODS = ("started", "round", "finished", "stopped")


class Trackers:
    """Several trackers as one. It calls each in turn, and drops one that fails after saying so once."""

    def __init__(self, trackers: Mapping[str, Tracker], note: Callable[[str], None]) -> None:
        """Take `trackers` by the name messages call them, and `note`, which is given one line per failure."""
        self._following = dict(trackers)
        self._note = note

    def started(self, scenario: Scenario, folder: Path, resumed_rounds: int = 0) -> None:
        """Begin all trackers; see `Tracker.started`."""
        self._each(lambda tracker: tracker.started(scenario, folder, resumed_rounds))

    def round(self, row: RoundRow) -> None:
        """Give the row of a finished round to all trackers."""
        self._each(lambda tracker: tracker.round(row))

    def finished(self, result: RunResult) -> None:
        """Give the result to all trackers and end them."""
        self._each(lambda tracker: tracker.finished(result))
        self._following.clear()

    def stopped(self, reason: str) -> None:
        """End all trackers of a run that has no result; after `finished` this does nothing."""
        self._each(lambda tracker: tracker.stopped(reason))
        self._following.clear()

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._following.items()):
            try:
                tell(tracker)
            except Exception as error:  # whatever it is, it must not cost the run
                del self._following[name]
                said = one_line(error)
                self._note(f"tracker {name} failed and is left out from here on: {said}")
                with contextlib.suppress(Exception):  # it may still hold a file or a process
                    tracker.stopped(said)
