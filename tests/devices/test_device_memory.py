"""Memory: the prediction against a plain reference, its own parts, committed and fresh measurements."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fedbert.devices.fitting.memory_fit import fit, peak_errors, running_bytes
from fedbert.devices.fitting.memory_report import (
    GRAPHS_FILE,
    MEASURED_FILE,
    SHIPPED,
    fit_table,
    memory_table,
    read_graphs,
)
from fedbert.devices.host.memory_process import measure
from fedbert.devices.memory import (
    ONNX_RUNTIME,
    OTHER_ERROR,
    READING_ERROR,
    RuntimeMemory,
    memory_parts,
    peak_bytes,
    relative_error,
)
from fedbert.devices.operations import GraphStorage, ModelOperations, Quadratic, count_operations
from fedbert.errors import FedbertError
from fedbert.paths import models_folder
from fedbert.table_files import rows_of

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "device_profiles" / "sources"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")

NOTHING = Quadratic(0, 0, 0)
RUNTIME = RuntimeMemory(
    reading_bytes=10.0,
    reading_bytes_per_node=1.0,
    reading_bytes_per_tensor=2.0,
    building_bytes=20.0,
    building_bytes_per_node=3.0,
    building_bytes_per_tensor=4.0,
    session_bytes=30.0,
    session_bytes_per_operator=5.0,
    session_bytes_per_constant=6.0,
    activation_factor=1.5,
)


def graph(file_bytes: int = 1_000, largest_bytes: int = 500, nibbles: int = 0) -> ModelOperations:
    """Return a graph of 10 nodes and 8 tensors whose activations are 100 bytes a token up to 32 tokens."""
    storage = GraphStorage(
        file_bytes=file_bytes,
        nodes=10,
        tensors=8,
        stored_bytes=900,
        largest_bytes=largest_bytes,
        operators=7,
        constants=6,
        kept_bytes=950,
        nibbles=nibbles,
    )
    return ModelOperations(
        integer_macs=NOTHING,
        float_macs=NOTHING,
        float_ops=NOTHING,
        traffic_bytes=NOTHING,
        operator_calls=7,
        weight_bytes=900,
        output_width=4,
        peak_lengths=np.array([0.0, 32.0]),
        peak_bytes=np.array([0.0, 3_200.0]),
        storage=storage,
    )


TOKENS = np.array([1.0, 4.0, 7.0, 20.0])


@pytest.mark.parametrize(
    ("operations", "load"),
    [
        (graph(), 1_000 + 900 + 10 + 1 * 10 + 2 * 8),
        (graph(largest_bytes=1_200), 900 + 1_200 + 20 + 3 * 10 + 4 * 8),
        (graph(nibbles=400), 900 + 8 * 400 + 20 + 3 * 10 + 4 * 8),
    ],
)
def test_the_peak_by_hand(operations: ModelOperations, load: int) -> None:
    """The peak is files beside, vectors, and the larger of loading and encoding, length by length."""
    kept = 950 + operations.storage.nibbles / 2 + 30 + 5 * 7 + 6 * 6
    expected = [40 + 7 + max(load, kept + 1.5 * 100 * tokens) for tokens in TOKENS.tolist()]
    assert peak_bytes(operations, TOKENS, 40, 7, RUNTIME).tolist() == expected
    assert memory_parts(operations, TOKENS, 40, 7, RUNTIME).peak_bytes.tolist() == expected


def test_parts_add_up() -> None:
    """The parts make up the peak; the transient part is what loading takes beyond encoding, or nothing."""
    parts = memory_parts(graph(), TOKENS, 40, 7, RUNTIME)
    total = sum(np.asarray(part) for part in parts[:-1])
    assert np.allclose(np.asarray(total), parts.peak_bytes, rtol=1e-12)
    assert parts.transient_bytes[0] > 0
    assert parts.transient_bytes[-1] == 0
    assert (parts.beside_bytes == 40).all()
    assert (parts.vectors_bytes == 7).all()


def test_the_stated_error_follows_what_binds() -> None:
    """Where reading the file is the peak the error is small; where encoding is, it is the larger one."""
    assert relative_error(graph(), np.array([1.0, 30.0]), RUNTIME).tolist() == [READING_ERROR, OTHER_ERROR]
    assert relative_error(graph(largest_bytes=1_200), np.array([1.0]), RUNTIME).tolist() == [OTHER_ERROR]


def test_what_a_shipped_graph_holds() -> None:
    """Of the default model: the file, each constant once, float16 widened to float when kept."""
    content = (models_folder() / "default" / "model.onnx").read_bytes()
    storage = count_operations(content).storage
    assert storage.file_bytes == len(content)
    assert storage.stored_bytes < storage.kept_bytes < 1.05 * storage.stored_bytes
    assert storage.largest_bytes == 6_834 * 128  # the word table
    assert storage.operators < storage.nodes
    assert storage.nibbles == 0


def test_predictions_agree_with_the_committed_measurements() -> None:
    """Every shipped model at every measured length is within 10 %, and so are the margins of verification."""
    rows = rows_of(SOURCES / MEASURED_FILE)
    assert {row["model"] for row in rows} == set(SHIPPED)
    for row in rows:
        operations = count_operations((models_folder() / row["model"] / "model.onnx").read_bytes())
        tokens = np.array([float(row["tokens"])])
        error = abs(float(peak_bytes(operations, tokens, 0, 0)[0]) / float(row["peak_bytes"]) - 1)
        assert error <= 0.10, row
        assert error <= relative_error(operations, tokens)[0], row


def test_the_constants_are_the_fit() -> None:
    """Fitting the committed graphs gives `ONNX_RUNTIME`; none of them is a shipped model."""
    graphs = read_graphs(SOURCES / GRAPHS_FILE)
    found = fit(graphs)
    for measured in graphs:
        again, constants = (running_bytes(runtime, measured) for runtime in (found, ONNX_RUNTIME))
        assert np.allclose(again, constants, rtol=2e-3)
        assert found.load(measured.storage) == pytest.approx(ONNX_RUNTIME.load(measured.storage), rel=2e-3)
        assert np.abs(peak_errors(ONNX_RUNTIME, measured)).max() < 0.05
    shipped = {(models_folder() / name / "model.onnx").stat().st_size for name in SHIPPED}
    assert not shipped & {measured.storage.file_bytes for measured in graphs}


def test_the_tables_of_the_docs_are_current() -> None:
    """Every line of both tables stands in docs/devices.md."""
    text = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    lines = [*memory_table(SOURCES / MEASURED_FILE), *fit_table(SOURCES / GRAPHS_FILE)]
    assert [line for line in lines if line not in text] == []


@LINUX
def test_a_fresh_process_agrees() -> None:
    """A process that does nothing else needs what is predicted, within 10 %, to load and encode 64 tokens."""
    content = (models_folder() / "small" / "model.onnx").read_bytes()
    beside, vectors = b"x" * 50_000, 3_000
    found = measure({"model.onnx": content, "vocab.txt": beside}, [[1] * 64], vectors)
    predicted = peak_bytes(count_operations(content), np.array([64.0]), len(beside), vectors)
    assert found.peak_bytes[0] == pytest.approx(float(predicted[0]), rel=0.10)
    assert found.peak_bytes[0] >= max(found.load_bytes, found.run_bytes[0]) - 100_000


@LINUX
def test_a_model_that_cannot_run_is_told() -> None:
    """A file that is no model, or a text that is too long, is an error in one line and no verdict."""
    with pytest.raises(FedbertError, match=r"^the memory process failed: without a limit") as raised:
        measure({"model.onnx": b"no model"}, [[1]])
    assert "\n" not in str(raised.value)
