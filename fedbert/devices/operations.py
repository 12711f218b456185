"""Operations of a model, counted from its ONNX graph.

The graph's symbolic axes are set to a batch of one and to four lengths; ONNX's shape inference gives every
tensor's size, and through the counts at three lengths goes one quadratic, which the fourth must meet exactly.
Counted is what a runtime executes once it has folded constants and fused quantise-dequantise pairs:

- a matrix product whose inputs were both dequantised counts as integer multiply-adds, any other as float;
- dequantised weights stay int8 in memory; a tensor that is only ever quantised is kept as int8;
- an embedding lookup reads the rows it needs, any other use of weights reads all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from fedbert.errors import FedbertError

Floats = NDArray[np.float64]

_LENGTHS = (4, 8, 12, 16)
_PEAK_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_ALIASES = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "DequantizeLinear"}
_THROUGH = _ALIASES | {"Transpose"}
_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"}
_INTEGER_PRODUCTS = {"MatMulInteger", "QLinearMatMul"}
_QUANTISED_INPUTS = {"QLinearMatMul": (0, 3), "MatMulInteger": (0, 1)}
_MOVES = {"Gather", "Transpose", "Concat", "Slice", "Split", "Expand", "Tile", "Pad", "Cast", "Shape"}
FLOAT_OPS_PER_ELEMENT = {
    "Softmax": 12,
    "Exp": 8,
    "Erf": 12,
    "Tanh": 12,
    "Sigmoid": 10,
    "Gelu": 14,
    "LayerNormalization": 8,
    "Sqrt": 4,
    "Reciprocal": 4,
    "Div": 4,
    "Pow": 2,
    "QuantizeLinear": 3,
}
"""Simple operations an output element costs (exponentials by polynomial); others 1, moving data 0."""

_ITEM_BYTES = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.UINT8: 1,
    onnx.TensorProto.BOOL: 1,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.DOUBLE: 8,
}


@dataclass(frozen=True)
class Quadratic:
    """`constant + per_token t + per_token_squared t^2` for a text of t tokens."""

    constant: float
    per_token: float
    per_token_squared: float

    def at(self, tokens: Floats) -> Floats:
        """Return the value at `tokens` (any shape)."""
        return np.asarray(self.constant + tokens * (self.per_token + tokens * self.per_token_squared))


@dataclass(frozen=True, eq=False)
class ModelOperations:
    """What encoding one text of t tokens, alone, takes.

    `integer_macs`, `float_macs`: multiply-adds; `float_ops`: simple operations on single elements;
    `traffic_bytes`: weights and activations read and written; `operator_calls`: operators run;
    `weight_bytes`: of the graph's constants; `output_width`: of the text's vector. The most bytes of
    activations alive at once are `peak_bytes` [length] at `peak_lengths` [length].
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

    def activation_bytes(self, tokens: Floats) -> Floats:
        """Return the peak of activation memory at `tokens`; between lengths a chord, which lies above it."""
        return np.asarray(np.interp(tokens, self.peak_lengths, self.peak_bytes))


@dataclass
class _Counts:
    integer_macs: int = 0
    float_macs: int = 0
    float_ops: int = 0
    traffic: int = 0
    calls: int = 0


