"""Shapes of all tensors of an ONNX graph at one text length, fused int8 operators of ONNX Runtime included.

ONNX's own inference does not know the operators of the domain ``com.microsoft``, whose rules stand here, nor
does it follow sizes computed in the graph, which are folded here; the three take turns until nothing is left.
Weights are taken out first: of them only the shapes are needed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fedbert.errors import FedbertError

Shape = tuple[int, ...]

_SMALL = 64
"""Most elements of a constant that keeps its values: it may be a shape."""

ITEM_BYTES = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.UINT8: 1,
    onnx.TensorProto.BOOL: 1,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.DOUBLE: 8,
    onnx.TensorProto.INT4: 0.5,
    onnx.TensorProto.UINT4: 0.5,
}
"""Bytes of an element by ONNX's number of its type."""


def _as_first(node: onnx.NodeProto, shapes: dict[str, Shape]) -> Shape:
    return shapes[node.input[0]]


def _product(weight: int) -> Callable[[onnx.NodeProto, dict[str, Shape]], Shape]:
    def rule(node: onnx.NodeProto, shapes: dict[str, Shape]) -> Shape:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return (*shapes[node.input[0]][:-1], shapes[node.input[weight]][-2 if transposed else -1])

    return rule


def _attention(node: onnx.NodeProto, shapes: dict[str, Shape]) -> Shape:
    return (*shapes[node.input[0]][:-1], shapes[node.input[1]][-1] // 3)


def _lookup(node: onnx.NodeProto, shapes: dict[str, Shape]) -> Shape:
    return (*shapes[node.input[1]], *shapes[node.input[0]][1:])


RULES: dict[str, Callable[[onnx.NodeProto, dict[str, Shape]], Shape]] = {
    "SkipLayerNormalization": _as_first,
    "BiasGelu": _as_first,
    "FastGelu": _as_first,
    "Gelu": _as_first,
    "QuantizeLinear": _as_first,
    "DequantizeLinear": _as_first,
    "MatMulIntegerToFloat": _product(1),
    "QGemm": _product(3),
    "QAttention": _attention,
    "Attention": _attention,
    "GatherBlockQuantized": _lookup,
}
"""By operator of ``com.microsoft``: the shape of its output."""

_TYPE_GIVER = {"QuantizeLinear": 2, "QGemm": 8, "GatherBlockQuantized": 2}
"""The input whose type is the output's, where it is not float."""


def infer(model: onnx.ModelProto, length: int) -> tuple[onnx.GraphProto, dict[str, Shape], dict[str, float]]:
    """Return the graph, the shapes and the bytes an element of all tensors, for one text of `length` tokens.

    Inputs are `[batch, sequence]`, each free axis 0 is set to 1 and each free axis 1 to `length`. Raises
    `FedbertError` if the shape of a tensor does not follow from the inputs'.
    """
    small = onnx.ModelProto()
    small.CopyFrom(model)
    graph = small.graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    items: dict[str, float] = {
        tensor.name: ITEM_BYTES.get(tensor.data_type, 4) for tensor in graph.initializer
    }
    _hide_weights(graph)
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value < 1:
                dim.dim_value = length if axis == 1 else 1
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    waiting = list(graph.node)
    while True:
        try:
            inferred = onnx.shape_inference.infer_shapes(small).graph
        except Exception as error:  # onnx raises several kinds
            raise FedbertError(f"model.onnx: shapes must follow from the inputs' ({_line(error)})") from error
        _collect(inferred, shapes, items)
        left = [node for node in waiting if not _fold(node, graph, shapes, values)]
        left = [node for node in left if not _contribute(node, graph, shapes)]
        if len(left) == len(waiting):
            break
        waiting = left
    lost = next(
        (name for node in model.graph.node for name in node.output if name and name not in shapes), None
    )
    if lost is not None:
        raise FedbertError(f"model.onnx: the shape of tensor {lost!r} must follow from the inputs' shapes")
    return model.graph, shapes, items


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _hide_weights(graph: onnx.GraphProto) -> None:
    """Turn large constants into inputs: inference then need not copy them."""
    large = [tensor for tensor in graph.initializer if _elements(tensor) > _SMALL]
    kept = [tensor for tensor in graph.initializer if _elements(tensor) <= _SMALL]
    named = {value.name for value in graph.input}
    for tensor in large:
        if tensor.name not in named:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _elements(tensor: onnx.TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def _collect(graph: onnx.GraphProto, shapes: dict[str, Shape], items: dict[str, float]) -> None:
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
        items[value.name] = ITEM_BYTES.get(kind.elem_type, 4)


def _fold(
    node: onnx.NodeProto, graph: onnx.GraphProto, shapes: dict[str, Shape], values: dict[str, NDArray[Any]]
) -> bool:
    """Replace `node` by its value if that is a small constant; return whether it was."""
    results: list[NDArray[Any]]
    if node.op_type == "Shape" and node.input[0] in shapes:
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        shape = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
        results = [np.array(shape, np.int64)]
    elif not node.domain and node.op_type != "Shape" and all(name in values for name in node.input if name):
        feeds = {name: values[name] for name in node.input if name}
        results = ReferenceEvaluator(node).run(None, feeds)
    else:
        return False
    for name, value in zip(node.output, results, strict=True):
        if value.size > _SMALL:
            return False
        values[name] = value
        shapes[name] = value.shape
        graph.initializer.append(numpy_helper.from_array(value, name))
    graph.node.remove(node)
    return True


def _contribute(node: onnx.NodeProto, graph: onnx.GraphProto, shapes: dict[str, Shape]) -> bool:
    """Note the output of a ``com.microsoft`` operator whose inputs are known; return whether it was one."""
    if node.domain != "com.microsoft" or any(name and name not in shapes for name in node.input):
        return False
    if node.op_type not in RULES:
        known = ", ".join(sorted(RULES))
        raise FedbertError(f"model.onnx: operator {node.op_type!r} of com.microsoft must be one of {known}")
    kind = onnx.TensorProto.FLOAT
    place = _TYPE_GIVER.get(node.op_type, len(node.input))
    if place < len(node.input) and node.input[place]:
        types = {value.name: value.type.tensor_type.elem_type for value in graph.input}
        types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        kind = types.get(node.input[place], onnx.TensorProto.UINT8)
    shape = list(RULES[node.op_type](node, shapes))
    graph.value_info.append(helper.make_tensor_value_info(node.output[0], kind, shape))
    return True
