"""What a compression says while it runs; the command line shows it, tests remember it."""

from typing import Protocol


class Reporter(Protocol):
    """Shows how far a compression is."""

    def stage(self, name: str) -> None:
        """Begin the stage `name`."""

    def progress(self, done: int, total: int, loss: float) -> None:
        """Say that `done` of `total` steps of the stage are over."""

    def result(self, name: str, text: str) -> None:
        """Say what a stage came to."""