def count_operations(onnx_bytes: bytes) -> ModelOperations:
    """Return the operations of the model in `onnx_bytes`: inputs `[batch, sequence]`, one vector as output.

    Raises `FedbertError` if the bytes are no ONNX model, if a shape cannot be inferred, or if a count is no
    quadratic in the length.
    """
    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:  # protobuf raises its own kinds
        raise FedbertError("model.onnx must be an ONNX model; write the artefact again") from error
    graphs = [_Graph(model, length) for length in _LENGTHS]
    counts = [graph.count() for graph in graphs]
    sizes = [graph.sizes for graph in graphs]
    names = [name for name in sizes[0] if all(name in other for other in sizes)]
    table = np.array([_coefficients([size[name] for size in sizes], name) for name in names]).reshape(-1, 3)
    lengths = np.array(_PEAK_LENGTHS, np.float64)
    at_length = table @ np.stack([np.ones_like(lengths), lengths, lengths**2])
    peak = graphs[0].peak(dict(zip(names, at_length, strict=True)), len(lengths))
    return ModelOperations(
        integer_macs=_quadratic([c.integer_macs for c in counts], "integer multiply-adds"),
        float_macs=_quadratic([c.float_macs for c in counts], "float multiply-adds"),
        float_ops=_quadratic([c.float_ops for c in counts], "float operations"),
        traffic_bytes=_quadratic([c.traffic for c in counts], "memory traffic"),
        operator_calls=counts[0].calls,
        weight_bytes=graphs[0].weight_bytes,
        output_width=graphs[0].output_width(),
        peak_lengths=lengths,
        peak_bytes=peak,
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


class _Graph:
    """The graph at one length: shapes, constants, and who makes and uses each tensor."""

    def __init__(self, model: onnx.ModelProto, length: int) -> None:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.value_info[:]
        constants = {tensor.name for tensor in copy.graph.initializer}
        inputs = [value for value in copy.graph.input if value.name not in constants]
        for value in inputs:
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                if not dim.HasField("dim_value") or dim.dim_value < 1:
                    dim.dim_value = length if axis == 1 else 1
        for value in copy.graph.output:
            value.type.tensor_type.ClearField("shape")
        try:
            graph = onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
        except Exception as error:  # onnx raises several kinds
            reason = str(error).strip().splitlines()[0][:200]
            raise FedbertError(f"model.onnx: shapes must follow from the inputs' ({reason})") from error
        self.nodes = list(graph.node)
        self.outputs = [value.name for value in graph.output]
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.items: dict[str, int] = {}
        for value in [*graph.input, *graph.value_info, *graph.output]:
            kind = value.type.tensor_type
            if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
                self.shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
            self.items[value.name] = _ITEM_BYTES.get(kind.elem_type, 4)
        for tensor in graph.initializer:
            self.shapes[tensor.name] = tuple(tensor.dims)
            self.items[tensor.name] = _ITEM_BYTES.get(tensor.data_type, 4)
        self.weight_bytes = sum(self._size(name) for name in constants)
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.constant = set(constants)
        self.folded: set[int] = set()
        for index, node in enumerate(self.nodes):  # in topological order, as ONNX demands
            if node.op_type == "Shape" or all(not name or name in self.constant for name in node.input):
                self.constant |= set(node.output)
                self.folded.add(index)
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for index, node in enumerate(self.nodes):
            if index not in self.folded:
                for name in node.input:
                    self.users.setdefault(name, []).append(node)
        self.sizes = {
            name: self.stored_bytes(name)
            for index, node in enumerate(self.nodes)
            if index not in self.folded
            for name in node.output
            if name
        }

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        if name not in self.shapes:
            raise FedbertError(
                f"model.onnx: the shape of tensor {name!r} must follow from the inputs' shapes"
            )
        return self.shapes[name]

    def elements(self, name: str) -> int:
        """Return the number of elements of a tensor."""
        return int(np.prod(self.shape(name), dtype=np.int64))

    def _size(self, name: str) -> int:
        return self.elements(name) * self.items.get(name, 4)

    def origin(self, name: str, through: Iterable[str] = _ALIASES) -> str:
        """Return the tensor that `name` is another view of."""
        while name in self.maker and self.maker[name].op_type in through:
            name = self.maker[name].input[0]
        return name

    def dequantised(self, name: str) -> bool:
        """Return whether a tensor is a dequantised one, perhaps reshaped or transposed since."""
        while name in self.maker and self.maker[name].op_type in _THROUGH:
            if self.maker[name].op_type == "DequantizeLinear":
                return True
            name = self.maker[name].input[0]
        return False

    def only_quantised(self, name: str) -> bool:
        """Return whether all that happens to a tensor is to be quantised."""
        users = self.users.get(name, [])
        return bool(users) and all(user.op_type == "QuantizeLinear" for user in users)

    def stored_bytes(self, name: str) -> int:
        """Return the bytes a tensor takes where it is kept, after fusion."""
        if self.only_quantised(name):
            return self.elements(name)
        return self.elements(name) * self.items.get(self.origin(name), 4)

    def count(self) -> _Counts:
        """Return the counts at this length."""
        counts = _Counts()
        for index, node in enumerate(self.nodes):
            if index in self.folded or node.op_type in _ALIASES:
                continue
            output = node.output[0]
            if node.op_type == "QuantizeLinear":
                counts.float_ops += FLOAT_OPS_PER_ELEMENT["QuantizeLinear"] * self.elements(output)
                if self.only_quantised(node.input[0]):
                    continue  # fused into the operator before it
            counts.calls += 1
            counts.traffic += sum(self.stored_bytes(name) for name in node.output if name)
            counts.traffic += self._read_bytes(node)
            if node.op_type in _PRODUCTS:
                macs = self._macs(node)
                integer = node.op_type in _INTEGER_PRODUCTS or all(
                    self.dequantised(name) for name in node.input[:2]
                )
                counts.integer_macs += macs if integer else 0
                counts.float_macs += 0 if integer else macs
            elif node.op_type.startswith("Reduce"):
                counts.float_ops += self.elements(node.input[0])
            elif node.op_type not in _MOVES and node.op_type != "QuantizeLinear":
                counts.float_ops += FLOAT_OPS_PER_ELEMENT.get(node.op_type, 1) * self.elements(output)
        return counts

    def _macs(self, node: onnx.NodeProto) -> int:
        left = node.input[_QUANTISED_INPUTS.get(node.op_type, (0, 1))[0]]
        shape = self.shape(left)
        transposed = any(a.name == "transA" and a.i for a in node.attribute) and node.op_type == "Gemm"
        return self.elements(node.output[0]) * shape[0 if transposed else -1]

    def _read_bytes(self, node: onnx.NodeProto) -> int:
        names = [name for name in node.input if name]
        if node.op_type in {"Gather", "Slice"} and names[0] in self.constant:
            return self.stored_bytes(node.output[0])  # the rows looked up, not the table
        return sum(
            self._size(self.origin(name)) if name in self.constant else self.stored_bytes(name)
            for name in names
        )

    def peak(self, sizes: dict[str, Floats], width: int) -> Floats:
        """Return the most bytes alive at once [length], given each tensor's bytes [length]."""
        last: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            for name in [*node.input, *node.output]:
                last[self._buffer(name)] = index
        for name in self.outputs:
            last[self._buffer(name)] = len(self.nodes)
        alive, peak = np.zeros(width), np.zeros(width)
        for index, node in enumerate(self.nodes):
            if index in self.folded:
                continue
            buffers = {name for name in node.output if name and self._buffer(name) == name}
            for name in buffers:
                alive = alive + sizes[name]
            peak = np.maximum(peak, alive)
            touched = buffers | {self._buffer(name) for name in node.input}
            for name in touched:
                if last.get(name) == index and name in sizes:
                    alive = alive - sizes[name]
        return peak

    def _buffer(self, name: str) -> str:
        """Return the tensor whose memory `name` lives in."""
        while name in self.maker and name not in self.constant:
            node = self.maker[name]
            fused = node.op_type == "QuantizeLinear" and self.only_quantised(node.input[0])
            if node.op_type not in _ALIASES and not fused:
                break
            name = node.input[0]
        return name

    def output_width(self) -> int:
        """Return the last axis of the model's first output."""
        return self.shape(self.outputs[0])[-1]
