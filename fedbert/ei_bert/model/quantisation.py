"""Calibrated int8 of every module: embeddings and weights int8, activations uint8 with constant scales.

Weights take 7 of 8 bits (-63 .. 63): products of unsigned and signed bytes are added in pairs of 16-bit lanes
on processors without VNNI and would saturate with 8. Activation ranges are found once on public texts, so
that a text's score never depends on what else is in its batch.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedbert.errors import invalid

WEIGHT_LIMIT = 63
"""Largest weight, 7 bits: see above."""
# Share of values at either end that a range leaves out: one extreme would cost all others their precision.
_TAIL = 5e-5
BYTE_STEPS = 255.0
# Ranges and columns of nothing but zeros get these, so that no scale is 0.
_LEAST_RANGE, LEAST_EXTREME = 1e-6, 1e-8


@dataclass(frozen=True)
class Quantisation:
    """Bits of word embeddings and of layers' matrices, 8 or 4, and how many 4-bit values share a scale.

    `block` is a power of two, 16 to 256. All else of a student is int8. Raises FedbertError for other
    numbers.
    """

    embedding_bits: int = 8
    weight_bits: int = 8
    block: int = 32

    def __post_init__(self) -> None:
        for name in ("embedding_bits", "weight_bits"):
            if getattr(self, name) not in (4, 8):
                raise invalid(name, getattr(self, name), "be 8 or 4")
        if self.block not in (16, 32, 64, 128, 256):
            raise invalid("block", self.block, "be 16, 32, 64, 128 or 256", "smaller is finer and larger")

    def as_dict(self) -> dict[str, int]:
        """Return the numbers by name, as they stand in the manifest; `Quantisation(**...)` reads them."""
        return asdict(self)


INT8 = Quantisation()


@dataclass(frozen=True)
class Range:
    """The calibrated range of an activation: value = (byte - zero) * scale."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Weight:
    """An int8 matrix `[in, out]` with one scale per output column."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def byte_range(low: float, high: float) -> Range:
    """Return the range of one byte from `low` <= 0 to `high` >= 0, in which zero is a value."""
    scale = float(np.float32(max(high - low, _LEAST_RANGE) / BYTE_STEPS))
    return Range(scale, int(np.clip(np.rint(-low / scale), 0, BYTE_STEPS)))


def quantise_weight(matrix: Tensor | NDArray[np.float32], limit: int = WEIGHT_LIMIT) -> Weight:
    """Return `matrix` `[in, out]` as int8 in -limit .. limit, symmetric, one scale per column."""
    whole = np.asarray(matrix.detach() if isinstance(matrix, Tensor) else matrix, np.float32)
    top = np.maximum(np.abs(whole).max(0), LEAST_EXTREME).astype(np.float32)
    scales = short_scales(top / np.float32(limit))
    return Weight(np.rint(whole / scales).clip(-limit, limit).astype(np.int8), scales)


def short(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` rounded to float16, as the file keeps them; as they are if one is too large."""
    if np.abs(values).max(initial=0.0) > np.finfo(np.float16).max:
        return values
    return values.astype(np.float16).astype(np.float32)


def short_scales(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `scales` rounded to float16, or as they are where one is too small to keep its 11 bits there."""
    return short(scales) if scales.min(initial=1.0) >= np.finfo(np.float16).tiny else scales


class Calibration:
    """Collects the ranges of activations while the float student reads public texts.

    The ends of a range leave out the outermost 0.005 % of values on either side, in the widest batch seen.
    """

    def __init__(self) -> None:
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}

    def observe(self, name: str, values: Tensor) -> None:
        """Widen the range of activation `name` by `values` of any shape."""
        flat = values.detach().flatten().numpy()
        cut = int(len(flat) * _TAIL)
        parts = np.partition(flat, (cut, len(flat) - 1 - cut))
        self._low[name] = min(self._low.get(name, 0.0), float(parts[cut]))
        self._high[name] = max(self._high.get(name, 0.0), float(parts[len(flat) - 1 - cut]))

    def ranges(self) -> dict[str, Range]:
        """Return the range of each activation, as one byte each; zero is always a value of it."""
        return {name: byte_range(low, self._high[name]) for name, low in self._low.items()}


def calibrate(
    run: Callable[[Tensor, Callable[[str, Tensor], None]], object], batches: list[Tensor]
) -> dict[str, Range]:
    """Return the activation ranges of `run(ids, observe)` over `batches` of token ids."""
    calibration = Calibration()
    with torch.inference_mode():
        for ids in batches:
            run(ids, calibration.observe)
    return calibration.ranges()
