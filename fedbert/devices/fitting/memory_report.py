"""The measured memory of models, as files and as the tables of docs/devices.md: Markdown lines."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import numpy as np

from fedbert.devices.fitting.memory_fit import MeasuredGraph, leave_one_out, peak_errors
from fedbert.devices.memory import ONNX_RUNTIME, MemoryParts, memory_parts
from fedbert.devices.operations import GraphStorage, count_operations
from fedbert.paths import models_folder
from fedbert.table_files import rows_of

SHIPPED = ("default", "small", "tiny", "intents-default", "intents-small", "intents-tiny")
LENGTHS = (8, 16, 32, 64)
"""Lengths that are measured; the shipped models read at most 64 tokens of a text."""

MEASURED_FILE, GRAPHS_FILE = "memory_measured.csv", "memory_graphs.csv"
_RESULTS = (
    "tokens",
    "load_bytes",
    "run_bytes",
    "peak_bytes",
    "spread_bytes",
    "resident_bytes",
    "onnxruntime",
)
MEASURED_COLUMNS = ("model", *_RESULTS)
GRAPH_COLUMNS = ("graph", *(field.name for field in fields(GraphStorage)), "activation_bytes", *_RESULTS)


def read_graphs(path: Path) -> list[MeasuredGraph]:
    """Return the measured graphs of memory_graphs.csv."""
    graphs = []
    for name, group in groupby(rows_of(path), key=lambda row: row["graph"]):
        rows = list(group)

        def column(key: str, rows: list[dict[str, str]] = rows) -> np.ndarray:
            return np.array([float(row[key]) for row in rows])

        storage = GraphStorage(**{field.name: int(rows[0][field.name]) for field in fields(GraphStorage)})
        graphs.append(
            MeasuredGraph(
                name=name,
                storage=storage,
                tokens=column("tokens"),
                activation_bytes=column("activation_bytes"),
                load_bytes=float(rows[0]["load_bytes"]),
                run_bytes=column("run_bytes"),
                peak_bytes=column("peak_bytes"),
            )
        )
    return graphs


def memory_errors(path: Path) -> np.ndarray:
    """Return predicted / measured - 1 of the peaks [row] in memory_measured.csv at `path`."""
    return np.array([_error(row, parts) for row, parts in _predicted(path)])


def _predicted(path: Path) -> Iterator[tuple[dict[str, str], MemoryParts]]:
    """Yield the rows of memory_measured.csv at `path`, each with its prediction [1]."""
    for name, rows in groupby(rows_of(path), key=lambda row: row["model"]):
        operations = count_operations((models_folder() / name / "model.onnx").read_bytes())
        for row in rows:
            yield row, memory_parts(operations, np.array([float(row["tokens"])]), 0, 0)


def _error(row: dict[str, str], parts: MemoryParts) -> float:
    return float(parts.peak_bytes[0]) / float(row["peak_bytes"]) - 1


def memory_table(path: Path) -> list[str]:
    """Return predicted and measured peaks of the shipped graphs, from memory_measured.csv at `path`."""
    lines = [
        "| model | tokens | weights | session | activations | loading | peak kB | measured kB | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    worst = spread = 0.0
    for row, parts in _predicted(path):
        measured, error = float(row["peak_bytes"]), _error(row, parts)
        worst, spread = max(worst, abs(error)), max(spread, float(row["spread_bytes"]) / measured)
        shown = (
            parts.weights_bytes,
            parts.session_bytes,
            parts.activation_bytes,
            parts.transient_bytes,
            parts.peak_bytes,
        )
        cells = " | ".join(f"{part[0] / 1e3:,.0f}" for part in shown)
        lines.append(f"| {row['model']} | {row['tokens']} | {cells} | {measured / 1e3:,.0f} | {error:+.1%} |")
    return [*lines, "", f"Largest error {worst:.1%}; fresh processes differ by up to {spread:.1%}."]


def fit_table(path: Path) -> list[str]:
    """Return the errors of the graphs that the constants are fitted to, memory_graphs.csv at `path`."""
    graphs = read_graphs(path)
    left_out = leave_one_out(graphs)
    reads = np.concatenate(
        [ONNX_RUNTIME.reading_binds(graph.storage, graph.activation_bytes) for graph in graphs]
    )
    inside = np.concatenate([peak_errors(ONNX_RUNTIME, graph) for graph in graphs])
    outside = np.concatenate(left_out)
    lines = [
        f"| peaks of {len(graphs)} generated graphs | mean error | root mean square | largest |",
        "|---|---|---|---|",
    ]
    for name, errors in (
        ("in the fit", inside),
        ("graph left out", outside),
        ("graph left out, peak while reading", outside[reads]),
        ("graph left out, peak later", outside[~reads]),
    ):
        square = float(np.sqrt(np.mean(errors**2)))
        size = np.abs(errors)
        lines.append(f"| {name} ({len(errors)}) | {size.mean():.1%} | {square:.1%} | {size.max():.1%} |")
    return lines
