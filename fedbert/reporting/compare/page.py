"""The report of a comparison: one HTML page."""

from collections.abc import Sequence
from typing import Any

from fedbert.planning.comparing.comparison import HOW, Comparison, Pair, Row, Setting
from fedbert.planning.comparing.verdicts import MEANINGS
from fedbert.reporting.compare.text import (
    NOUNS,
    QUALITY_UNIT,
    counts,
    headline,
    name,
    parts,
    relative,
    settings_that_count,
    value,
    warnings,
)
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Badge,
    Card,
    Section,
    alert_html,
    figure_html,
    folded_html,
    render_page,
    table_html,
    text_html,
)

MOST_DRAWN = 24
"""Rows of a figure: the first so many, the main ones before all others."""

COLOURS = {"effect": theme.ACCENT, "unsure": theme.AMBER, "one seed": theme.PLUM}
"""Of a verdict in a figure; the others are grey."""


def render(found: Comparison, command: str) -> str:
    """Return report.html of a comparison."""
    letters = [variant.letter for variant in found.variants]
    sections = [
        Section("What is compared", None, _variants(found), note=f"Command: {command}"),
        _settings(found),
        *(section for pair in found.pairs for section in _pair(found, pair)),
        Section(
            "What the verdicts say",
            None,
            table_html(
                [[verdict, meaning] for verdict, meaning in MEANINGS.items()],
                ["verdict", "what it says"],
                align="ll",
            ),
            note=_method(),
        ),
    ]
    return render_page(
        f"{' and '.join(letters[1:])} against {letters[0]}"
        if len(letters) < 4
        else f"{len(letters) - 1} against {letters[0]}",
        headline(found),
        _cards(found),
        sections,
        subtitle=f"Comparison of {NOUNS[found.kind]}",
        alerts=[alert_html("Read with care", said) for said in warnings(found)],
    )


def _method() -> str:
    return (
        "Runs of one seed share users, tastes and sessions: differences are paired by seed, with Student's t "
        "interval; seeds that are not shared give Welch's. Of one run against one, and of forecasts, the "
        "intervals of both are joined as if independent, which is too wide where they share sessions. The "
        "figures that a comparison is read for are corrected among themselves (Holm), all others among "
        "themselves. Intervals stand uncorrected."
    )


def _cards(found: Comparison) -> list[Card]:
    cards = [
        Card("Variants", str(len(found.variants)), f"{sum(each.runs for each in found.variants)} in all"),
        Card("Settings that differ", str(len(settings_that_count(found))), f"{found.same} are the same"),
    ]
    for pair in found.pairs[:4]:
        main = next((row for row in pair.rows if row.figure.main and row.difference.value is not None), None)
        if main is not None:
            shown, interval = parts(main.difference, main.figure.unit)
            note = f"{name(main)}: {main.difference.verdict}"
            if interval:
                note += f", {interval}"
            cards.append(
                Card(f"{pair.letter} against {found.variants[0].letter}", shown, note, main.figure.label)
            )
    return cards


def _variants(found: Comparison) -> str:
    return table_html(
        [
            [
                variant.letter,
                ", ".join(variant.folders),
                ", ".join(variant.names),
                variant.runs,
                ", ".join(map(str, variant.seeds)),
            ]
            for variant in found.variants
        ],
        ["variant", "folder", "name", "runs", "seeds"],
        align="lllrl",
    )


def _settings(found: Comparison) -> Section:
    how = [each for each in found.settings if each.group in HOW]
    named = settings_that_count(found)
    html = _settings_table(found, named) if named else text_html("No setting, version or model differs.")
    if how:
        html += folded_html("Where and how it was computed", _settings_table(found, how))
    return Section(
        "What differs in settings and versions",
        None,
        html,
        note=f"{found.same} more settings, versions and facts of model and world are the same. A dash: not "
        "in that variant.",
    )


def _settings_table(found: Comparison, settings: Sequence[Setting]) -> str:
    letters = [variant.letter for variant in found.variants]
    return table_html(
        [[each.group, each.key, *each.values] for each in settings],
        ["of", "key", *letters],
        align="ll" + "l" * len(letters),
    )


