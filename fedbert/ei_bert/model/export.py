"""Writes the int8 student as an ONNX graph, node by node.

The graph takes `ids` int32 `[row, token]` (0 is padding) and gives `vector` float32 `[row, dim]`: of unit
length, or the mean hidden state of a pooled student. It uses ONNX Runtime's int8 operators QAttention and
MatMulIntegerToFloat, all with constant scales; the byte ranges come from `quantisation`, 4-bit values from
`nibbles`. Head and projection are folded into one matrix; a layer that is passed twice is stored once.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from fedbert.ei_bert.model.bert import Body, Layer
from fedbert.ei_bert.model.nibbles import MatrixNibbles, embedding_nibbles, matrix_nibbles, packed
from fedbert.ei_bert.model.quantisation import (
    INT8,
    Quantisation,
    Range,
    Weight,
    byte_range,
    quantise_weight,
    short,
)
from fedbert.ei_bert.model.student import Student

_CONTRIB = "com.microsoft"
_OPSET, _IR = 21, 10  # the first with 4-bit integers
# Tables are looked up, not multiplied, so they may take all 8 bits; as unsigned bytes their zero is 128.
_TABLE_LIMIT, _TABLE_ZERO = 127, 128
# Values from which a constant in float16 is smaller, its Cast node included.
_WORTH_A_CAST = 32


class Graph:
    """Collects nodes and initialisers under short names (names cost bytes too)."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, bytes], str] = {}
        self._matrices: dict[tuple[str, str], str] = {}

    def constant(self, value: NDArray[np.generic]) -> str:
        """Return the name of an initialiser of this value; equal values are stored once.

        Floats that float16 holds exactly are kept so; ONNX Runtime widens them when it loads the file.
        """
        key = (f"{value.dtype}{value.shape}", value.tobytes())
        if key not in self._known:
            whole = (
                np.asarray(value, np.float32)
                if value.dtype == np.float32 and value.size >= _WORTH_A_CAST
                else None
            )
            if whole is not None and np.array_equal(short(whole), whole):
                half = self.constant(value.astype(np.float16))
                self._known[key] = self.add("Cast", [half], to=TensorProto.FLOAT)
                return self._known[key]
            self._known[key] = f"c{len(self.initialisers)}"
            self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), self._known[key]))
        return self._known[key]

    def nibbles(self, codes: NDArray[np.int8]) -> str:
        """Return the name of an initialiser of 4-bit integers."""
        raw = packed(codes)
        key = (f"int4{codes.shape}", raw)
        if key not in self._known:
            self._known[key] = f"c{len(self.initialisers)}"
            made = helper.make_tensor(self._known[key], TensorProto.INT4, codes.shape, raw, raw=True)
            self.initialisers.append(made)
        return self._known[key]

    def add(
        self, kind: str, inputs: list[str], domain: str = "", output: str = "", **attributes: object
    ) -> str:
        """Append a node and return the name of its output."""
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def scale(self, part: Range) -> tuple[str, str]:
        """Return the names of a range's scale and zero."""
        return self.constant(np.array(part.scale, np.float32)), self.constant(np.array(part.zero, np.uint8))

    def to_bytes(self, x: str, part: Range) -> str:
        """Quantise a float activation."""
        return self.add("QuantizeLinear", [x, *self.scale(part)])

    def weight(self, weight: Weight | MatrixNibbles) -> tuple[str, str, str]:
        """Return the names of a matrix's bytes, scales and zeros."""
        zeros = np.zeros(weight.scales.shape, np.int8)
        values = self.constant(weight.values) if isinstance(weight, Weight) else self._multiplied(weight)
        return values, self.constant(weight.scales), self.constant(zeros)

    def _multiplied(self, weight: MatrixNibbles) -> str:
        """Codes times multiples, to bytes; ONNX Runtime does it once, when it loads the file."""
        blocks, out = weight.multiples.shape
        codes, multiples = (
            self.nibbles(part)
            for part in (weight.codes.reshape(blocks, -1, out), weight.multiples.reshape(blocks, 1, out))
        )
        if (codes, multiples) not in self._matrices:
            floats = [self.add("Cast", [part], to=TensorProto.FLOAT) for part in (codes, multiples)]
            shape = self.constant(np.array(weight.codes.shape, np.int64))
            whole = self.add("Reshape", [self.add("Mul", floats), shape])
            self._matrices[codes, multiples] = self.add("Cast", [whole], to=TensorProto.INT8)
        return self._matrices[codes, multiples]

    def to_float(
        self,
        x: str,
        part: Range,
        weight: Weight | MatrixNibbles,
        bias: NDArray[np.float32] | None = None,
    ) -> str:
        """Bytes times an int8 matrix, to float."""
        values, scales, zeros = self.weight(weight)
        scale, zero = self.scale(part)
        tail = [] if bias is None else [self.constant(short(bias))]
        return self.add("MatMulIntegerToFloat", [x, values, scale, scales, zero, zeros, *tail], _CONTRIB)

    def scaled(self, x: str, scales: NDArray[np.float32]) -> str:
        """Bytes `[..., column]` to float by a scale a column; of constants ONNX Runtime does it once."""
        return self.add("Mul", [self.add("Cast", [x], to=TensorProto.FLOAT), self.constant(scales)])

    def norm(self, x: str, y: str, module: nn.LayerNorm) -> str:
        """Normalise `x + y`.

        The sum is a Sum: ONNX Runtime fuses Add and LayerNormalization into an operator five times as slow.
        """
        weights = [self.constant(short(_array(part))) for part in (module.weight, module.bias)]
        return self.add(
            "LayerNormalization", [self.add("Sum", [x, y]), *weights], axis=-1, epsilon=module.eps
        )


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.asarray(value.detach().numpy(), np.float32)


