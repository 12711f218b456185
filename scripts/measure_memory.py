"""Measure the memory of models and fit the constants of `fedbert.devices.memory` (Linux).

``measure_memory.py`` prints the tables of docs/devices.md from the committed measurements. ``--measure``
first repeats those of the shipped models: device_profiles/sources/memory_measured.csv. ``--fit`` makes
graphs of other sizes, measures them, writes device_profiles/sources/memory_graphs.csv and prints the
constants for `ONNX_RUNTIME`. ``--nibbles`` measures two graphs of 4-bit weights, which are not in the fit,
and prints their errors.
"""

import argparse
import sys
from dataclasses import asdict, astuple, fields
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from fedbert.devices.fitting.memory_fit import fit
from fedbert.devices.fitting.memory_report import (
    GRAPH_COLUMNS,
    GRAPHS_FILE,
    LENGTHS,
    MEASURED_COLUMNS,
    MEASURED_FILE,
    SHIPPED,
    fit_table,
    memory_table,
    read_graphs,
)
from fedbert.devices.host.memory_process import measure
from fedbert.devices.memory import RuntimeMemory, peak_bytes
from fedbert.devices.operations import count_operations
from fedbert.ei_bert.model.export import onnx_bytes
from fedbert.ei_bert.model.quantisation import INT8, Quantisation, Range
from fedbert.ei_bert.model.student import StudentShape, start_student
from fedbert.paths import models_folder
from fedbert.table_files import write_csv

SOURCES = Path(__file__).resolve().parent.parent / "device_profiles" / "sources"
POSITIONS = 128
PROCESSES = 3
GRAPHS = (
    StudentShape(3000, layers=1, width=64, heads=2, inner=256, adapter=0, dim=64),
    StudentShape(3000, layers=2, width=64, heads=2, inner=256, adapter=256),
    StudentShape(3000, layers=4, width=64, heads=2, inner=256, adapter=256),
    StudentShape(3000, layers=6, width=64, heads=2, inner=256, adapter=256),
    StudentShape(8000, layers=2, width=96, heads=4, inner=384, adapter=0, dim=96, pooled=True),
    StudentShape(8000, layers=6, width=96, heads=4, inner=384, adapter=384, dim=64),
    StudentShape(5000, layers=3, width=160, heads=4, inner=640, adapter=256, dim=128),
    StudentShape(12000, layers=2, width=64, heads=4, inner=256, adapter=0, dim=64),
    StudentShape(4000, layers=5, width=128, heads=8, inner=256, adapter=0, embedding=64),
    StudentShape(
        6000, layers=3, width=192, heads=4, inner=512, adapter=0, dim=192, pooled=True, embedding=96
    ),
    StudentShape(2000, layers=8, width=64, heads=2, inner=128, adapter=128, dim=64),
    StudentShape(9000, layers=1, width=128, heads=4, inner=512),
    StudentShape(5000, layers=4, width=128, heads=4, inner=512, adapter=0, shared=True),
)
"""Students of other sizes than the shipped ones, one to eight layers; 0.25 to 1.9 MB."""


def graph_of(shape: StudentShape, seed: int, quantisation: Quantisation = INT8) -> bytes:
    """Return the graph of a student with random weights, for texts of up to `POSITIONS` tokens."""
    torch.manual_seed(seed)
    head = nn.Parameter(0.05 * torch.randn(shape.teacher_width, shape.dim))
    student = start_student(shape, torch.randn(shape.vocabulary, shape.teacher_width), head, seed)
    student.body.places = nn.Embedding(POSITIONS, shape.width)
    for parameter in student.parameters():  # equal constants would be stored once
        nn.init.normal_(parameter, float(parameter.detach().mean()), 0.05)
    parts = ("input", "mixed", "middle", "inner")
    names = [f"layer{layer}.{part}" for layer in range(shape.layers) for part in parts] + [
        "pooled",
        "adapter",
    ]
    zeros = np.random.default_rng(seed).integers(90, 160, len(names))
    ranges = {name: Range(0.05 + 0.001 * i, int(zeros[i])) for i, name in enumerate(names)}
    return onnx_bytes(student, ranges, quantisation)


