"""Four bits a value: word embeddings and layers' matrices at half the bytes of int8.

*Embeddings* are looked up, so their rows may have scales of their own: value = code * scale of the row's
block * scale of the column, codes -8 .. 7, block scales float16. A block's value of largest magnitude meets
code -8 (the scale takes its sign), or one of three smaller scales is used if the squared error is less.

*Matrices* meet int8 kernels, which allow one scale a column only. So the scale of a block is a whole multiple
-7 .. 7 of its column's: value = code * multiple * scale of the column, and code * multiple is the int8 weight
that runs, within the 7 bits that `quantisation` allows. Codes and multiples are 4-bit integers in the file;
ONNX Runtime multiplies them once, when it loads it. That keeps the speed of int8 and its bits, the same alone
and in a batch, which MatMulNBits does not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedbert.ei_bert.model.quantisation import LEAST_EXTREME, WEIGHT_LIMIT, short_scales

# Scales that are tried, as shares of the one that reaches the extreme value: a smaller scale clips the
# extreme and serves the many small values better.
_FACTORS = (1.0, 0.93, 0.86, 0.79)
_COLUMN_FACTORS = (1.0, 0.9, 0.8)
# All multiples of four bits but 0, which would lose the block, and -8, since -8 times -8 passes the limit.
_MULTIPLES = (*range(1, 8), *range(-7, 0))
# The largest product of code and multiple that stays within the limit of weights.
_LARGEST = WEIGHT_LIMIT // 8 * 8
_BYTE_LIMIT = 127


@dataclass(frozen=True)
class EmbeddingNibbles:
    """A table `[row, column]`: `codes` int8 -8 .. 7 of its shape, `scales` float16 `[row, block]`, `columns`
    float32 `[column]`.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float16]
    columns: NDArray[np.float32]
    block: int

    @property
    def normal(self) -> NDArray[np.float32]:
        """The values before the columns' scales, rounded to float16 as the lookup gives them."""
        each = np.repeat(self.scales.astype(np.float32), self.block, axis=1)[:, : self.codes.shape[1]]
        return (self.codes * each).astype(np.float16).astype(np.float32)


@dataclass(frozen=True)
class MatrixNibbles:
    """A matrix `[in, out]`: `codes` int8 -8 .. 7 of its shape, `multiples` int8 -7 .. 7 `[in / block, out]`,
    `scales` float32 `[out]`.
    """

    codes: NDArray[np.int8]
    multiples: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def values(self) -> NDArray[np.int8]:
        """The int8 matrix that runs."""
        return self.codes * np.repeat(self.multiples, len(self.codes) // len(self.multiples), axis=0)


def _short_scales(scales: Tensor) -> Tensor:
    """Do what `quantisation.short_scales` does, on a tensor."""
    return scales.half().float() if bool(scales.min() >= torch.finfo(torch.float16).tiny) else scales


def _coded(table: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (codes `[row, block, value]`, scales float16 `[row, block]`, columns `[column]`) of a table."""
    rows, width = table.shape
    columns = _short_scales(table.square().mean(0).sqrt().clamp_min(LEAST_EXTREME))
    normal = torch.nn.functional.pad(table / columns, (0, -width % block)).reshape(rows, -1, block)
    extreme = normal.gather(2, normal.abs().argmax(2, keepdim=True))
    codes = scales = least = torch.empty(0)
    for factor in _FACTORS:
        scale = (extreme * (-factor / 8)).half()
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        code = (normal / scale.float()).round().clamp(-8, 7)
        error = (code * scale.float() - normal).square().sum(2, keepdim=True)
        if not len(least):
            codes, scales, least = code, scale, error
            continue
        better = error < least
        codes, scales = torch.where(better, code, codes), torch.where(better, scale, scales)
        least = torch.minimum(least, error)
    return codes, scales.squeeze(2), columns


def embedding_nibbles(table: Tensor, block: int) -> EmbeddingNibbles:
    """Return `table` `[row, column]` in four bits; `block` values of a row share a scale."""
    codes, scales, columns = _coded(table.detach().float(), block)
    whole = codes.reshape(len(table), -1)[:, : table.shape[1]].numpy().astype(np.int8)
    return EmbeddingNibbles(whole, scales.numpy(), columns.numpy(), block)


def matrix_nibbles(matrix: Tensor | NDArray[np.float32], block: int) -> MatrixNibbles:
    """Return `matrix` `[in, out]` in four bits; a block is the largest divisor of `in` up to `block`.

    For each of three scales of a column, each block takes the multiple of least squared error; the column
    keeps the scale that does best over its blocks.
    """
    whole = np.asarray(matrix.detach() if isinstance(matrix, Tensor) else matrix, np.float32)
    size = max(part for part in range(1, block + 1) if len(whole) % part == 0)
    blocks = whole.reshape(-1, size, whole.shape[1])
    top = np.maximum(np.abs(whole).max(0), LEAST_EXTREME).astype(np.float32) / np.float32(_LARGEST)
    best = np.full(whole.shape[1], np.inf)
    scales, multiples = top, np.ones((len(blocks), whole.shape[1]), np.int8)
    for factor in _COLUMN_FACTORS:
        scale = short_scales(top * np.float32(factor))
        errors = np.stack([_error(blocks, scale * np.float32(multiple)) for multiple in _MULTIPLES])
        found, total = errors.argmin(0), errors.min(0).sum(0)
        better = total < best
        best = np.where(better, total, best)
        scales = np.where(better, scale, scales)
        multiples = np.where(better, np.array(_MULTIPLES, np.int8)[found], multiples)
    codes = np.rint(blocks / (scales * multiples[:, None])).clip(-8, 7).astype(np.int8)
    return MatrixNibbles(codes.reshape(whole.shape), multiples, scales)


def _error(blocks: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
    rounded = np.rint(blocks / step).clip(-8, 7) * step
    return np.asarray(np.square(rounded - blocks).sum(1), np.float32)


def packed(codes: NDArray[np.int8]) -> bytes:
    """Return codes -8 .. 7 as ONNX's INT4: two's complement nibbles, the first of two in the low half."""
    flat = codes.reshape(-1).astype(np.uint8) & 15
    pairs = np.append(flat, np.zeros(flat.size % 2, np.uint8)).reshape(-1, 2)
    return bytes((pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8))


def fake_quantised(tensor: Tensor, bits: int, block: int) -> Tensor:
    """Return `tensor` `[row, column]` rounded as an exported table is; gradients pass straight through.

    `bits` is 8 (one scale a column) or 4 (`embedding_nibbles` with `block`). For training with the rounding
    of word embeddings in the loop; for a Linear's weight `[out, in]` at 4 bits it is near what
    `matrix_nibbles` does, at far less work.
    """
    with torch.no_grad():
        if bits == 8:
            scales = _short_scales(tensor.abs().amax(0).clamp_min(LEAST_EXTREME) / _BYTE_LIMIT)
            rounded = (tensor / scales).round().clamp(-_BYTE_LIMIT, _BYTE_LIMIT) * scales
        else:
            codes, scale, columns = _coded(tensor, block)
            values = (codes * scale.float().unsqueeze(2)).half().float()
            rounded = values.reshape(len(tensor), -1)[:, : tensor.shape[1]] * columns
        shift = rounded - tensor
    return tensor + shift