def onnx_bytes(student: Student, ranges: Mapping[str, Range], quantisation: Quantisation = INT8) -> bytes:
    """Return `student` as the bytes of an ONNX model, given its calibrated activation ranges."""
    graph, shape, body = Graph(), student.shape, student.body
    mask = graph.add("Sign", ["ids"])
    x = _embeddings(graph, student, quantisation)
    flat = graph.constant(np.array([-1, shape.width], np.int64))
    for index, layer in enumerate(body.layers):
        x = _layer(graph, layer, index, ranges, quantisation, x, mask)
    weights = graph.add(
        "Cast", [graph.add("Unsqueeze", [mask, graph.constant(np.array([1], np.int64))])], to=1
    )
    total = graph.add("MatMul", [weights, x])
    count = graph.add("ReduceSum", [weights, graph.constant(np.array([2], np.int64))], keepdims=1)
    mean = graph.add("Div", [total, count])
    if shape.pooled:
        graph.add("Reshape", [mean, flat], output="vector")
        return finished(graph, shape.width)
    _head(graph, student, ranges, graph.add("Reshape", [mean, flat]))
    return finished(graph, shape.dim)


def _embeddings(graph: Graph, student: Student, quantisation: Quantisation) -> str:
    body = student.body
    if quantisation.embedding_bits == 8:
        word = _words_of_bytes(graph, body)
    else:
        widen = None if body.widen is None else _array(body.widen.weight).T
        word = words_in_nibbles(graph, body.words.weight, widen, quantisation.block)
    places = quantise_weight(body.places.weight, _TABLE_LIMIT)
    place = graph.scaled(graph.constant(places.values), places.scales)
    zero = graph.constant(np.array([0], np.int64))
    place = graph.add("Slice", [place, zero, graph.add("Shape", ["ids"], start=1), zero])
    return graph.norm(word, place, body.norm)


def _words_of_bytes(graph: Graph, body: Body) -> str:
    words = quantise_weight(body.words.weight, _TABLE_LIMIT)
    if body.widen is None:
        return graph.scaled(graph.add("Gather", [graph.constant(words.values), "ids"]), words.scales)
    # The bytes of the table meet the matrix as they are: their scales are folded into its rows.
    unit = words.scales.max()
    folded = quantise_weight(words.scales[:, None] / unit * _array(body.widen.weight).T)
    table = (words.values.astype(np.int16) + _TABLE_ZERO).astype(np.uint8)
    at = Range(float(unit), _TABLE_ZERO)
    return graph.to_float(graph.add("Gather", [graph.constant(table), "ids"]), at, folded)


