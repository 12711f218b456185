"""The tables that end ``fedbert compare``."""

from typing import TYPE_CHECKING

from fedbert.planning.comparing.comparison import Comparison, Pair, Row
from fedbert.reporting.compare.text import headline, name, parts, settings_that_count, value, warnings
from fedbert.reporting.parts import text
from fedbert.reporting.parts.terminal import block, dim, new_table

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_SETTINGS = 20
QUIET = ("equal", "missing")
"""Verdicts of rows that only the page shows."""


def terminal_tables(found: Comparison) -> list["RenderableType"]:
    """Return what the command prints: the answer, what differs, and the figures that do, pair by pair."""
    from rich.text import Text

    blocks: list[RenderableType] = [Text(headline(found)), *(Text(said) for said in warnings(found))]
    blocks.append(_variants(found))
    if settings_that_count(found):
        blocks.append(_settings(found))
    blocks += [each for pair in found.pairs for each in _pair(found, pair)]
    return [part for each in blocks for part in ("", each)] + [""]


def _variants(found: Comparison) -> "RenderableType":
    table = new_table("", "folder", "runs", "seeds", left=2)
    for variant in found.variants:
        table.add_row(
            variant.letter,
            _folded(variant.folders),
            str(variant.runs),
            _folded([str(seed) for seed in variant.seeds]),
        )
    return table


def _folded(words: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def _settings(found: Comparison) -> "RenderableType":
    table = new_table("what differs", *(variant.letter for variant in found.variants))
    named = settings_that_count(found)
    for each in named[:MOST_SETTINGS]:
        table.add_row(
            f"{each.group} {each.key}",
            *(text.NONE if one is None else _short(one) for one in each.values),
        )
    if len(named) > MOST_SETTINGS:
        table.add_row(f"and {len(named) - MOST_SETTINGS} more, in the report", *[""] * len(found.variants))
    return table


def _short(words: str, most: int = 40) -> str:
    return words if len(words) <= most else f"{words[: most - 15]}...{words[-12:]}"


def _pair(found: Comparison, pair: Pair) -> list["RenderableType"]:
    """Return a table for each chapter that has a difference, and what is left to the report."""
    reference = found.variants[0].letter
    shown = [row for row in pair.rows if row.figure.hour is None and row.difference.verdict not in QUIET]
    blocks: list[RenderableType] = []
    for group in dict.fromkeys(row.figure.group for row in shown):
        rows = [row for row in shown if row.figure.group == group]
        columns = ("figure", reference, pair.letter, "difference\n(95% interval)", "verdict")
        table = new_table(*columns)
        for row in rows:
            table.add_row(*_cells(row))
        labels = {row.figure.label for row in rows}
        # Where a chapter has both, its title claims the less.
        label = "modelled" if "modelled" in labels else rows[0].figure.label
        blocks.append(block(f"{pair.letter} against {reference}: {group}", label, table))
    left_out = len(pair.rows) - len(shown)
    if left_out:
        blocks.append(dim(f"{left_out} figures are equal, not known in both, or by the hour: see the report"))
    return blocks


def _cells(row: Row) -> tuple[str, ...]:
    unit = row.figure.unit
    return (
        name(row),
        value(row.reference, unit),
        value(row.other, unit),
        "\n".join(part for part in parts(row.difference, unit) if part),
        row.difference.verdict,
    )
