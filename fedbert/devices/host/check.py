"""Predicted beside measured latency of whole models on this machine: rows, their errors, tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedbert.devices.cost_model import count_operations, encoding
from fedbert.devices.host.device import LENGTHS, THREADS
from fedbert.devices.host.fit import Floats
from fedbert.devices.profiles import Core
from fedbert.table_files import rows_of, write_csv

HEADER = ("model", "length", "threads", "predicted_ms", "measured_ms")


@dataclass(frozen=True)
class Row:
    """One text of `length` tokens on `threads` threads; parts of the prediction where they are known."""

    model: str
    length: int
    threads: int
    predicted_ms: float
    measured_ms: float
    compute_ms: float = float("nan")
    memory_ms: float = float("nan")
    overhead_ms: float = float("nan")

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Summary:
    """Absolute errors of some rows: the median, the largest, and how many are within 15 %."""

    median: float
    worst: float
    within: int
    rows: int


WITHIN = 0.15
"""The error that a row may have."""


def compare(core: Core, models: dict[str, bytes], measured_ms: Floats) -> list[Row]:
    """Return the rows of `models` on `core`, in the order of `host.whole_jobs`.

    `measured_ms` [thread, model, length] are the times of `THREADS`, `models` and `LENGTHS`.
    """
    counts = {name: count_operations(content) for name, content in models.items()}
    tokens = np.array(LENGTHS, np.float64)
    rows = []
    for threads, by_model in zip(THREADS, measured_ms, strict=True):
        for (name, operations), times in zip(counts.items(), by_model, strict=True):
            parts = encoding(core, operations, tokens, threads)
            columns = (parts.total_ms, times, parts.compute_ms, parts.memory_ms, parts.overhead_ms)
            for length, values in zip(LENGTHS, np.column_stack(columns).tolist(), strict=True):
                rows.append(Row(name, length, threads, *values))
    return rows


def summary(rows: Iterable[Row]) -> Summary:
    """Return the errors of `rows` in four numbers."""
    errors = np.abs([row.error for row in rows])
    return Summary(float(np.median(errors)), float(errors.max()), int((errors <= WITHIN).sum()), len(errors))


def screen_table(rows: list[Row]) -> list[str]:
    """Return the lines of the table with the parts of each prediction, and the summary."""
    width = max(len(row.model) for row in rows)
    columns = ("tokens", "threads", "predicted", "measured", "error", "load", "compute", "memory", "overhead")
    lines = [f"{'model':<{width}}" + "".join(f"{name:>10}" for name in columns)]
    for row in rows:
        parts = (0.0, row.compute_ms, row.memory_ms, row.overhead_ms)
        lines.append(
            f"{row.model:<{width}}{row.length:>10}{row.threads:>10}{row.predicted_ms:>10.3f}"
            f"{row.measured_ms:>10.3f}{row.error:>+10.1%}" + "".join(f"{part:>10.3f}" for part in parts)
        )
    return [*lines, *summary_lines(rows)]


def summary_lines(rows: list[Row]) -> list[str]:
    """Return a line for each number of threads and one for all."""
    groups = [(f"{n} thread{'s' * (n > 1)}", [row for row in rows if row.threads == n]) for n in THREADS]
    lines = []
    for name, some in [*groups, ("all", rows)]:
        found = summary(some)
        lines.append(
            f"{name}: median error {found.median:.1%}, worst {found.worst:.1%}, "
            f"{found.within} of {found.rows} rows within 15 %"
        )
    return lines


def markdown(rows: list[Row]) -> list[str]:
    """Return the table of the docs: a line a model and length, both numbers of threads side by side."""
    by_key = {(row.model, row.length, row.threads): row for row in rows}
    lines = [
        "| model | tokens | 1 thread: modelled | measured | error | 2 threads: modelled | measured | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, length in dict.fromkeys((row.model, row.length) for row in rows):
        cells = [model, str(length)]
        for threads in THREADS:
            row = by_key[model, length, threads]
            cells += [f"{row.predicted_ms:.3f}", f"{row.measured_ms:.3f}", f"{row.error:+.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def docs_lines(rows: list[Row]) -> list[str]:
    """Return what docs/devices.md shows of `rows`: the table, and the summary as a list."""
    return [*markdown(rows), "", *(f"- {line}" for line in summary_lines(rows))]


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write `rows` as CSV; raises FedbertError if that cannot be."""
    times = [(f"{row.predicted_ms:.4f}", f"{row.measured_ms:.4f}") for row in rows]
    cells = [(row.model, row.length, row.threads, *both) for row, both in zip(rows, times, strict=True)]
    write_csv(path, HEADER, cells)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of such a CSV."""
    return [
        Row(
            row["model"],
            int(row["length"]),
            int(row["threads"]),
            float(row["predicted_ms"]),
            float(row["measured_ms"]),
        )
        for row in rows_of(path)
    ]
