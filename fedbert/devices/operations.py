"""Operations of a model, counted from its ONNX graph.

The graph's free axes are set to a batch of one and to four lengths; through the counts at three lengths goes
one quadratic, which the fourth must meet exactly. `fused_graph` says what is counted.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from fedbert.devices.fused_graph import FusedGraph
from fedbert.errors import FedbertError

Floats = NDArray[np.float64]

_LENGTHS = (4, 8, 12, 16)
"""Lengths that are counted, evenly spaced: three give the quadratic, the fourth the check."""

_PEAK_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Lengths at which the peak is computed: it is a maximum of quadratics, so no quadratic itself."""


@dataclass(frozen=True)
class Quadratic:
    """`constant + per_token t + per_token_squared t^2` for a text of t tokens."""

    constant: float
    per_token: float
    per_token_squared: float

    def at(self, tokens: Floats) -> Floats:
        """Return the value at `tokens` (any shape)."""
        return np.asarray(self.constant + tokens * (self.per_token + tokens * self.per_token_squared))


@dataclass(frozen=True)
class GraphStorage:
    """What of a graph a runtime holds: of the file, and once constants are folded.

    `file_bytes` of the ONNX file; `nodes` and `tensors` (constants) in it; `stored_bytes` of its constants
    and `largest_bytes` of the largest; `operators` and `constants` left after folding, and the constants'
    `kept_bytes`; `nibbles`, the elements of 4-bit constants that are folded to bytes.
    """

    file_bytes: int
    nodes: int
    tensors: int
    stored_bytes: int
    largest_bytes: int
    operators: int
    constants: int
    kept_bytes: int
    nibbles: int


@dataclass(frozen=True, eq=False)
class ModelOperations:
    """What encoding one text of t tokens, alone, takes.

    `integer_macs`, `float_macs`: multiply-adds; `float_ops`: simple operations on single elements;
    `traffic_bytes`: weights and activations read and written; `operator_calls`: operators run;
    `product_calls`: matrix products among them, three in an attention operator; `weight_bytes`: of the
    graph's constants; `output_width`: of the text's vector. The most bytes of activations alive at once are
    `peak_bytes` [length] at `peak_lengths` [length]; `storage` says what of the graph is held beside them.
    """

    integer_macs: Quadratic
    float_macs: Quadratic
    float_ops: Quadratic
    traffic_bytes: Quadratic
    operator_calls: int
    weight_bytes: int
    output_width: int
    peak_lengths: Floats
    peak_bytes: Floats
    storage: GraphStorage
    product_calls: int = 0

    def activation_bytes(self, tokens: Floats) -> Floats:
        """Return the peak of activation memory at `tokens`; between lengths a chord, which lies above it."""
        return np.asarray(np.interp(tokens, self.peak_lengths, self.peak_bytes))


def count_operations(onnx_bytes: bytes) -> ModelOperations:
    """Return the operations of the model in `onnx_bytes`: inputs `[batch, sequence]`, one vector as output.

    Raises `FedbertError` if the bytes are no ONNX model, if a shape cannot be inferred, or if a count is no
    quadratic in the length.
    """
    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:  # protobuf raises its own kinds
        raise FedbertError("model.onnx must be an ONNX model; write the artefact again") from error
    if not model.graph.node or not model.graph.output:
        raise FedbertError("model.onnx must be an ONNX model with operators and an output; write it again")
    graphs = [FusedGraph(model, length) for length in _LENGTHS]
    counts = [graph.count() for graph in graphs]
    sizes = [graph.sizes() for graph in graphs]
    table = np.array([_coefficients([size[name] for size in sizes], name) for name in sizes[0]])
    lengths = np.array(_PEAK_LENGTHS, np.float64)
    at_length = table @ np.stack([np.ones_like(lengths), lengths, lengths**2])
    peak = graphs[0].peak(dict(zip(sizes[0], at_length, strict=True)), len(lengths))
    return ModelOperations(
        integer_macs=_quadratic([c.integer_macs for c in counts], "integer multiply-adds"),
        float_macs=_quadratic([c.float_macs for c in counts], "float multiply-adds"),
        float_ops=_quadratic([c.float_ops for c in counts], "float operations"),
        traffic_bytes=_quadratic([c.traffic for c in counts], "memory traffic"),
        operator_calls=counts[0].calls,
        weight_bytes=graphs[0].weight_bytes,
        output_width=graphs[0].shapes[graphs[0].outputs[0]][-1],
        peak_lengths=lengths,
        peak_bytes=peak,
        storage=_storage(onnx_bytes, model, graphs[0]),
        product_calls=counts[0].products,
    )


def _storage(onnx_bytes: bytes, model: onnx.ModelProto, graph: FusedGraph) -> GraphStorage:
    kept = graph.kept_weights()
    stored = [graph.whole_bytes(tensor.name) for tensor in model.graph.initializer]
    return GraphStorage(
        file_bytes=len(onnx_bytes),
        nodes=len(model.graph.node),
        tensors=len(stored),
        stored_bytes=sum(stored),
        largest_bytes=max(stored, default=0),
        operators=len(graph.nodes),
        constants=len(kept),
        kept_bytes=sum(kept.values()),
        nibbles=graph.folded_nibbles(),
    )


def _coefficients(values: list[int], what: str) -> tuple[float, float, float]:
    step, first = _LENGTHS[1] - _LENGTHS[0], _LENGTHS[0]
    slope, bend = values[1] - values[0], values[2] - 2 * values[1] + values[0]
    if values[3] - 3 * values[2] + 3 * values[1] - values[0] != 0:
        raise FedbertError(f"model.onnx: {what} must be a quadratic in the length; export the graph again")
    square = bend / (2 * step**2)
    linear = slope / step - square * (2 * first + step)
    return values[0] - linear * first - square * first**2, linear, square


def _quadratic(values: list[int], what: str) -> Quadratic:
    return Quadratic(*_coefficients(values, what))
