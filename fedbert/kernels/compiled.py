"""The one way to compile an inner loop."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return `function` compiled at its first call; it gives up the interpreter's lock while it works.

    What was compiled is kept beside the source or, where that cannot be written, in the user's cache folder.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to keep it in: each process compiles for itself
        return cast(Function, numba.njit(nogil=True)(function))


def inlined(function: Function) -> Function:
    """Return `function` as a part of the compiled loops that call it."""
    return cast(Function, numba.njit(inline="always")(function))
