"""What a grid says while it runs: a bar on a terminal, one plain line per cell elsewhere."""

import sys
from types import TracebackType
from typing import Any, Self, TextIO

from fedbert.display import display
from fedbert.planning.tradeoff.grid import Progress
from fedbert.reporting.parts.text import duration


def line(progress: Progress) -> str:
    """Return the state as one line: cells done, the one that ended, time left."""
    words = f"{progress.done} of {progress.total} cells done"
    if progress.last:
        words += f" ({progress.last})"
    if progress.seconds_left is not None and progress.done < progress.total:
        words += f", about {duration(progress.seconds_left)} left"
    return words


class GridProgress:
    """Shows a grid's progress on `stream` (default: standard error) until the `with` block ends."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = display(stream if stream is not None else sys.stderr)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show the state after a cell."""
        if not self._stream.isatty():
            self._stream.write(line(progress) + "\n")
            self._stream.flush()
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=progress.total)
        self._bar.update(self._task, completed=progress.done, description=line(progress))
