"""Operations: counted by hand on small graphs, and compared with real int8 graphs of several kinds."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fedbert.devices.operations import ModelOperations, Quadratic, count_operations
from fedbert.errors import FedbertError
from fedbert.paths import models_folder

D, H, V = 6, 2, 10


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], output: list[str | int]) -> bytes:
    """Return a graph from `ids` [batch, sequence] to `vector`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def quantised(name: str, scale: str = "s") -> list[onnx.NodeProto]:
    """Return the pair that quantises tensor `name` and dequantises it to `name`_d."""
    return [
        helper.make_node("QuantizeLinear", [name, scale, "z"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", scale, "z"], [f"{name}_d"]),
    ]


CONSTANTS = {
    "table": np.ones((V, D), np.int8),
    "matrix": np.ones((D, D), np.int8),
    "s": np.float32(0.1),
    "z": np.int8(0),
    "axis": np.array([1]),
    "heads": np.array([0, 0, H, D // H]),
}

DENSE = [
    helper.make_node("Gather", ["table", "ids"], ["rows"]),
    helper.make_node("DequantizeLinear", ["rows", "s", "z"], ["x"]),
    helper.make_node("DequantizeLinear", ["matrix", "s", "z"], ["m"]),
    helper.make_node("MatMul", ["x", "m"], ["y"]),
    *quantised("y"),
]


def pooled(nodes: list[onnx.NodeProto], name: str) -> list[onnx.NodeProto]:
    """Return the nodes and a sum over tokens of tensor `name`."""
    return [*nodes, helper.make_node("ReduceSum", [name, "axis"], ["vector"], keepdims=0)]


def test_a_quantised_product_by_hand() -> None:
    """int8 in and out: t D D integer multiply-adds; weights, rows and results count one byte an element."""
    ops = count_operations(model(pooled(DENSE, "y_d"), CONSTANTS, ["batch", D]))
    assert ops.integer_macs == Quadratic(0, D * D, 0)
    assert ops.float_macs == Quadratic(0, 0, 0)
    # rounding, back to float and the sum over tokens, 4 D each
    assert ops.float_ops == Quadratic(0, 3 * 4 * D, 0)
    assert ops.operator_calls == 4  # lookup, product, back to float, sum
    assert ops.product_calls == 1
    assert ops.output_width == D
    assert ops.weight_bytes == V * D + D * D + 4 + 1 + 8 + 32


def test_attention_by_hand() -> None:
    """Scores and weighted sums in float: 2 t^2 D multiply-adds, and a soft-max of H t^2 elements."""
    split = [
        helper.make_node("Reshape", ["y_d", "heads"], ["h"]),
        helper.make_node("Transpose", ["h"], ["a"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["h"], ["b"], perm=[0, 2, 3, 1]),
        helper.make_node("Add", ["a", "a"], ["a2"]),
        helper.make_node("MatMul", ["a2", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "a2"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        helper.make_node("ReduceSum", ["back", "axis"], ["small"], keepdims=0),
        helper.make_node("Reshape", ["small", "flat"], ["vector"]),
    ]
    constants = CONSTANTS | {"flat": np.array([-1, D])}
    ops = count_operations(model([*DENSE, *split], constants, ["batch", D]))
    assert ops.integer_macs == Quadratic(0, D * D, 0)
    assert ops.float_macs == Quadratic(0, 0, 2 * D)
    assert ops.float_ops.per_token_squared == 10 * H
    assert np.all(np.diff(ops.peak_bytes) > 0)
    # scores and weights, each 4 H t^2 bytes, live at once
    assert ops.peak_bytes[-1] >= 2 * 4 * H * ops.peak_lengths[-1] ** 2


def test_fused_operators_by_hand() -> None:
    """ONNX Runtime's fused int8 operators: attention, product, product back to bytes."""
    constants = CONSTANTS | {
        "packed": np.ones((D, 3 * D), np.int8),
        "bias": np.ones(3 * D, np.float32),
        "scales": np.ones(3 * D, np.float32),
        "zeros": np.zeros(3 * D, np.int8),
        "up": np.ones((D, 4), np.int8),
        "four": np.ones(4, np.float32),
        "fours": np.zeros(4, np.int8),
        "rows2": np.array([-1, D]),
        "y_zero": np.uint8(0),
    }
    node = helper.make_node
    nodes = [
        node("Sign", ["ids"], ["mask"]),
        node("Gather", ["table", "ids"], ["rows"]),
        node(
            "QAttention",
            ["rows", "packed", "bias", "s", "scales", "mask", "z", "zeros"],
            ["mixed"],
            domain="com.microsoft",
            num_heads=H,
        ),
        node("SkipLayerNormalization", ["mixed", "mixed", "six"], ["normed"], domain="com.microsoft"),
        node("QuantizeLinear", ["normed", "s", "z"], ["bytes"]),
        node("Reshape", ["bytes", "rows2"], ["flat"]),
        node(
            "QGemm",
            ["flat", "s", "z", "up", "four", "fours", "", "s", "y_zero"],
            ["inner"],
            domain="com.microsoft",
        ),
        node("MatMulIntegerToFloat", ["inner", "down", "s", "scales6"], ["out"], domain="com.microsoft"),
        node("Shape", ["mixed"], ["sizes"]),
        node("Reshape", ["out", "sizes"], ["again"]),
        node("ReduceSum", ["again", "axis"], ["vector"], keepdims=0),
    ]
    constants |= {
        "down": np.ones((4, D), np.int8),
        "six": np.ones(D, np.float32),
        "scales6": np.ones(D, np.float32),
    }
    ops = count_operations(model(nodes, constants, ["batch", D]))
    assert ops.integer_macs == Quadratic(0, 3 * D * D + 4 * D + 4 * D, 0)
    assert ops.float_macs == Quadratic(0, 0, 2 * D)
    # queries, keys, values (6 + 6) x 3 D; norm 17 D; rounding 4 D; QGemm 8 x 4; to float 6 D; sum 4 D; Sign 4
    assert ops.float_ops == Quadratic(0, 36 * D + 17 * D + 4 * D + 32 + 6 * D + 4 * D + 4, 20 * H)
    assert ops.operator_calls == 8
    assert ops.product_calls == 3 + 1 + 1  # three in the attention


def test_weights_used_twice_count_twice_but_are_held_once() -> None:
    """Two passes through one matrix: twice the multiply-adds and reads, one set of bytes in the file."""
    again = [helper.make_node("MatMul", ["y_d", "m"], ["w"]), *quantised("w")]
    once = count_operations(model(pooled(DENSE, "y_d"), CONSTANTS, ["batch", D]))
    twice = count_operations(model(pooled([*DENSE, *again], "w_d"), CONSTANTS, ["batch", D]))
    assert twice.integer_macs.per_token == 2 * once.integer_macs.per_token
    assert twice.weight_bytes == once.weight_bytes
    assert twice.traffic_bytes.constant - once.traffic_bytes.constant >= D * D


def test_sizes_computed_in_the_graph_are_followed() -> None:
    """A position table cut to the text's length has a shape once the length is known."""
    constants = CONSTANTS | {"places": np.ones((64, D), np.float32), "zero": np.array([0])}
    nodes = [
        *DENSE,
        helper.make_node("Shape", ["ids"], ["length"], start=1),
        helper.make_node("Slice", ["places", "zero", "length", "zero"], ["place"]),
        helper.make_node("Add", ["y_d", "place"], ["sum"]),
    ]
    ops = count_operations(model(pooled(nodes, "sum"), constants, ["batch", D]))
    assert ops.integer_macs == Quadratic(0, D * D, 0)
    assert ops.traffic_bytes.constant < 64 * D * 4


def test_a_quadratic_is_exact() -> None:
    """`Quadratic.at` is the polynomial itself."""
    assert Quadratic(1, 2, 3).at(np.array([0.0, 1.0, 10.0])).tolist() == [1.0, 6.0, 321.0]


def test_between_lengths_memory_is_a_chord() -> None:
    """Peak memory between two known lengths is on the straight line, never below a convex curve."""
    ops = count_operations(model(pooled(DENSE, "y_d"), CONSTANTS, ["batch", D]))
    assert isinstance(ops, ModelOperations)
    middle = ops.activation_bytes(np.array([16.0, 24.0, 32.0]))
    assert middle[1] == pytest.approx((middle[0] + middle[2]) / 2)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"not a model", "must be an ONNX model"),
        (b"", "must be an ONNX model with operators"),
        (
            model([helper.make_node("Magic", ["ids"], ["vector"], domain="com.microsoft")], {}, ["batch", D]),
            "operator 'Magic' of com.microsoft must be one of",
        ),
        (
            model([helper.make_node("Magic", ["ids"], ["vector"], domain="elsewhere")], {}, ["batch", D]),
            "shapes must follow from the inputs' (",
        ),
        (
            model([helper.make_node("MatMul", ["ids", "table"], ["vector"])], CONSTANTS, ["batch", D]),
            "the shape of tensor 'vector' must follow",
        ),
    ],
)
def test_a_wrong_model_is_refused(content: bytes, rule: str) -> None:
    """A file that is no model, or one whose shapes cannot be known, gets one line."""
    with pytest.raises(FedbertError, match=r"^model\.onnx") as raised:
        count_operations(content)
    assert rule in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_shipped_model() -> None:
    """Each int8 matrix of the shipped model is used once a token or once a text, and shapes all work out."""
    content = (models_folder() / "default" / "model.onnx").read_bytes()
    ops = count_operations(content)
    graph = onnx.load_model_from_string(content).graph
    size = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    place = {"QAttention": 1, "MatMulIntegerToFloat": 1, "QGemm": 3}
    products = [size[node.input[place[node.op_type]]] for node in graph.node if node.op_type in place]
    assert ops.integer_macs.constant + ops.integer_macs.per_token == sum(products)
    assert ops.integer_macs.per_token_squared == 0
    assert ops.float_macs.per_token_squared > 0
    assert 0.95 * len(content) < ops.weight_bytes < len(content)
    assert ops.output_width == graph.output[0].type.tensor_type.shape.dim[1].dim_value
    assert ops.activation_bytes(np.array([32.0]))[0] < 500_000