def _pair(found: Comparison, pair: Pair) -> list[Section]:
    reference = found.variants[0].letter
    title = f"{pair.letter} against {reference}"
    sections = []
    groups = dict.fromkeys(row.figure.group for row in pair.rows)
    for group in groups:
        rows = [row for row in pair.rows if row.figure.group == group]
        labels = {row.figure.label for row in rows}
        badge: Badge | None = labels.pop() if len(labels) == 1 else None
        table = _results(rows, reference, pair.letter, with_label=badge is None)
        listed = ", ".join(f"{count} {verdict}" for verdict, count in counts(rows).items())
        if rows[0].figure.hour is not None or len(rows) > 2 * MOST_DRAWN:
            table = folded_html(f"{len(rows)} figures: {listed}", table)
        sections.append(
            Section(f"{title}: {group}", badge, _drawn(rows) + table, lead=f"{listed}." if listed else "")
        )
    if sections and pair.arms_of_one:
        sections[-1] = Section(
            sections[-1].title,
            sections[-1].badge,
            sections[-1].html,
            note=f"Only in one of them, and not compared: {'; '.join(pair.arms_of_one)}.",
            lead=sections[-1].lead,
        )
    return sections


def _results(rows: Sequence[Row], reference: str, letter: str, with_label: bool) -> str:
    with_seeds = any(row.difference.seeds > 1 for row in rows)
    columns = ["figure", reference, letter, "difference", "95% interval", "relative", "verdict"]
    more = [*(["seeds"] if with_seeds else []), *(["kind"] if with_label else [])]
    cells = [
        [
            name(row),
            value(row.reference, row.figure.unit),
            value(row.other, row.figure.unit),
            *(part or text.NONE for part in parts(row.difference, row.figure.unit)),
            relative(row),
            _verdict(row),
            *([row.difference.seeds or text.NONE] if with_seeds else []),
            *([row.figure.label] if with_label else []),
        ]
        for row in rows
    ]
    return table_html(cells, [*columns, *more], align="lrrrrrl" + "r" * with_seeds + "l" * with_label)


def _verdict(row: Row) -> str:
    found = row.difference
    return f"{found.verdict}: {found.why}" if found.why else found.verdict


def _drawn(rows: Sequence[Row]) -> str:
    """Return the differences of a chapter of quality with their intervals; others have no common unit."""
    shown = [
        row
        for row in sorted(rows, key=lambda row: not row.figure.main)
        if row.figure.unit == QUALITY_UNIT and row.difference.low is not None
    ][:MOST_DRAWN]
    if len(shown) < 2:
        return ""
    return figure_html(
        _figure(shown[::-1]),
        "Differences in nDCG@10 and AUC with their 95% intervals.",
        height=120 + 30 * len(shown),
    )


def _figure(rows: Sequence[Row]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for verdict in dict.fromkeys(row.difference.verdict for row in rows):
        part = [row for row in rows if row.difference.verdict == verdict]
        values = [row.difference.value or 0.0 for row in part]
        figure.add_scatter(
            x=values,
            y=[_label(row) for row in part],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(row.difference.high or 0.0) - at for row, at in zip(part, values, strict=True)],
                "arrayminus": [
                    at - (row.difference.low or 0.0) for row, at in zip(part, values, strict=True)
                ],
                "thickness": 1.4,
                "width": 4,
            },
            mode="markers",
            name=verdict,
            marker={"color": COLOURS.get(verdict, theme.GREY), "size": 8},
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
        )
    figure.update_xaxes(title="difference", zeroline=True)
    labels = [_label(row) for row in rows]
    figure.update_yaxes(categoryorder="array", categoryarray=labels, automargin=True)
    return figure


def _label(row: Row, most: int = 44) -> str:
    words = row.arm or row.figure.name
    if row.arm and not row.figure.main:
        words = f"{row.figure.name}, {row.arm}"
    return words if len(words) <= most else f"{words[: most - 13]}...{words[-10:]}"
