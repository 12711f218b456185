"""``fedbert compress``: from a teacher and public text to an int8 student, its stages shown as they run."""

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fedbert.errors import invalid
from fedbert.paths import data_folder

_WIDEST = 256


def compress(
    output: Annotated[Path, typer.Option(help="folder of the artefact that phones fetch")] = Path(
        "runs/model"
    ),
    server_output: Annotated[
        Path | None, typer.Option(help="folder of the server's float weights; default OUTPUT-server")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="folder or hub name of a BERT encoder; default: the installed one")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="folder with services/public.parquet; default: the shipped one")
    ] = None,
    general_text: Annotated[
        Path | None, typer.Option(help="file of further public sentences, one a line")
    ] = None,
    budget_bytes: Annotated[int, typer.Option(help="limit of all files together")] = 1_910_000,
    dim: Annotated[int, typer.Option(help="width of the vectors, 8 to 256")] = 96,
    seed: Annotated[int, typer.Option(help="seed of every random choice")] = 0,
    threads: Annotated[int, typer.Option(help="threads of torch")] = 2,
    work: Annotated[Path, typer.Option(help="folder of checkpoints; a stopped run goes on from them")] = Path(
        ".cache/compress"
    ),
    fast: Annotated[
        bool, typer.Option("--fast", help="trial run: all stages, little training, a poor student")
    ] = False,
) -> None:
    """Compress a teacher into a student of at most BUDGET_BYTES bytes: prune, distil, quantise."""
    if not 8 <= dim <= _WIDEST:
        raise invalid("dim", dim, f"be within 8..{_WIDEST}")
    if threads < 1:
        raise invalid("threads", threads, "be at least 1")
    if seed < 0:
        raise invalid("seed", seed, "be >= 0")
    if budget_bytes < 1_200_000:
        raise invalid(
            "budget_bytes", budget_bytes, "be at least 1200000, the layers and the characters alone"
        )
    from fedbert.ei_bert.pipeline import Plan
    from fedbert.ei_bert.pipeline import compress as run

    plan = replace(Plan(), budget_bytes=budget_bytes, dim=dim, seed=seed)
    line = shlex.join(["python", "simulations/compress.py", *sys.argv[1:]])
    server = server_output or output.with_name(f"{output.name}-server")
    with Screen() as screen:
        made = run(
            output,
            server,
            data or data_folder(),
            work,
            screen,
            teacher=teacher,
            general_text=general_text,
            plan=plan.fast() if fast else plan,
            command=line,
            threads=threads,
        )
    artefact = made.artefact
    typer.echo(f"{output}: {artefact.total_bytes:,} bytes, sha256 {artefact.sha256}, {made.seconds:.0f} s")
    typer.echo(f"{server}: what a server needs to go on training it")


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
