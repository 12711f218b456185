"""What the commands write, flattened to paths and values, and the paths that a TypedDict declares."""

import types
import typing
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import typing_extensions
from typing_extensions import is_typeddict

Path = tuple[str, ...]
ANY_NAME = "any name"
"""Stands for a key of a dict whose keys are not declared."""


def flat(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf of a JSON value with its path; a list of objects has ``[]`` behind its name."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from flat(inner, (*path[:-1], f"{path[-1]}[]"))
    elif value not in ({}, []):  # nothing is in it that could be described
        yield path, value


def declared(kind: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the leaves that a type declares; nothing of what it leaves open."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (typing.NotRequired, typing_extensions.NotRequired, typing.Required, typing.Annotated):
        yield from declared(inner[0], path)
    elif origin in (Union, types.UnionType):
        for each in inner:
            if each is not type(None):
                yield from declared(each, path)
    elif is_typeddict(kind):
        for name, each in typing.get_type_hints(kind, include_extras=True).items():
            yield from declared(each, (*path, name))
    elif origin is list and is_typeddict(inner[0]):
        yield from declared(inner[0], (*path[:-1], f"{path[-1]}[]"))
    elif origin is dict and inner[1] is not Any:
        yield from declared(inner[1], (*path, ANY_NAME))
    elif kind is Any:
        return
    elif origin not in (dict, list) or (origin is list and inner[0] in (int, float, str)):
        yield path
