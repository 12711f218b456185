"""Writes a safetensors file whose bytes follow from its content alone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_ALIGNMENT = 8
_KINDS = {"float32": "F32", "int8": "I8", "uint8": "U8"}


def tensor_file(tensors: Sequence[tuple[str, NDArray[Any]]], notes: Mapping[str, str]) -> bytes:
    """Return a file of named `tensors` (float32, int8 or uint8), in this order, with `notes` as metadata."""
    # The library writes metadata in the order of a hash map, which changes from run to run: so by hand.
    header: dict[str, object] = {"__metadata__": dict(notes)}
    body = b""
    for name, value in tensors:
        part = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        offsets = [len(body), len(body) + len(part)]
        header[name] = {
            "dtype": _KINDS[value.dtype.name],
            "shape": list(value.shape),
            "data_offsets": offsets,
        }
        body += part
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + body
