"""Peak memory of a model on a phone, in parts, by the length of the text.

Four moments can be the peak. With F the file, S its constants as stored, L the largest of them, K the
constants as kept (folded: float16 has become float, 4 bits a byte), and A(t) the activations alive at once
at t tokens:

    reading   F + S + graph                  the file is read whole and parsed into a second copy
    building  S + L + graph'                 constants move one by one from the parsed file into tensors
    unpacking S + 8 bytes x nibbles + graph' 4-bit constants become floats, twice, before they are bytes
    running   K + nibbles / 2 + session + factor x A(t)

    peak = files beside the model + vectors + the largest of the four

*graph*, *graph'* and *session* are what ONNX Runtime makes for itself: so many bytes for each operator
and constant. A(t) is the walk over the graph in `fused_graph`; its factor covers what the allocator rounds
up. There is no arena: with one the default model's session keeps 3.8 MB instead of 2.8. The code of the
runtime is not part of it.

The numbers of `ONNX_RUNTIME` are fitted by ``scripts/measure_memory.py --fit`` (`memory_fit`) to generated
graphs, not the shipped models: ``device_profiles/sources/memory_graphs.csv``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.operations import GraphStorage, ModelOperations

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RuntimeMemory:
    """Bytes that a runtime makes for itself while it reads, builds and runs a graph.

    `activation_factor` multiplies the bytes of activations.
    """

    reading_bytes: float
    reading_bytes_per_node: float
    reading_bytes_per_tensor: float
    building_bytes: float
    building_bytes_per_node: float
    building_bytes_per_tensor: float
    session_bytes: float
    session_bytes_per_operator: float
    session_bytes_per_constant: float
    activation_factor: float

    def reading(self, graph: GraphStorage) -> float:
        """Return the bytes held when the file has been parsed."""
        own = self.reading_bytes + self.reading_bytes_per_node * graph.nodes
        own += self.reading_bytes_per_tensor * graph.tensors
        return graph.file_bytes + graph.stored_bytes + own

    def building(self, graph: GraphStorage) -> float:
        """Return the bytes held while constants are moved, or unpacked."""
        own = self.building_bytes + self.building_bytes_per_node * graph.nodes
        own += self.building_bytes_per_tensor * graph.tensors
        return graph.stored_bytes + max(graph.largest_bytes, _UNPACKED_BYTES * graph.nibbles) + own

    def load(self, graph: GraphStorage) -> float:
        """Return the most bytes held before a session is ready."""
        return max(self.reading(graph), self.building(graph))

    def session(self, graph: GraphStorage) -> float:
        """Return the bytes of a session beside weights and activations: graph, kernels, names."""
        operators = self.session_bytes_per_operator * graph.operators
        return self.session_bytes + operators + self.session_bytes_per_constant * graph.constants

    def weights(self, graph: GraphStorage) -> float:
        """Return the bytes of weights kept; the 4-bit codes stay beside the bytes made from them."""
        return graph.kept_bytes + graph.nibbles / 2

    def running(self, graph: GraphStorage, activation_bytes: Floats) -> Floats:
        """Return the bytes (any shape) held while texts with `activation_bytes` alive at once are encoded."""
        fixed = self.session(graph) + self.weights(graph)
        return np.asarray(fixed + self.activation_factor * activation_bytes)

    def reading_binds(self, graph: GraphStorage, activation_bytes: Floats) -> NDArray[np.bool_]:
        """Return where (any shape) reading the file is the peak."""
        later = np.maximum(self.running(graph, activation_bytes), self.building(graph))
        return np.asarray(self.reading(graph) >= later)


_UNPACKED_BYTES = 8

ONNX_RUNTIME = RuntimeMemory(
    reading_bytes=2236.0,
    reading_bytes_per_node=0.0,
    reading_bytes_per_tensor=1668.0,
    building_bytes=8822.0,
    building_bytes_per_node=4755.0,
    building_bytes_per_tensor=705.0,
    session_bytes=135966.0,
    session_bytes_per_operator=3040.0,
    session_bytes_per_constant=5327.0,
    activation_factor=1.091,
)
"""ONNX Runtime 1.31 on x86-64, loaded as `memory_child` does: from a path, no arena, no memory pattern."""

READING_ERROR, OTHER_ERROR = 0.015, 0.05
"""Largest relative error of a graph left out of the fit, rounded up: while reading, and later."""


class MemoryParts(NamedTuple):
    """Parts of the peak [length], which add up to `peak_bytes`.

    `beside_bytes`: vocabulary, heads and other files; `vectors_bytes`: those in use; `session_bytes`,
    `weights_bytes`, `activation_bytes`: while a text is encoded; `transient_bytes`: by how much loading is
    above that.
    """

    beside_bytes: Floats
    vectors_bytes: Floats
    session_bytes: Floats
    weights_bytes: Floats
    activation_bytes: Floats
    transient_bytes: Floats
    peak_bytes: Floats


def memory_parts(
    operations: ModelOperations,
    tokens: Floats,
    beside_bytes: float,
    vectors_bytes: float,
    runtime: RuntimeMemory = ONNX_RUNTIME,
) -> MemoryParts:
    """Return the parts of the peak for texts of `tokens` (any shape), special tokens included.

    `beside_bytes` of files that are held whole beside the graph, `vectors_bytes` of vectors in use.
    """
    graph, length = operations.storage, np.asarray(tokens, np.float64)
    alive = operations.activation_bytes(length)
    running = runtime.running(graph, alive)
    transient = np.maximum(runtime.load(graph) - running, 0.0)

    def whole(value: float) -> Floats:
        return np.full(length.shape, value)

    return MemoryParts(
        beside_bytes=whole(beside_bytes),
        vectors_bytes=whole(vectors_bytes),
        session_bytes=whole(runtime.session(graph)),
        weights_bytes=whole(runtime.weights(graph)),
        activation_bytes=runtime.activation_factor * alive,
        transient_bytes=transient,
        peak_bytes=beside_bytes + vectors_bytes + running + transient,
    )


def peak_bytes(
    operations: ModelOperations,
    tokens: Floats,
    beside_bytes: float,
    vectors_bytes: float,
    runtime: RuntimeMemory = ONNX_RUNTIME,
) -> Floats:
    """Return `peak_bytes` of `memory_parts` alone, which is quick for many millions of texts."""
    graph = operations.storage
    running = runtime.running(graph, operations.activation_bytes(tokens))
    return np.asarray(beside_bytes + vectors_bytes + np.maximum(running, runtime.load(graph)))


def relative_error(
    operations: ModelOperations, tokens: Floats, runtime: RuntimeMemory = ONNX_RUNTIME
) -> Floats:
    """Return how far predictions may be off, relative to the peak, for texts of `tokens` (any shape)."""
    binds = runtime.reading_binds(operations.storage, operations.activation_bytes(tokens))
    return np.where(binds, READING_ERROR, OTHER_ERROR)