def measured(graph: bytes, lengths: tuple[int, ...]) -> list[dict[str, object]]:
    """Return the medians of `PROCESSES` fresh processes, a row per length, and the spread of the peak."""
    found = [measure({"model.onnx": graph}, [[1] * length for length in lengths]) for _ in range(PROCESSES)]
    rows: list[dict[str, object]] = []
    for index, length in enumerate(lengths):
        peaks = [each.peak_bytes[index] for each in found]
        rows.append(
            {
                "tokens": length,
                "load_bytes": int(np.median([each.load_bytes for each in found])),
                "run_bytes": int(np.median([each.run_bytes[index] for each in found])),
                "peak_bytes": int(np.median(peaks)),
                "spread_bytes": max(peaks) - min(peaks),
                "resident_bytes": int(np.median([each.resident_bytes for each in found]))
                if index == len(lengths) - 1
                else "",
                "onnxruntime": onnxruntime.__version__,
            }
        )
    return rows


def write_rows(name: str, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    """Write a table of the sources."""
    write_csv(SOURCES / name, columns, [[row[column] for column in columns] for row in rows])


def measure_shipped() -> None:
    """Write memory_measured.csv."""
    rows: list[dict[str, object]] = []
    for name in SHIPPED:
        graph = (models_folder() / name / "model.onnx").read_bytes()
        rows += [{"model": name, **row} for row in measured(graph, LENGTHS)]
        print(f"{name} measured", file=sys.stderr)
    write_rows(MEASURED_FILE, MEASURED_COLUMNS, rows)


def measure_graphs() -> None:
    """Write memory_graphs.csv."""
    rows: list[dict[str, object]] = []
    for index, shape in enumerate(GRAPHS):
        graph = graph_of(shape, index)
        operations = count_operations(graph)
        name = f"{shape.layers} layers of {shape.width}, {shape.vocabulary} tokens"
        for row in measured(graph, (*LENGTHS, POSITIONS)):
            activations = float(operations.activation_bytes(np.array(float(str(row["tokens"])))))
            rows.append({"graph": name, **asdict(operations.storage), "activation_bytes": activations, **row})
        print(f"{name} measured", file=sys.stderr)
    write_rows(GRAPHS_FILE, GRAPH_COLUMNS, rows)


def nibbles_table() -> list[str]:
    """Return predicted and measured peaks of two graphs of 4-bit weights, at 16 tokens."""
    lines = ["| 4-bit graph | file kB | predicted kB | measured kB |", "|---|---|---|---|"]
    for shape in (GRAPHS[1], GRAPHS[-2]):
        graph = graph_of(shape, 0, Quantisation(4, 4))
        predicted = peak_bytes(count_operations(graph), np.array(16.0), 0, 0)
        peak = measured(graph, (16,))[0]["peak_bytes"]
        lines.append(
            f"| {shape.layers} layers of {shape.width} | {len(graph) / 1e3:,.0f} "
            f"| {float(predicted) / 1e3:,.0f} | {int(str(peak)) / 1e3:,.0f} |"
        )
    return lines


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the shipped models again")
    parser.add_argument("--fit", action="store_true", help="measure generated graphs again and fit")
    parser.add_argument("--nibbles", action="store_true", help="measure two graphs of 4-bit weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.fit:
        measure_graphs()
        constants = fit(read_graphs(SOURCES / GRAPHS_FILE))
        for field, value in zip(fields(RuntimeMemory), astuple(constants), strict=True):
            print(f"    {field.name}={value!r},")
    if arguments.measure:
        measure_shipped()
    tables = [memory_table(SOURCES / MEASURED_FILE), fit_table(SOURCES / GRAPHS_FILE)]
    if arguments.nibbles:
        tables.append(nibbles_table())
    print("\n\n".join("\n".join(lines) for lines in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
