"""Heads of other kinds than labels of texts, student beside teacher, as a table on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedbert.ei_bert.compression.rows import KindRow


def show_kinds(rows: "Sequence[KindRow]") -> None:
    """Print each head's figure beside the teacher's with the same head, and its bytes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title="heads on the frozen student and on the frozen teacher, test texts, 95 % interval of the share",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("set", overflow="fold")
    table.add_column("kind")
    table.add_column("metric")
    for name in ("test", "student", "teacher", "share", "interval", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            row["kind"],
            row["metric"],
            f"{row['test']:,}",
            f"{100 * row['student']:.2f}",
            f"{100 * row['teacher']:.2f}",
            f"{100 * row['share']:.2f} %",
            f"{100 * row['low']:.1f}-{100 * row['high']:.1f}",
            f"{row['bytes']:,}",
        )
    Console().print(table)
