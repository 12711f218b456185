"""What a run says while it runs: a live display on a terminal, one plain line per round elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from fedbert.display import display
from fedbert.findings import advice, held_reason
from fedbert.reporting.parts import text
from fedbert.results import RoundRow, is_bounded
from fedbert.scenario import Execution, Scenario


class Progress(Protocol):
    """What a simulation calls while it works."""

    def start(self, scenario: Scenario, execution: Execution) -> None:
        """Say what is about to run."""

    def stage(self, text: str) -> None:
        """Say what is being done now, as in "loading the teacher"."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Say what came out of a round (0 = the window before the first)."""

    def note(self, text: str) -> None:
        """Say in one line what was read, or what went wrong and did not end the run."""

    def finish(self) -> None:
        """Say nothing more; may be called twice."""


class QuietProgress:
    """Says nothing: for tests and grids of runs."""

    def start(self, scenario: Scenario, execution: Execution) -> None:
        """Say nothing."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


SAY_ALL = ("privacy", "speed")
"""Figures of a plain line that need no name before them."""

BLOCKS = "▁▂▃▄▅▆▇█"


def _no_figure(row: RoundRow) -> str:
    """Return why a round has no quality."""
    return "not ranked" if row["sessions"] else "no session"


def sparkline(values: list[float]) -> str:
    """Return `values` as a line of small bars from the least to the greatest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in values)


class RunProgress:
    """Shows a run on standard output; leave the `with` block, or call `finish`, to end the display.

    Args:
        stream: where to write, standard output by default; a live display only if it is a terminal.
        clock: seconds that only grow, for the elapsed time and the time left.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = display(stream if stream is not None else sys.stdout)
        self._clock = clock
        self._live: Any = None
        self._rounds_planned = 0
        self._rows: list[RoundRow] = []
        self._devices_per_s = 0.0
        self._stage = "starting"
        self._started_s: float = clock()
        self._rounds_began_s: float | None = None
        self._round_ended_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def start(self, scenario: Scenario, execution: Execution) -> None:
        """Begin the display: what runs, on which backend."""
        self._started_s = self._clock()
        self._rounds_planned = scenario.rounds
        self._rows = []
        budget = f"epsilon {scenario.epsilon:g}" if scenario.epsilon is not None else text.NOT_PRIVATE
        self._title = (
            f"{scenario.devices:,} devices, {scenario.rounds} rounds, world {scenario.world}, {budget}, "
            f"seed {scenario.seed}, backend {execution.backend}"
        )
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(file=self._stream),
                get_renderable=self._panel,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        else:
            self._line(self._title)

    def stage(self, text: str) -> None:
        """Show what is being done now."""
        changed, self._stage = text != self._stage, text
        if self._rounds_began_s is None or not self._rows:
            self._rounds_began_s = self._clock()
        if self._live is None and changed and (not self._rows or self._rounds_left == 0):
            self._line(f"{text} ...")

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Show the figures of a finished round."""
        if self._rounds_began_s is None:
            self._rounds_began_s = self._started_s
        self._round_ended_s = self._clock()
        self._rows.append(row)
        self._devices_per_s = devices_per_s
        if self._live is None:
            shown = (value if name in SAY_ALL else f"{name} {value}" for name, value in self._figures())
            self._line(", ".join(shown))
        self._say_why_held(row)

    def _say_why_held(self, row: RoundRow) -> None:
        """Say why a round was held and which flag helps, once for rounds held for one reason in a row."""
        reason = held_reason(row)
        before = held_reason(self._rows[-2]) if len(self._rows) > 1 else None
        if reason is not None and reason != before:
            help_ = advice(reason)
            self.note(f"round {row['round']} was held: {reason}" + (f"; {help_}" if help_ else ""))

    def note(self, text: str) -> None:
        """Show one line above the display."""
        if self._live is None:
            self._line(text)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def finish(self) -> None:
        """End the display and leave its last state standing."""
        if self._live is not None:
            self._stage = ""
            self._live.stop()
            self._live = None

    @property
    def _rounds_left(self) -> int:
        done = self._rows[-1]["round"] if self._rows else 0
        return max(0, self._rounds_planned - done)

    def _seconds_left(self) -> float | None:
        """Return the time for the rounds left at the pace of those done, None before the first."""
        if not self._rows or self._rounds_began_s is None or self._round_ended_s is None:
            return None
        pace = (self._round_ended_s - self._rounds_began_s) / len(self._rows)
        return max(0.0, pace * self._rounds_left - (self._clock() - self._round_ended_s))

    def _figures(self) -> list[tuple[str, str]]:
        row = self._rows[-1]
        left = self._seconds_left()
        figures = [
            ("round", f"{row['round']}/{self._rounds_planned}"),
            ("nDCG@10", f"{row['ndcg@10']:.3f}" if row["ndcg@10"] is not None else _no_figure(row)),
            ("epsilon" if is_bounded(row) else "privacy", text.epsilon(row["epsilon_unamplified"])),
            ("speed", f"{text.significant(self._devices_per_s)} devices/s"),
            ("elapsed", text.duration(self._clock() - self._started_s)),
        ]
        if left is not None and self._rounds_left:
            figures.append(("left", text.duration(left)))
        if held := sum(held_reason(row) is not None for row in self._rows):
            figures.append(("held so far", str(held)))
        return figures

    def _line(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _panel(self) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        figures = Table.grid(padding=(0, 3))
        if self._rows:
            shown = self._figures()
        else:
            shown = [
                ("round", f"0/{self._rounds_planned}"),
                ("elapsed", text.duration(self._clock() - self._started_s)),
            ]
        for _ in shown:
            figures.add_column(no_wrap=True)
        figures.add_row(*(Text(name, style="dim") for name, _ in shown))
        figures.add_row(*(Text(value, style="bold") for _, value in shown))
        bar = Table.grid(expand=True)  # a bare bar does not end its line
        bar.add_row(
            ProgressBar(
                total=self._rounds_planned or 1,
                completed=self._rounds_planned - self._rounds_left,
                complete_style="cyan",
                finished_style="cyan",
            )
        )
        parts: list[Any] = [bar, figures]
        if len(self._rows) > 1:
            trend = sparkline([seen for row in self._rows if (seen := row["ndcg@10"]) is not None][-60:])
            parts.append(Text.assemble(("nDCG@10 as users see it  ", "dim"), (trend, "cyan")))
        if self._stage:
            parts.append(Text(f"{self._stage} ...", style="italic"))
        return Panel(
            Group(*parts), title=Text(self._title), title_align="left", border_style="dim", padding=(0, 1)
        )
