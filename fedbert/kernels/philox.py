"""Philox 4x64 with ten rounds (Salmon et al. 2011) for any counters, bit for bit as numpy's generator.

Numpy draws for a range of ids one after the other. Sessions are few among the devices of a block, and drawing
for those alone saves four fifths of the numbers.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled, inlined

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_STEP_0, _STEP_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10

WORDS = 4
"""64-bit words of one counter."""

_DROPPED_BITS = np.uint64(12)
_STEP_OF_UNIFORMS = 2.0**-52


@intrinsic  # type: ignore[untyped-decorator]
def _high_product(typing: Any, left: Any, right: Any) -> Any:
    """Return the upper 64 bits of a product of two uint64: one instruction, which numpy has no name for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(each, wide) for each in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@inlined
def four_words(counter: Any, key_0: Any, key_1: Any) -> Any:
    """Return the four words of a `counter` (uint64, from 0) under a key of two uint64."""
    zero = np.uint64(0)
    # Numpy's generator counts on before it draws.
    a, b, c, d = counter + np.uint64(1), zero, zero, zero
    for _ in range(_ROUNDS):
        high_0, low_0 = _high_product(_MULTIPLIER_0, a), _MULTIPLIER_0 * a
        high_1, low_1 = _high_product(_MULTIPLIER_1, c), _MULTIPLIER_1 * c
        a, b, c, d = high_1 ^ b ^ key_0, low_1, high_0 ^ d ^ key_1, low_0
        key_0 += _STEP_0
        key_1 += _STEP_1
    return a, b, c, d


@inlined
def uniform(word: Any) -> Any:
    """Return the number in the open interval (0, 1) that a word stands for (`randomness.to_uniforms`)."""
    return (np.float64(word >> _DROPPED_BITS) + 0.5) * _STEP_OF_UNIFORMS


@inlined
def _as_it_is(word: Any) -> Any:
    return word


@inlined
def _fill(keys: Any, which: Any, ids: Any, out: Any, value: Any) -> None:
    """Write what `value` makes of each word of `ids` [n] to `out` `[n, draws]`."""
    draws = out.shape[1]
    counters = (draws + WORDS - 1) // WORDS
    for row in range(len(ids)):
        key_0, key_1 = keys[which[row], 0], keys[which[row], 1]
        counter = np.uint64(ids[row]) * np.uint64(counters)
        for part in range(counters):
            four = four_words(counter + np.uint64(part), key_0, key_1)
            for place in range(min(WORDS, draws - WORDS * part)):
                out[row, WORDS * part + place] = value(four[place])


@compiled
def fill_words(
    keys: NDArray[np.uint64], which: NDArray[np.int8], ids: NDArray[np.int64], out: NDArray[np.uint64]
) -> None:
    """Write the words `[n, draws]` of `ids` [n] (>= 0), each under ``keys[which]``, `keys` `[key, 2]`."""
    _fill(keys, which, ids, out, _as_it_is)


@compiled
def fill_uniforms(
    keys: NDArray[np.uint64], which: NDArray[np.int8], ids: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """Write as numbers in (0, 1) what `fill_words` writes as words."""
    _fill(keys, which, ids, out, uniform)
