"""The tables that commands print: narrow, folded instead of cut, a title with the kind of its figures."""

from typing import TYPE_CHECKING, Any

from fedbert.reporting.parts.page import Badge

if TYPE_CHECKING:
    from rich.table import Table

STYLES: dict[Badge, str] = {"measured": "green", "modelled": "yellow", "proved": "magenta"}


def new_table(*columns: str, left: int = 1) -> "Table":
    """Return an empty table; the first `left` columns stand at the left, the others at the right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return made


def block(title: str, label: Badge, *parts: Any) -> Any:
    """Return a title with the kind of its figures, and what stands below it."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text.assemble((title, "bold"), "  ", (label, STYLES[label])), *parts)


def dim(note: str) -> Any:
    """Return a line of small print."""
    from rich.text import Text

    return Text(note, "dim")
