"""The int8 graph in plain numpy integers: what every processor's kernels must come to.

The reference evaluator of `onnx` runs the standard operators; the two of ONNX Runtime's own are written out.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Floats = NDArray[np.float32]


def product(
    a: NDArray[np.uint8], b: NDArray[np.int8], a_scale: Floats, b_scale: Floats, a_zero: Any, b_zero: Any
) -> Floats:
    """Return (a - a_zero) (b - b_zero) in exact integers, times both scales."""
    whole = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - b_zero)
    return np.asarray(whole, np.float32) * np.asarray(a_scale * b_scale, np.float32)


class MatMulIntegerToFloat(OpRun):
    """A product of bytes as float32, with a bias if there is one."""

    op_domain = "com.microsoft"

    def _run(self, a, b, a_scale, b_scale, a_zero, b_zero, bias=None):  # type: ignore[no-untyped-def]
        made = product(a, b, a_scale, b_scale, a_zero, b_zero)
        return (made if bias is None else made + bias,)


class QAttention(OpRun):
    """Attention whose queries, keys and values come from one product of bytes; the rest is float32."""

    op_domain = "com.microsoft"

    def _run(self, x, weight, bias, x_scale, weight_scale, mask, x_zero, weight_zero, num_heads=1):  # type: ignore[no-untyped-def]
        batch, length, _ = x.shape
        packed = product(x, weight, x_scale, weight_scale, x_zero, weight_zero) + bias
        width = packed.shape[-1] // 3
        parts = packed.reshape(batch, length, 3, num_heads, width // num_heads).transpose(2, 0, 3, 1, 4)
        scores = parts[0] @ parts[1].swapaxes(-1, -2) / np.float32(np.sqrt(width // num_heads))
        scores = scores + np.where(mask[:, None, None, :] > 0, 0.0, -1e4).astype(np.float32)
        grown = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = grown / grown.sum(-1, keepdims=True) @ parts[2]
        return (mixed.transpose(0, 2, 1, 3).reshape(batch, length, width).astype(np.float32),)


def reference_vectors(model: bytes, ids: NDArray[np.int32]) -> Floats:
    """Return the graph's vectors `[row, dim]` of token `ids` `[row, token]`."""
    graph = onnx.load_from_string(model)
    evaluator = ReferenceEvaluator(graph, new_ops=[MatMulIntegerToFloat, QAttention])
    return np.asarray(evaluator.run(None, {"ids": ids})[0], np.float32)