def words_in_nibbles(
    graph: Graph, table: Tensor, widen: NDArray[np.float32] | None, block: int, ids: str = "ids"
) -> str:
    """Return the name of the 4-bit rows of `table` for `ids`, times `widen` `[in, out]` if there is one."""
    words = embedding_nibbles(table, block)
    inputs = [graph.nibbles(words.codes), ids, graph.constant(words.scales)]
    word = graph.add(
        "GatherBlockQuantized", inputs, _CONTRIB, gather_axis=0, quantize_axis=1, block_size=block
    )
    if widen is None:
        return graph.scaled(word, words.columns)
    # All values that there can be are known: the range holds them, no text is needed to find it.
    at = byte_range(min(float(words.normal.min()), 0.0), max(float(words.normal.max()), 0.0))
    folded = quantise_weight(words.columns[:, None] * widen)
    word = graph.add("Cast", [word], to=TensorProto.FLOAT)
    return graph.to_float(graph.to_bytes(word, at), at, folded)


def _matrix(matrix: Tensor, quantisation: Quantisation) -> Weight | MatrixNibbles:
    if quantisation.weight_bits == 8:
        return quantise_weight(matrix)
    return matrix_nibbles(matrix, quantisation.block)


def _layer(
    graph: Graph,
    layer: nn.Module,
    index: int,
    ranges: Mapping[str, Range],
    quantisation: Quantisation,
    x: str,
    mask: str,
) -> str:
    assert isinstance(layer, Layer)
    at = {key: ranges[f"layer{index}.{key}"] for key in ("input", "mixed", "middle", "inner")}
    # Quantising with the zero at byte 0 is also the ReLU.
    inner_at = Range(at["inner"].scale, 0)
    keys = ("packed", "out", "up", "down")
    matrix = {key: _matrix(getattr(layer, key).weight.T, quantisation) for key in keys}
    bias = {key: _array(getattr(layer, key).bias) for key in matrix}
    values, scales, zeros = graph.weight(matrix["packed"])
    scale, zero = graph.scale(at["input"])
    whole, packed_bias = graph.to_bytes(x, at["input"]), graph.constant(short(bias["packed"]))
    inputs = [whole, values, packed_bias, scale, scales, mask, zero, zeros]
    mixed = graph.add("QAttention", inputs, _CONTRIB, num_heads=layer.heads)
    mixed = graph.to_float(graph.to_bytes(mixed, at["mixed"]), at["mixed"], matrix["out"], bias["out"])
    middle = graph.norm(x, mixed, layer.norm_attention)
    inner = graph.to_float(graph.to_bytes(middle, at["middle"]), at["middle"], matrix["up"], bias["up"])
    down = graph.to_float(graph.to_bytes(inner, inner_at), inner_at, matrix["down"], bias["down"])
    return graph.norm(middle, down, layer.norm_feed)


def _head(graph: Graph, student: Student, ranges: Mapping[str, Range], mean: str) -> None:
    head = _array(student.head)
    pooled = graph.to_bytes(mean, ranges["pooled"])
    folded = quantise_weight(_array(student.project.weight).T @ head)
    y = graph.to_float(pooled, ranges["pooled"], folded, _array(student.project.bias) @ head)
    if student.shape.adapter:
        up, down = student.adapter_in, quantise_weight(_array(student.adapter_out.weight).T @ head)
        out = Range(ranges["adapter"].scale, 0)
        inner = graph.to_float(pooled, ranges["pooled"], quantise_weight(up.weight.T), _array(up.bias))
        extra = graph.to_float(graph.to_bytes(inner, out), out, down)
        one, zero = (graph.constant(np.array([n], np.int64)) for n in (1, 0))
        first = graph.add("Slice", ["ids", zero, one, one])
        is_item = graph.add("Equal", [first, graph.constant(np.array(student.shape.item_token, np.int32))])
        y = graph.add("Add", [y, graph.add("Mul", [extra, graph.add("Cast", [is_item], to=1)])])
    graph.add("LpNormalization", [y], axis=1, p=2, output="vector")


def finished(graph: Graph, dim: int) -> bytes:
    """Return the bytes of a model of `graph`, whose output `vector` is `dim` wide."""
    made = helper.make_graph(
        graph.nodes,
        "ei_bert",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["row", "token"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["row", dim])],
        graph.initialisers,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
    model = helper.make_model(made, producer_name="fedbert", opset_imports=opsets, ir_version=_IR)
    return bytes(model.SerializeToString(deterministic=True))
