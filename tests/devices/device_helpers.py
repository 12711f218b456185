"""What several tests of devices share: TOML tables with one value changed, scripts as modules, lines run."""

import copy
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


def changed(table: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return `table` with the value at `path` replaced, or left out if `value` is None."""
    table = copy.deepcopy(table)
    inner: Any = table
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return table


@cache
def script(name: str) -> ModuleType:
    """Return scripts/`name`.py as a module."""
    file = Path(__file__).resolve().parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python `work` runs, once more each time that a loop comes back to one.

    Work on columns runs as many for ten thousand devices as for a thousand: nothing is done a device.
    """
    count = 0

    def note(frame: object, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
