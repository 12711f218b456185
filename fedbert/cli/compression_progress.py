"""The display of a compression: stages, steps, loss and time left."""

import time


class Screen:
    """Shows stages and steps: a live bar on a terminal, plain lines elsewhere."""

    def __enter__(self) -> "Screen":
        """Start the display."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.fields[loss]}"), console=self._console, transient=True
        )
        self._task = self._bar.add_task("", total=None, loss="")
        self._live = self._console.is_terminal
        self._said = 0.0
        self._first: tuple[float, int] | None = None
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the display."""
        if self._live:
            self._bar.stop()

    def stage(self, name: str) -> None:
        """Begin the stage `name`."""
        self._first = None
        if self._live:
            self._bar.reset(self._task, description=name, total=None, loss="")
        self._console.print(f"[bold]{name}[/bold]", highlight=False)

    def progress(self, done: int, total: int, loss: float, accuracy: float | None = None) -> None:
        """Show that `done` of `total` steps are over; plain lines come every 15 s."""
        figures = f"loss {loss:.4f}" + ("" if accuracy is None else f", accuracy {accuracy:.1%}")
        if self._live:
            self._bar.update(self._task, completed=done, total=total, loss=figures)
            return
        now = time.perf_counter()
        if self._first is None:
            self._first = (now, done)
        begun, before = self._first
        if now - self._said > 15 or done == total:
            self._said = now
            # A stage that goes on from a checkpoint did not take this long for its first steps.
            pace = (now - begun) / (done - before) if done > before else 0.0
            left = f", {pace * (total - done):.0f} s left" if pace and done < total else ""
            self._console.print(f"  {done:>6} of {total} steps, {figures}{left}", highlight=False)

    def result(self, name: str, text: str) -> None:
        """Show what a stage came to."""
        self._console.print(f"  {name}: {text}", highlight=False)
