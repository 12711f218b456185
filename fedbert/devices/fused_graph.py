"""An ONNX graph at one text length, as a phone's runtime would execute it.

Counted is what is left once constants are folded and quantise-dequantise pairs fused:

- products of quantised matrices are integer multiply-adds, any other float; the scores and weighted sums
  inside an attention operator are float, as ONNX Runtime computes them;
- dequantised weights stay int8 in memory; a lookup reads the rows it needs, any other use all of them;
- an operator between dequantised inputs and a quantised output works on int8; any other quantisation is an
  operator of its own.
"""

import math
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from fedbert.devices.graph_shapes import infer

Floats = NDArray[np.float64]

_VIEWS = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
_FLOAT_PRODUCTS = {"MatMul", "Gemm"}
_ATTENTION = {"Attention", "QAttention"}
_INTEGER_PRODUCTS = {"MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "QGemm", "QAttention"}
_PRODUCTS = _FLOAT_PRODUCTS | _INTEGER_PRODUCTS | _ATTENTION
_MOVES = {"Gather", "Transpose", "Concat", "Slice", "Split", "Expand", "Tile", "Pad"}
_FLOAT_BYTES = 4
FLOAT_OPS_PER_ELEMENT = {
    "Softmax": 10,
    "Exp": 10,
    "Erf": 18,
    "Tanh": 18,
    "Sigmoid": 14,
    "Gelu": 21,
    "FastGelu": 21,
    "BiasGelu": 21,
    "LayerNormalization": 13,
    "SkipLayerNormalization": 17,
    "LpNormalization": 8,
    "Sqrt": 6,
    "Reciprocal": 6,
    "Div": 6,
    "Pow": 6,
    "QuantizeLinear": 4,
    "MatMulIntegerToFloat": 6,
    "QGemm": 8,
    "QAttention": 6,
}
"""Simple operations an output element costs, loads and stores among them: a sum of two is 4, as is any other
operator; moving data is 0. Relative times of single operators in ONNX Runtime (`host_graphs.py`)."""

_PLAIN_OPS = 4
_SCORE_OPS = 20
"""Of an attention score: masked, the soft-max, and written and read between the two products."""
_HEADS_OPS = 6
"""Of an element of queries, keys and values: split into heads, packed for its products, merged."""


@dataclass
class Counts:
    """Counts of one graph at one length; see `operations.ModelOperations`."""

    integer_macs: int = 0
    float_macs: int = 0
    float_ops: int = 0
    traffic: int = 0
    calls: int = 0
    products: int = 0


class FusedGraph:
    """The graph at one length: shapes, constants, what runs, and who makes and uses each tensor."""

    def __init__(self, model: onnx.ModelProto, length: int) -> None:
        graph, self.shapes, self.items = infer(model, length)
        self.outputs = [value.name for value in graph.output]
        weights = {tensor.name for tensor in model.graph.initializer}
        self.weight_bytes = sum(self.whole_bytes(name) for name in weights)
        self.constant = set(weights)
        self.maker = {name: node for node in graph.node for name in node.output}
        self.nodes: list[onnx.NodeProto] = []
        self.folded: list[onnx.NodeProto] = []
        for node in graph.node:  # in topological order, as ONNX demands
            if node.op_type == "Shape" or all(not name or name in self.constant for name in node.input):
                self.constant |= set(node.output)
                self.folded.append(node)
            else:
                self.nodes.append(node)
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def elements(self, name: str) -> int:
        """Return the number of elements of a tensor."""
        return int(np.prod(self.shapes[name], dtype=np.int64))

    def whole_bytes(self, name: str) -> int:
        """Return the bytes of a tensor as its type says."""
        return math.ceil(self.elements(name) * self.items.get(name, _FLOAT_BYTES))

    def dequantised(self, name: str) -> bool:
        """Return whether a tensor is a dequantised one, perhaps reshaped or transposed since."""
        while name in self.maker and self.maker[name].op_type in _VIEWS | {"Transpose", "DequantizeLinear"}:
            if self.maker[name].op_type == "DequantizeLinear":
                return True
            name = self.maker[name].input[0]
        return False

    def only_quantised(self, name: str) -> bool:
        """Return whether all that happens to a tensor is to be quantised."""
        users = self.users.get(name, [])
        return bool(users) and all(user.op_type == "QuantizeLinear" for user in users)

    def on_int8(self, node: onnx.NodeProto) -> bool:
        """Return whether a runtime runs a float operator on int8, by fusing what surrounds it."""
        if node.op_type in _FLOAT_PRODUCTS:
            return all(self.dequantised(name) for name in node.input[:2])
        data = [name for name in node.input if name and name not in self.constant]
        return self.only_quantised(node.output[0]) and all(self.dequantised(name) for name in data)

    def free(self, node: onnx.NodeProto) -> bool:
        """Return whether a node costs nothing: a view, or quantisation that is part of its neighbour."""
        if node.op_type == "DequantizeLinear":
            return all(
                user.op_type in _VIEWS or self.on_int8(user) for user in self.users.get(node.output[0], [])
            )
        if node.op_type == "QuantizeLinear":
            maker = self.maker.get(node.input[0])
            return maker is not None and self.only_quantised(node.input[0]) and self.on_int8(maker)
        return node.op_type in _VIEWS

    def buffer(self, name: str) -> str:
        """Return the tensor whose memory `name` lives in."""
        while name in self.maker and name not in self.constant and self.free(self.maker[name]):
            name = self.maker[name].input[0]
        return name

    def kept_bytes(self, name: str) -> int:
        """Return the bytes a tensor takes where it is kept, after fusion."""
        name = self.buffer(name)
        maker = self.maker.get(name)
        if (
            maker is not None
            and name not in self.constant
            and self.only_quantised(name)
            and self.on_int8(maker)
        ):
            return self.elements(name)
        return self.whole_bytes(name)

    def stored(self, name: str) -> str:
        """Return the constant that a folded one is made from, as the file holds it."""
        while name in self.maker and self.maker[name].op_type in _VIEWS | {"Transpose", "DequantizeLinear"}:
            name = self.maker[name].input[0]
        return name

    def kept_weights(self) -> dict[str, int]:
        """Return the bytes of each constant that the operators left read, once folded ones are made."""
        read = {self.stored(name) for node in self.nodes for name in node.input if name in self.constant}
        return {name: self.whole_bytes(name) for name in sorted(read)}

    def folded_nibbles(self) -> int:
        """Return the elements of the 4-bit constants that are unpacked when constants are folded."""
        names = {
            name for node in self.folded for name in node.input if self.items.get(name, _FLOAT_BYTES) < 1
        }
        return sum(self.elements(name) for name in names)

    def read_bytes(self, node: onnx.NodeProto) -> int:
        """Return the bytes a node reads."""
        names = [name for name in node.input if name]
        if node.op_type in {"Gather", "Slice"} and names[0] in self.constant:
            return self.whole_bytes(node.output[0])  # the rows looked up, not the table
        if node.op_type == "GatherBlockQuantized":  # the same, of codes and of their scales
            table = self.whole_bytes(names[0]) + self.whole_bytes(names[2])
            return self.elements(node.output[0]) * table // self.elements(names[0])
        total = 0
        for name in names:
            if name in self.constant:
                while name in self.maker and self.maker[name].op_type in _VIEWS | {
                    "Transpose",
                    "DequantizeLinear",
                }:
                    name = self.maker[name].input[0]
            total += self.whole_bytes(name) if name in self.constant else self.kept_bytes(name)
        return total

    def count(self) -> Counts:
        """Return the counts at this length."""
        counts = Counts()
        for node in self.nodes:
            output = node.output[0]
            if self.free(node):
                if node.op_type == "QuantizeLinear":  # rounding the sums of the fused operator
                    counts.float_ops += FLOAT_OPS_PER_ELEMENT["QuantizeLinear"] * self.elements(output)
                continue
            counts.calls += 1
            counts.traffic += self.read_bytes(node) + sum(
                self.kept_bytes(name) for name in node.output if name
            )
            if node.op_type in _PRODUCTS:
                self.count_product(node, counts)
            elif node.op_type.startswith("Reduce"):
                counts.float_ops += _PLAIN_OPS * self.elements(node.input[0])
            elif node.op_type not in _MOVES:
                counts.float_ops += FLOAT_OPS_PER_ELEMENT.get(node.op_type, _PLAIN_OPS) * self.elements(
                    output
                )
        return counts

    def count_product(self, node: onnx.NodeProto, counts: Counts) -> None:
        """Add the multiply-adds of a node, and what it does to single elements beside them."""
        output = self.elements(node.output[0])
        transposed = node.op_type in {"Gemm", "QGemm"} and any(
            a.name == "transA" and a.i for a in node.attribute
        )
        inner = self.shapes[node.input[0]][0 if transposed else -1]
        macs = inner * output
        integer = node.op_type in _INTEGER_PRODUCTS or self.on_int8(node)
        counts.products += 1
        if node.op_type in _ATTENTION:
            macs *= 3  # queries, keys and values
            length = self.shapes[node.output[0]][-2]
            counts.float_macs += 2 * length * output
            scores = self.scores(node)
            counts.products += 2
            counts.float_ops += _SCORE_OPS * scores + _HEADS_OPS * 3 * output
            counts.traffic += 2 * _FLOAT_BYTES * (3 * output + scores)
            output *= 3
        counts.integer_macs += macs if integer else 0
        counts.float_macs += 0 if integer else macs
        counts.float_ops += FLOAT_OPS_PER_ELEMENT.get(node.op_type, 0) * output

    def scores(self, node: onnx.NodeProto) -> int:
        """Return the number of attention scores of an attention operator: heads x length x length."""
        heads = next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
        batch, length = self.shapes[node.output[0]][:2]
        return int(batch * heads * length * length)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each buffer, and under ``" " + name`` what its maker needs as it runs."""
        result = {}
        for node in self.nodes:
            for name in node.output:
                if name and self.buffer(name) == name:
                    result[name] = self.kept_bytes(name)
            if node.op_type in _ATTENTION:
                # queries, keys, values and the mixed values before their heads are put back in order
                inside = 4 * self.elements(node.output[0]) + self.scores(node)
                result[" " + node.output[0]] = _FLOAT_BYTES * inside
        return result

    def peak(self, sizes: dict[str, Floats], width: int) -> Floats:
        """Return the most bytes alive at once [length], given each buffer's bytes [length]."""
        last: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            for name in [*node.input, *node.output]:
                last[self.buffer(name)] = index
        for name in self.outputs:
            last[self.buffer(name)] = len(self.nodes)
        alive, peak = np.zeros(width), np.zeros(width)
        for index, node in enumerate(self.nodes):
            made = {name for name in node.output if name in sizes}
            for name in made:
                alive = alive + sizes[name]
            inside = sizes.get(" " + node.output[0], np.zeros(width))
            peak = np.maximum(peak, alive + inside)
            for name in made | {self.buffer(name) for name in node.input}:
                if last[name] == index and name in sizes:
                    alive = alive - sizes[name]
        return peak
