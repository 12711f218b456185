"""Cuts the int8 graph below its last layer, so that what no release changes is run once a text.

In a run only the last layer and the head learn: below them the graphs of two releases are the same to the
byte. The lower graph gives the float32 states that enter the last layer, the upper one takes them. Both run
the operators of the whole graph on the same values, so the vectors are the same bits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

_IDS = "ids"


@dataclass(frozen=True)
class Cut:
    """A graph in two: `lower` takes `ids` and gives `states`, `upper` takes both and gives `vector`.

    `states` is the name of the states, float32 `[row, token, width]`; `digest` the SHA-256 of `lower` in
    hexadecimal: graphs with equal ones have the same states.
    """

    lower: bytes
    upper: bytes
    states: str
    digest: str


def cut(model: bytes) -> Cut | None:
    """Return an exported student's graph in two; None for one of a single layer, or whose layers are shared.

    A shared layer learns wherever it is passed, so nothing below its last pass stays the same.
    """
    whole = onnx.load_from_string(model)
    nodes = list(whole.graph.node)
    layers = [node for node in nodes if node.op_type == "QAttention"]
    if len(layers) < 2 or layers[-1].input[1] in {node.input[1] for node in layers[:-1]}:
        return None
    quantised = next(node for node in nodes if layers[-1].input[0] in node.output)
    entry = quantised.input[0]
    states = helper.make_tensor_value_info(entry, TensorProto.FLOAT, ["row", "token", "feature"])
    ids, vector = whole.graph.input[0], whole.graph.output[0]
    lower = _part(whole, _needed(nodes, entry, _IDS), [ids], states)
    upper = _part(whole, _needed(nodes, vector.name, entry), [ids, states], vector)
    return Cut(lower, upper, entry, hashlib.sha256(lower).hexdigest())


def _needed(nodes: Sequence[onnx.NodeProto], output: str, given: str) -> list[onnx.NodeProto]:
    """Return the nodes that `output` needs, in their order, if the value `given` is there."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output) and given not in node.output:
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def _part(
    whole: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
) -> bytes:
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in whole.graph.initializer if tensor.name in used]
    graph = helper.make_graph(nodes, whole.graph.name, inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    return bytes(model.SerializeToString(deterministic=True))
