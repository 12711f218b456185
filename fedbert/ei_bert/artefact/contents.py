"""Where an artefact's bytes are: a constant of its graph belongs to a part by the operators that use it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedbert.errors import FedbertError

if TYPE_CHECKING:
    import onnx

PARTS = (
    "word embeddings",
    "position embeddings",
    "layers' weights",
    "scales and biases",
    "graph",
    "vocabulary",
    "heads",
    "n-grams",
    "manifest",
)
_LOOKUPS = {"Gather", "GatherBlockQuantized"}
_POOLING = "ReduceSum"
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Constant:
    """A constant of the graph: the part it belongs to, its bytes in the file and in memory once loaded."""

    part: str
    file_bytes: int
    memory_bytes: int


def constants(model: bytes) -> list[Constant]:
    """Return the constants of an ONNX file that `export` wrote. Raises FedbertError if it is none.

    Loaded, a matrix has one byte a value, whatever it has in the file; position embeddings, scales and biases
    are float; all else is as in the file. Matrices used after the pooling (projection, adapter) belong to the
    heads.
    """
    import onnx  # takes longer to import than an artefact to load

    try:
        graph = onnx.load_model_from_string(model).graph
    except Exception as error:  # protobuf raises its own kinds
        raise FedbertError("model.onnx must be an ONNX model; rebuild it") from error
    users: dict[str, list[int]] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            users.setdefault(name, []).append(index)
    pooling = next((i for i, node in enumerate(graph.node) if node.op_type == _POOLING), len(graph.node))
    found = []
    for tensor in graph.initializer:
        size, values = len(tensor.raw_data), int(np.prod(tensor.dims, dtype=np.int64))
        first = users.get(tensor.name, [len(graph.node)])
        kinds = {graph.node[index].op_type for index in first if index < len(graph.node)}
        if kinds & _LOOKUPS and len(tensor.dims) == 2:
            found.append(Constant("word embeddings", size, size))
        elif len(tensor.dims) < 2:
            widened = 2 if tensor.data_type == onnx.TensorProto.FLOAT16 else 1
            found.append(Constant("scales and biases", size, size * widened))
        elif _sliced(graph, users, tensor.name):
            found.append(Constant("position embeddings", size, values * _FLOAT_BYTES))
        else:
            # The multiples of 4-bit matrices (an axis of length 1) are folded into the matrix.
            loaded = 0 if 1 in tensor.dims else values
            found.append(Constant("heads" if min(first) > pooling else "layers' weights", size, loaded))
    return found


def _sliced(graph: "onnx.GraphProto", users: Mapping[str, list[int]], name: str) -> bool:
    """Return whether a tensor, dequantised or not, is cut to the length of the texts."""
    nodes = [graph.node[index] for index in users.get(name, [])]
    if any(node.op_type == "Slice" and node.input[0] == name for node in nodes):
        return True
    on = [node.output[0] for node in nodes if node.op_type in {"Cast", "Mul", "DequantizeLinear"}]
    return any(_sliced(graph, users, output) for output in on)
