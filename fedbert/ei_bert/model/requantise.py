"""Makes 4-bit values of an exported student's 8-bit ones, without its float weights.

What is written is what `export` writes for four bits, of the int8 values instead of the floats: the rounding
of both adds up. Ranges of activations, biases and all else stay as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from fedbert.ei_bert.model.export import Graph, finished, words_in_nibbles
from fedbert.ei_bert.model.nibbles import matrix_nibbles
from fedbert.ei_bert.model.quantisation import Quantisation
from fedbert.errors import FedbertError

_TABLE_ZERO = 128
# Where an operator has its matrix and that matrix's scales and zeros, among its inputs.
_PLACES = {"QAttention": (1, 4, 7), "MatMulIntegerToFloat": (1, 3, 5)}
_NONE = np.zeros(0)


def requantised(model: bytes, quantisation: Quantisation) -> bytes:
    """Return the ONNX file `model`, a pooled student of `export`, with the bits of `quantisation`.

    Raises FedbertError for a file that is not of 8 bits, and for one that is no pooled student with a
    factorised embedding.
    """
    old = onnx.load_model_from_string(model).graph
    constants = {each.name: numpy_helper.to_array(each) for each in old.initializer}
    if any(each.data_type == onnx.TensorProto.INT4 for each in old.initializer):
        raise FedbertError("model.onnx has 4-bit values already; give the 8-bit model")
    lookup = next((node for node in old.node if node.op_type == "Gather"), None)
    words = next((node for node in old.node if lookup is not None and lookup.output[0] in node.input), None)
    if lookup is None or words is None or words.op_type not in _PLACES or old.node[-1].op_type != "Reshape":
        raise FedbertError(
            "model.onnx must be of a pooled student with a factorised embedding; compress it anew with "
            "--embedding-bits 4"
        )
    # A constant that float16 holds is kept so, and widened by a Cast.
    widened = {
        node.output[0]: constants[node.input[0]].astype(np.float32)
        for node in old.node
        if node.op_type == "Cast" and constants.get(node.input[0], _NONE).dtype == np.float16
    }
    floats = {**constants, **widened}
    graph, names = Graph(), {"ids": "ids"}
    for node in old.node:
        if node.output[0] in widened or (node is lookup and quantisation.embedding_bits == 4):
            continue
        if node is words and quantisation.embedding_bits == 4:
            names[node.output[0]] = _words(graph, floats, lookup, words, quantisation.block)
            continue
        inputs: dict[int, str] = {}
        if node.op_type in _PLACES and node is not words and quantisation.weight_bits == 4:
            at, scales_at, zeros_at = _PLACES[node.op_type]
            matrix = floats[node.input[at]] * floats[node.input[scales_at]].astype(np.float32)
            whole = graph.weight(matrix_nibbles(matrix, quantisation.block))
            inputs = dict(zip((at, scales_at, zeros_at), whole, strict=True))
        for place, name in enumerate(node.input):
            if place not in inputs:
                inputs[place] = names[name] if name in names else graph.constant(floats[name])
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        ordered = [inputs[place] for place in range(len(node.input))]
        output = "vector" if node.output[0] == "vector" else ""
        names[node.output[0]] = graph.add(node.op_type, ordered, node.domain, output, **attributes)
    return finished(graph, old.output[0].type.tensor_type.shape.dim[1].dim_value)


def _words(
    graph: Graph,
    floats: Mapping[str, NDArray[Any]],
    lookup: onnx.NodeProto,
    words: onnx.NodeProto,
    block: int,
) -> str:
    """Return the name of the words' features from a 4-bit table, in place of `lookup` and `words`."""
    at, scales_at, _ = _PLACES[words.op_type]
    table = (floats[lookup.input[0]].astype(np.float32) - _TABLE_ZERO) * floats[words.input[2]]
    widen = floats[words.input[at]].astype(np.float32) * floats[words.input[scales_at]]
    return words_in_nibbles(graph, torch.from_numpy(table), widen, block)
