"""Options of a command, made from the fields of its settings: one notation for choices, ranges and defaults.

``--deadline-ms MS   time to answer a session  [default: 300; 0<x<=60000]``

The values are checked by the settings, not here, so that a scenario file, a flag and Python are refused in
the same words.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from fedbert.settings import Settings, is_switch

UNITS = {
    "_mbit_per_s": "MBIT_PER_S",
    "_ms": "MS",
    "_s": "SECONDS",
    "_bytes": "BYTES",
    "_hours": "HOURS",
    "_hour": "HOUR",
    "_share": "SHARE",
    "_probability": "SHARE",
}
"""What a value is called in help by the end of its setting's name."""

_BOUNDS = {"gt": "<", "ge": "<="}, {"lt": "<", "le": "<="}


class Grouped(click.Option):
    """An option that stands under a heading in its command's help."""

    group: str | None = None


def options_from(
    model: type[Settings],
    groups: Mapping[str, Collection[str]] | None = None,
    leave_out: Collection[str] = (),
    defaults: Mapping[str, object] | None = None,
    flags: Mapping[str, str] | None = None,
) -> list[click.Parameter]:
    """Return an option for each field of `model`, in the order of `groups` where these are given.

    Args:
        model: the settings; a field's description, default and constraints make the help.
        groups: names of fields by heading; a field in none stands under "Options".
        leave_out: names of fields that get no option.
        defaults: what the command takes for a field instead of the model's default, for the help.
        flags: the flag of a field where it is not the name with hyphens.
    """
    heading = {name: group for group, names in (groups or {}).items() for name in names}
    order = {name: place for place, name in enumerate(heading)}
    names = [name for name in model.model_fields if name not in leave_out]
    names.sort(key=lambda name: order.get(name, len(order)))
    return [
        option(model, name, heading.get(name), (defaults or {}).get(name), (flags or {}).get(name))
        for name in names
    ]


def option(
    model: type[Settings],
    name: str,
    group: str | None = None,
    default: object = None,
    flag: str | None = None,
) -> click.Option:
    """Return the option of one field; `default` and `flag` replace what the field would give."""
    field = model.model_fields[name]
    flag = flag or "--" + name.replace("_", "-")
    text = f"{field.description or ''}{_facts(field, default)}"
    if is_switch(model, name):
        both = f"{flag}/--no-{flag[2:]}" if field.default is True else flag
        made = Grouped([both, name], is_flag=True, default=None, help=text)
    elif many(field):
        made = Grouped([flag, name], multiple=True, metavar=metavar(name, field), help=text)
    else:
        made = Grouped([flag, name], metavar=metavar(name, field), help=text)
    made.group = group
    return made


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given: those that are neither None nor an empty list."""
    return {name: value for name, value in flags.items() if value is not None and value != ()}


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """Return the types that a field may have, without None."""
    annotation = field.annotation
    inner = get_args(annotation) if get_origin(annotation) is not Literal else ()
    if NoneType in inner:
        return tuple(kind for kind in inner if kind is not NoneType)
    return (annotation,)


def many(field: FieldInfo) -> bool:
    """Return whether a field takes several values, each after a flag of its own."""
    return any(get_origin(kind) is tuple for kind in _kinds(field))


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the words that a field may have; none if it takes anything of its type."""
    return tuple(
        str(word) for kind in _kinds(field) if get_origin(kind) is Literal for word in get_args(kind)
    )


def metavar(name: str, field: FieldInfo) -> str:
    """Return what stands for the value in help: its choices, its unit, or the kind of thing that it is."""
    if isinstance(field.json_schema_extra, dict) and "metavar" in field.json_schema_extra:
        return str(field.json_schema_extra["metavar"])
    if words := choices(field):
        return f"[{'|'.join(words)}]"
    for end, unit in UNITS.items():
        if name.endswith(end):
            return unit
    kinds = _kinds(field)
    kinds = get_args(kinds[0])[:1] if many(field) else kinds
    names: dict[Any, str] = {int: "N", float: "X", Path: "PATH"}
    return next((names[kind] for kind in kinds if kind in names), "NAME")


def _facts(field: FieldInfo, default: object) -> str:
    """Return default and range in brackets, as click writes those of its own types."""
    shown = default if default is not None else field.default
    facts = []
    if isinstance(shown, bool):
        facts += ["default: on"] if shown else []
    elif shown not in (None, ()) and not field.is_required():
        facts.append(f"default: {_number(shown)}")
    if (span := _range(field.metadata)) is not None:
        facts.append(span)
    if field.is_required():
        facts.append("required")
    return f"  [{'; '.join(facts)}]" if facts else ""


def _range(metadata: Iterable[Any]) -> str | None:
    """Return the range that constraints leave, as in ``0<x<=60000``; None if they leave all."""
    low = high = ""
    for constraint in metadata:
        for name, sign in _BOUNDS[0].items():
            if (value := getattr(constraint, name, None)) is not None:
                low = f"{_number(value)}{sign}"
        for name, sign in _BOUNDS[1].items():
            if (value := getattr(constraint, name, None)) is not None:
                high = f"{sign}{_number(value)}"
    if low and not high:
        return f"x{'>=' if '=' in low else '>'}{low.rstrip('<=')}"
    return f"{low}x{high}" if low or high else None


def _number(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
