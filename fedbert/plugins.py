"""Parts chosen by name: one of fedbert's own, or something from a user's own file as ``PATH.py:NAME``.

A user's file becomes the module ``fedbert.plugins.<its path>``. The path stands in the name, so that any
process that imports the name, as unpickling does, finds the file again without being told of it.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fedbert.errors import FedbertError, invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__path__: list[str] = []  # lets Python look for modules below this one; `_UserFiles` finds them

_PREFIX = f"{__name__}."


class _UserFiles:
    """The finder of ``fedbert.plugins.<path>``, in the shape that `sys.meta_path` asks for."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX):
            return None
        return spec_from_file_location(name, os.fsdecode(unquote_to_bytes(name.removeprefix(_PREFIX))))


if _UserFiles not in sys.meta_path:
    sys.meta_path.append(_UserFiles)


def load_named(spec: str, registered: Mapping[str, str], kind: str, flag: str) -> Any:
    """Return what `spec` names: an entry of `registered`, or NAME of the file in ``PATH.py:NAME``.

    `registered` maps a name to ``module:attribute``, imported when asked for. `kind` says what is looked for
    ("tracker"), `flag` is the setting that `spec` was given to; both are for messages. A relative path starts
    at the working directory. The same file gives the same objects however often it is loaded. Raises
    FedbertError with one line if the name is unknown, or if the file is missing, fails while it is imported
    or lacks the name.
    """
    if spec in registered:
        module, _, attribute = registered[spec].partition(":")
        return getattr(importlib.import_module(module), attribute)
    place, colon, name = spec.rpartition(":")
    if not colon:
        raise unknown(spec, registered, kind, flag)
    if not place.endswith(".py") or not name.isidentifier():
        raise invalid(flag, spec, f"have the form PATH.py:NAME to name a {kind} of your own")
    if not Path(place).is_file():
        raise invalid(flag, spec, f"name a file that exists: there is no {place}", "check the path")
    module_of_user = _imported(Path(place).resolve(), flag, spec)
    if not hasattr(module_of_user, name):
        own = [
            each
            for each, value in vars(module_of_user).items()
            if getattr(value, "__module__", None) == module_of_user.__name__ and not each.startswith("_")
        ]
        has = f"it has {', '.join(own)}" if own else f"it defines no {kind}"
        raise invalid(flag, spec, f"name something in {place}", has)
    return getattr(module_of_user, name)


def unknown(spec: str, registered: Mapping[str, str], kind: str, flag: str) -> FedbertError:
    """Return the error for a name that is not registered."""
    known = ", ".join(sorted(registered))
    return invalid(flag, spec, f"be one of {known}", f"or name a {kind} of your own as PATH.py:NAME")


def _imported(path: Path, flag: str, spec: str) -> ModuleType:
    name = _PREFIX + quote_from_bytes(os.fsencode(path)).replace(".", "%2E")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a stranger's file may do
        raise _failed(error, path, flag, spec) from None


def _failed(error: BaseException, path: Path, flag: str, spec: str) -> FedbertError:
    said = one_line(error)
    if isinstance(error, SyntaxError) and error.filename == str(path):
        said = f"{type(error).__name__}: {error.msg}"
        said += f" on line {error.lineno} of {path.name}" if error.lineno else ""
    return invalid(flag, spec, f"name a file that can be imported: {said}", "mend the file")


def one_line(error: BaseException) -> str:
    """Return what `error` says as one line, with the line of a user's file that it passed last, if it did.

    Its type is named unless it is fedbert's own.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, FedbertError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    passed = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(_PREFIX)
    ]
    return f"{text} on line {passed[-1][1]} of {Path(passed[-1][0]).name}" if passed else text


@dataclass(frozen=True)
class Named:
    """What a user named: `spec` of the setting `flag`; `page` shows how one is written.

    It says in one line what is wrong with the part that was named.
    """

    flag: str
    spec: str
    page: str

    def refused(self, rule: str) -> FedbertError:
        """Return the error for a part that breaks `rule`."""
        return invalid(self.flag, self.spec, rule, self.page)

    def array(
        self, what: str, value: Any, dtype: "type[np.generic]", shape: tuple[int, ...]
    ) -> "NDArray[Any]":
        """Return `value` if it is an array of that type and shape; raises FedbertError."""
        import numpy as np

        wanted = f"{np.dtype(dtype)}{list(shape)}"
        if not isinstance(value, np.ndarray):
            raise self.refused(f"give {wanted} as {what}, not {type(value).__name__}")
        if value.dtype != dtype or value.shape != shape:
            raise self.refused(f"give {wanted} as {what}, not {value.dtype}{list(value.shape)}")
        return value

    def guard(self, work: Callable[[], Any]) -> Any:
        """Return what `work` returns; what it raises becomes one line with the line of the user's file."""
        try:
            return work()
        except FedbertError:
            raise
        except Exception as error:  # whatever a stranger's file may do
            raise self.refused(f"not fail: {one_line(error)}") from None

    def made(self, factory: Any, needed: Sequence[str], *given: Any) -> Any:
        """Return what `factory` makes of `given`, guarded.

        Raises FedbertError if that fails, or if the part lacks one of the names in `needed`.
        """
        if not callable(factory):
            raise self.refused(f"name something that can be called, not {type(factory).__name__}")
        part = self.guard(lambda: factory(*given))
        # `hasattr` would run properties, and what they raise would look like a name that is missing.
        missing = [name for name in needed if name not in dir(part)]
        if missing:
            raise self.refused(f"have {missing[0]}")
        return Guarded(part, self)


class Guarded:
    """A part of a user's file: whatever it raises becomes one line with the setting and the file's line."""

    def __init__(self, part: Any, named: Named) -> None:
        """Take `part`, which was `named`."""
        self._part, self._named = part, named

    def __dir__(self) -> list[str]:
        return dir(self._part)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._named.guard(lambda: getattr(self._part, name))
        if not callable(value):
            return value
        return lambda *given, **named: self._named.guard(lambda: value(*given, **named))
