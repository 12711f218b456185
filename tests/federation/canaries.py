"""Plant a secret, and look for it in everything that an object can reach."""

import gc
import re
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CLOSED = (types.ModuleType, type, types.CodeType, types.BuiltinFunctionType, weakref.ref)


@dataclass(frozen=True)
class Canary:
    """A secret: a number, some bytes, or a set of numbers all of which one array would hold."""

    name: str
    number: int | None = None
    blob: bytes = b""
    together: frozenset[float] = frozenset()

    def is_in(self, value: Any) -> bool:
        """Return whether `value` itself, not what it refers to, gives the secret away."""
        if isinstance(value, np.ndarray):
            return self._in_array(value)
        if isinstance(value, bytes | bytearray):
            return bool(self.blob) and self.blob in bytes(value)
        if isinstance(value, str):
            return self.number is not None and str(self.number) in re.findall(r"\d+", value.replace(",", ""))
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            return False
        return self.number is not None and value == self.number

    def _in_array(self, array: NDArray[Any]) -> bool:
        if array.dtype.kind not in "iuf":
            return False
        if self.blob and self.blob in array.tobytes():
            return True
        if self.number is not None and bool((array == self.number).any()):
            return True
        if not self.together or array.size < len(self.together):
            return False
        wanted = np.array(sorted(self.together))
        if array.dtype == np.float32:
            wanted = wanted.astype(np.float32)
        return bool(np.isin(wanted, array).all())


def number(name: str, value: int) -> Canary:
    """Return the canary of a large number, also as eight bytes would hold it."""
    return Canary(name, value, value.to_bytes(8, "little"))


def count(name: str, value: int) -> Canary:
    """Return the canary of a count: a number that is too small to be looked for in bytes."""
    return Canary(name, value)


def secret(name: str, blob: bytes) -> Canary:
    """Return the canary of a key."""
    return Canary(name, blob=blob)


def vector(name: str, values: NDArray[np.float64]) -> Canary:
    """Return the canary of an array: its eight largest values together, wherever they stand."""
    distinct = np.unique(values)
    return Canary(name, together=frozenset(distinct[np.argsort(-np.abs(distinct))[:8]].tolist()))


def reachable(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) of all that `root` reaches.

    Through fields, attributes, slots, containers, closures, bound objects, generators and arrays' bases; not
    through modules, classes or the globals of functions.
    """
    seen: set[int] = set()
    kept: list[Any] = []  # what is made on the way must live, or its id would be used again
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen or isinstance(value, _CLOSED):
            continue
        seen.add(id(value))
        kept.append(value)
        yield path, value
        waiting += [(f"{path}{step}", part) for step, part in _parts(value)]


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str | bytes | int | float | None):
        return
    if isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            try:
                yield f"(closure of {value.__name__})", cell.cell_contents
            except ValueError:
                continue  # an empty cell
        yield f"(defaults of {value.__name__})", (value.__defaults__, value.__kwdefaults__, vars(value))
    elif isinstance(value, np.ndarray):
        if value.base is not None:
            yield ".base", value.base
        if value.dtype.hasobject:
            yield "[...]", value.tolist()
    elif isinstance(value, memoryview):
        yield ".obj", value.obj
    elif isinstance(value, dict):
        for key, part in value.items():
            yield "{key}", key
            yield f"[{key!r:.40}]", part
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    else:
        if is_dataclass(value):
            for field in fields(value):
                yield f".{field.name}", getattr(value, field.name, None)
        for name, part in getattr(value, "__dict__", {}).items():
            yield f".{name}", part
        for part in gc.get_referents(value):
            yield f"<{type(value).__name__}>", part


def found(root: Any, canaries: list[Canary], but: Callable[[Any], bool] = lambda value: False) -> list[str]:
    """Return where `root` reaches which canary; objects for which `but` holds are passed over."""
    return [
        f"{canary.name} at {path or '/'}"
        for path, value in reachable(root)
        if not but(value)
        for canary in canaries
        if canary.is_in(value)
    ]
