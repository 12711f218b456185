"""Heads of other kinds than labels of texts, student beside teacher, as a table on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedbert.ei_bert.compression.rows import KindRow


def show_kinds(rows: "Sequence[KindRow]", student: str = "the frozen student") -> None:
    """Print each head's figure beside the teacher's with the same head, and its bytes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"heads on {student} and on the frozen teacher; % of test texts, 95 % interval",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("set", overflow="fold")
    for name in ("kind", "metric"):
        table.add_column(name, no_wrap=True)
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
            f"{100 * row['share']:.1f} %",
            f"{100 * row['low']:.1f}-{100 * row['high']:.1f}",
            f"{row['bytes']:,}",
        )
    Console().print(table)
