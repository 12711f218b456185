"""What the commands write, flattened to paths and values, and the paths that a TypedDict declares."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

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


@dataclass(frozen=True)
class Declared:
    """A leaf that a type declares: its path, its type, and whether it may be null or left out."""

    path: Path
    kind: Any
    optional: bool


def declared(kind: Any, path: Path = (), optional: bool = False) -> Iterator[Declared]:
    """Yield the leaves that a type declares; nothing of what it leaves open."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (typing.NotRequired, typing_extensions.NotRequired):
        yield from declared(inner[0], path, True)
    elif origin in (Union, types.UnionType):
        for each in inner:
            if each is not type(None):
                yield from declared(each, path, optional or type(None) in inner)
    elif is_typeddict(kind):
        for name, each in typing.get_type_hints(kind, include_extras=True).items():
            yield from declared(each, (*path, name), optional)
    elif origin is list and is_typeddict(inner[0]):
        yield from declared(inner[0], (*path[:-1], f"{path[-1]}[]"))  # an entry that is there is whole
    elif origin is dict and inner[1] is not Any:
        yield from declared(inner[1], (*path, ANY_NAME), optional)
    elif kind is not Any and (origin is not dict and (origin is not list or inner[0] in (int, float, str))):
        yield Declared(path, type(inner[0]) if origin is Literal else (origin or kind), optional)
