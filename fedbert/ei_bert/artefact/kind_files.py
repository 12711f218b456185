"""Files of heads that are no plain labels of texts: safetensors, with one note `head` of JSON.

The note names the head's `kind`, its `task`, its `labels` in class order, and what else the kind needs. A
file without the note is a head of labels (`heads`).
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedbert.errors import FedbertError

_NOTE = "head"


def head_file_bytes(notes: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file of a head; equal heads give equal bytes."""
    # With a single note there is no order of notes that could change.
    note = {_NOTE: json.dumps(dict(notes), ensure_ascii=False, sort_keys=True)}
    whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    return bytes(save(whole, metadata=note))


def notes_of(content: bytes) -> dict[str, Any] | None:
    """Return the notes of a head's file; None if it has none, or is no such file."""
    try:
        size = int.from_bytes(content[:8], "little")
        found = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_NOTE])
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def checked_notes(content: bytes, where: str) -> tuple[str, tuple[str, ...]]:
    """Return task and labels of a head's file; raises FedbertError, beginning with `where`, without them."""
    notes = notes_of(content) or {}
    labels, task = notes.get("labels"), notes.get("task")
    if (
        not isinstance(task, str)
        or not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or not 1 < len(set(labels)) == len(labels)
    ):
        raise FedbertError(f"head {where}: its note must name the task and 2 or more labels; fetch it again")
    return task, tuple(labels)


def head_tensors(
    content: bytes, wanted: Mapping[str, tuple[type[np.generic], tuple[str, ...]]], where: str
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a head's file.

    `wanted` gives each one's type and the names of its axes: axes of one name must be of one length. Raises
    FedbertError, beginning with `where`, for what is missing, of another type or length, or not finite.
    """
    try:
        found = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FedbertError(f"head {where}: not a safetensors file ({error}); fetch it again") from error
    lengths: dict[str, int] = {}
    for name, (kind, axes) in wanted.items():
        tensor = found.get(name)
        if tensor is None or tensor.dtype != np.dtype(kind) or tensor.ndim != len(axes):
            shape = "nothing" if tensor is None else f"{tensor.dtype}{list(tensor.shape)}"
            rule = f"be {np.dtype(kind)} [{', '.join(axes)}]"
            raise FedbertError(f"head {where}: tensor {name} must {rule}, found {shape}; fetch it again")
        for axis, length in zip(axes, tensor.shape, strict=True):
            if lengths.setdefault(axis, length) != length or not length:
                raise FedbertError(
                    f"head {where}: axis {axis} of tensor {name} must be {lengths[axis] or 'at least 1'}, "
                    f"found {length}; fetch it again"
                )
        if tensor.dtype != np.int8 and not np.isfinite(tensor).all():
            raise FedbertError(f"head {where}: tensor {name} must be finite; fetch it again")
    return {name: found[name] for name in wanted}
