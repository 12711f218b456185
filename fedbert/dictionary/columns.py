"""One column of the data dictionary, and how a table of them is written down."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

Kind = Literal["int", "float", "text", "bool", "list", "value"]
"""Type of a value; ``value`` is any that a setting takes."""

Label = Literal["measured", "modelled", "proved", "setting", "record"]
"""Where a value comes from: really computed here, predicted from profiles, proved under assumptions, asked
for by the user, or written down so that the others can be traced."""


@dataclass(frozen=True)
class Column:
    """A key or column: path, type, unit (none: ""), label, meaning; an `optional` value may be missing."""

    name: str
    kind: Kind
    unit: str
    label: Label
    text: str
    optional: bool = False


def parse(table: str) -> tuple[Column, ...]:
    """Return the columns of a table with a line each: ``name | type | unit | label | meaning``.

    A ``?`` behind the type says that the value may be null or left out. Raises ValueError for a wrong line.
    """
    return tuple(_column(line) for line in table.strip().splitlines() if line.strip())


def _column(line: str) -> Column:
    words = [word.strip() for word in line.split("|")]
    if len(words) != 5 or not all((words[0], words[4])):
        raise ValueError(f"not name | type | unit | label | meaning: {line!r}")
    name, kind, unit, label, text = words
    plain = kind.removesuffix("?")
    if plain not in get_args(Kind) or label not in get_args(Label):
        raise ValueError(f"no such type or label: {line!r}")
    return Column(name, cast(Kind, plain), unit, cast(Label, label), text, kind.endswith("?"))
