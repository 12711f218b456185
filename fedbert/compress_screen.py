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
        self._begun, self._said = time.perf_counter(), 0.0
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the display."""
        if self._live:
            self._bar.stop()

    def stage(self, name: str) -> None:
        """Begin the stage `name`."""
        self._name = name
        if self._live:
            self._bar.reset(self._task, description=name, total=None, loss="")
        self._console.print(f"[bold]{name}[/bold]", highlight=False)

    def progress(self, done: int, total: int, loss: float) -> None:
        """Show that `done` of `total` steps are over; plain lines come every 15 s."""
        if self._live:
            self._bar.update(self._task, completed=done, total=total, loss=f"loss {loss:.4f}")
        elif time.perf_counter() - self._said > 15 or done == total:
            self._said = time.perf_counter()
            took = self._said - self._begun
            self._console.print(
                f"  {done:>6} of {total} steps, loss {loss:.4f}, {took:.0f} s", highlight=False
            )

    def result(self, name: str, text: str) -> None:
        """Show what a stage came to."""
        self._console.print(f"  {name}: {text}", highlight=False)
