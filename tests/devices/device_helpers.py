"""What several tests of devices share: TOML tables with one value changed, and scripts as modules."""

import copy
import importlib.util
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
