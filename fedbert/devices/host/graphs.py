"""Small ONNX graphs of single operators, and whole BERTs of any size, with random weights.

The small graphs are what a machine is calibrated with: chains of one operator, or of the pair that an int8
model alternates (quantise, multiply), each link with weights of its own, as in a model. The whole BERTs are
what the calibration is checked on; they take `ids` int32 `[row, token]` and give `vector`, and use the
operators of the shipped artefacts in int8, and ONNX Runtime's Attention and BiasGelu in float.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_CONTRIB = "com.microsoft"
_OPSET, _IR = 21, 10
_SCALE, _ZERO = 0.05, 128
VOCABULARY = 2_000


@dataclass(frozen=True)
class BertSize:
    """A BERT's size; `int8` says whether its matrices are bytes."""

    layers: int
    width: int
    heads: int
    inner: int
    int8: bool


class _Maker:
    """Collects nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(0)
        self.scale = self.constant(np.array(_SCALE, np.float32))
        self.zero = self.constant(np.array(_ZERO, np.uint8))

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], domain: str = "", **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def floats(self, *shape: int) -> str:
        values = self.random.standard_normal(shape) * 0.05
        return self.constant(values.astype(np.float32))

    def bytes_matrix(self, inner: int, outer: int) -> tuple[str, str, str, str]:
        """Return the names of an int8 matrix [inner, outer], its scales, zeros and bias [outer]."""
        return (
            self.constant(self.random.integers(-127, 128, (inner, outer)).astype(np.int8)),
            self.constant(np.full(outer, 0.001, np.float32)),
            self.constant(np.zeros(outer, np.int8)),
            self.floats(outer),
        )

    def to_bytes(self, x: str) -> str:
        return self.add("QuantizeLinear", [x, self.scale, self.zero])

    def int8_product(self, x: str, inner: int, outer: int) -> str:
        values, scales, zeros, bias = self.bytes_matrix(inner, outer)
        inputs = [self.to_bytes(x), values, self.scale, scales, self.zero, zeros, bias]
        return self.add("MatMulIntegerToFloat", inputs, _CONTRIB)

    def float_product(self, x: str, inner: int, outer: int) -> str:
        return self.add("MatMul", [x, self.floats(inner, outer)])

    def int8_attention(self, x: str, width: int, heads: int, mask: str) -> str:
        values, scales, zeros, bias = self.bytes_matrix(width, 3 * width)
        inputs = [self.to_bytes(x), values, bias, self.scale, scales, mask, self.zero, zeros]
        return self.add("QAttention", inputs, _CONTRIB, num_heads=heads)

    def float_attention(self, x: str, width: int, heads: int, mask: str) -> str:
        inputs = [x, self.floats(width, 3 * width), self.floats(3 * width), mask]
        return self.add("Attention", inputs, _CONTRIB, num_heads=heads)

    def norm(self, x: str, width: int) -> str:
        weight = self.constant(np.ones(width, np.float32))
        return self.add("LayerNormalization", [x, weight, self.floats(width)], axis=-1)

    def finish(self, inputs: list[onnx.ValueInfoProto], output: str, shape: list[str | int]) -> bytes:
        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "fedbert",
            inputs,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            [tensor for tensor in self.constants if tensor.name in used],
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        return bytes(model.SerializeToString())


def _input(rows: int, width: int) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows, width])]


def products(rows: int, inner: int, outer: int, int8: bool, links: int = 4) -> bytes:
    """Return a chain of `links` matrix products, [rows, inner] to [rows, outer] and back."""
    maker, x, widths = _Maker(), "x", (inner, outer)
    product = maker.int8_product if int8 else maker.float_product
    for link in range(links):
        x = product(x, widths[link % 2], widths[(link + 1) % 2])
    return maker.finish(_input(rows, inner), x, [1, rows, widths[links % 2]])


def attentions(rows: int, width: int, heads: int, int8: bool, links: int = 3) -> bytes:
    """Return a chain of `links` attention operators of `heads` on [rows, width]."""
    maker, x = _Maker(), "x"
    mask = maker.constant(np.ones((1, rows), np.int32))
    attention = maker.int8_attention if int8 else maker.float_attention
    for _ in range(links):
        x = attention(x, width, heads, mask)
    return maker.finish(_input(rows, width), x, [1, rows, width])


def elementwise(kind: str, rows: int, width: int, links: int = 8) -> bytes:
    """Return a chain of `links` operators `kind` on [rows, width]; `Quantize` is to bytes and back."""
    maker, x = _Maker(), "x"
    for _ in range(links):
        if kind == "Quantize":
            x = maker.add("Cast", [maker.to_bytes(x)], to=TensorProto.FLOAT)
        elif kind == "LayerNormalization":
            x = maker.norm(x, width)
        elif kind == "BiasGelu":
            x = maker.add(kind, [x, maker.floats(width)], _CONTRIB)
        elif kind == "Softmax":
            x = maker.add(kind, [x], axis=-1)
        elif kind == "Mul":
            x = maker.add(kind, [x, maker.floats(width)])
        else:
            x = maker.add(kind, [x, "x"])
    return maker.finish(_input(rows, width), x, [1, rows, width])


def bert(size: BertSize, positions: int = 128) -> bytes:
    """Return a BERT of this size with random weights: embeddings, layers, the mean over tokens."""
    maker, width = _Maker(), size.width
    mask = maker.add("Sign", ["ids"])
    words = maker.add("Gather", [maker.floats(VOCABULARY, width), "ids"])
    zero, one = (maker.constant(np.array([value], np.int64)) for value in (0, 1))
    length = maker.add("Shape", ["ids"], start=1)
    places = maker.add("Slice", [maker.floats(positions, width), zero, length, zero])
    x = maker.norm(maker.add("Sum", [words, places]), width)
    for _ in range(size.layers):
        x = _int8_layer(maker, x, size, mask) if size.int8 else _float_layer(maker, x, size, mask)
    weights = maker.add("Cast", [maker.add("Unsqueeze", [mask, one])], to=TensorProto.FLOAT)
    total = maker.add("MatMul", [weights, x])
    two = maker.constant(np.array([2], np.int64))
    mean = maker.add("Div", [total, maker.add("ReduceSum", [weights, two], keepdims=1)])
    flat = maker.add("Reshape", [mean, maker.constant(np.array([-1, width], np.int64))])
    ids = [helper.make_tensor_value_info("ids", TensorProto.INT32, ["row", "token"])]
    return maker.finish(ids, flat, ["row", width])


def _int8_layer(maker: _Maker, x: str, size: BertSize, mask: str) -> str:
    mixed = maker.int8_attention(x, size.width, size.heads, mask)
    mixed = maker.int8_product(mixed, size.width, size.width)
    middle = maker.norm(maker.add("Sum", [x, mixed]), size.width)
    inner = maker.int8_product(middle, size.width, size.inner)
    down = maker.int8_product(inner, size.inner, size.width)
    return maker.norm(maker.add("Sum", [middle, down]), size.width)


def _float_layer(maker: _Maker, x: str, size: BertSize, mask: str) -> str:
    mixed = maker.float_attention(x, size.width, size.heads, mask)
    mixed = maker.float_product(mixed, size.width, size.width)
    middle = maker.norm(maker.add("Sum", [x, mixed]), size.width)
    inner = maker.float_product(middle, size.width, size.inner)
    inner = maker.add("BiasGelu", [inner, maker.floats(size.inner)], _CONTRIB)
    down = maker.float_product(inner, size.inner, size.width)
    return maker.norm(maker.add("Sum", [middle, down]), size.width)


def with_positions(onnx_bytes: bytes, positions: int) -> bytes:
    """Return an artefact's graph with its table of positions repeated up to `positions` rows.

    The shipped models know 64 positions; longer texts take the same operations with a longer table, which
    is all that a timing needs.
    """
    model = onnx.load_model_from_string(onnx_bytes)
    slices = [node for node in model.graph.node if node.op_type == "Slice" and node.input[0] != "ids"]
    maker = {name: node for node in model.graph.node for name in node.output}
    waiting, tables = [node.input[0] for node in slices], set()
    while waiting:
        name = waiting.pop()
        tables.add(name)
        waiting += list(maker[name].input) if name in maker else []
    for tensor in model.graph.initializer:
        if tensor.name in tables and len(tensor.dims) == 2 and tensor.dims[0] < positions:
            values = numpy_helper.to_array(tensor)
            whole = np.resize(values, (positions, values.shape[1]))
            tensor.CopyFrom(numpy_helper.from_array(whole, tensor.name))
    return bytes(model.SerializeToString())
