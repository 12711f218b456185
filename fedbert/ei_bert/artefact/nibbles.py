"""Small signed numbers, two in a byte: the first in the low half."""

import numpy as np
from numpy.typing import NDArray

LIMIT = 7
"""Largest code: four bits with a sign, and none that has no opposite."""
_NIBBLE, _SIGN = 15, 8


def packed_codes(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return `codes` -7 .. 7, `[row, column]`, row by row as uint8 `[ceil(row * column / 2)]`."""
    flat = codes.reshape(-1).astype(np.uint8) & _NIBBLE
    pairs = np.append(flat, np.zeros(flat.size % 2, np.uint8)).reshape(-1, 2)
    return np.asarray(pairs[:, 0] | pairs[:, 1] << 4, np.uint8)


def unpacked_codes(packed: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.int8]:
    """Return the int8 `[row, column]` that `packed_codes` made into `packed`."""
    halves = np.stack([packed & _NIBBLE, packed >> 4], axis=1).reshape(-1)
    signed = ((halves ^ _SIGN).astype(np.int8) - _SIGN)[: rows * columns]
    return np.ascontiguousarray(signed.reshape(rows, columns))
