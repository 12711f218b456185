"""Chapter of a run's report: every ranking system on the same sessions."""

from typing import Any

from fedbert.comparison import POOLED, STUDENTS, ranked_by, system_id
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    figure_html,
    folded_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import sentences
from fedbert.reporting.run.quality import METRIC_COLUMNS
from fedbert.results import RunResult

COLOURS = {
    **{ranked_by(name, only): theme.ACCENT for name in STUDENTS for only in (False, True)},
    **{ranked_by(POOLED, only): theme.PLUM for only in (False, True)},
    **dict.fromkeys(("student", "teacher"), theme.TEAL),
}
"""Colours of systems by id: what runs on phones, what bounds it, what no phone runs; the rest is grey."""


def comparison_figure(result: RunResult) -> Any:
    """nDCG@10 of every system with its interval, best at the top."""
    import plotly.graph_objects as go

    named = sorted(
        zip(sentences.system_labels(result), result["comparison"], strict=True),
        key=lambda pair: pair[1]["quality"]["ndcg@10"],
    )
    rows = [row for _, row in named]
    values = [row["quality"]["ndcg@10"] for row in rows]
    figure = go.Figure()
    figure.add_scatter(
        x=values,
        y=[name.replace(" (", "<br>(") for name, _ in named],  # two lines: half a phone wide else
        mode="markers+text",
        marker={"size": 11, "color": [COLOURS.get(system_id(row), theme.GREY) for row in rows]},
        text=[f"  {value:.3f}" for value in values],
        textposition="middle right",
        cliponaxis=False,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(row["high"] or value) - value for row, value in zip(rows, values, strict=True)],
            "arrayminus": [value - (row["low"] or value) for row, value in zip(rows, values, strict=True)],
            "color": theme.INTERVAL,
            "thickness": 2,
            "width": 0,
        },
        customdata=[[row["inputs"], text.between(row["low"], row["high"])] for row in rows],
        hovertemplate="%{y}: %{x:.3f} (%{customdata[1]})<br>sees %{customdata[0]}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "nDCG@10 with 95% interval"}, "showgrid": True, "tickformat": ".2f"},
        yaxis={"gridcolor": theme.FAINT, "ticksuffix": "  ", "tickfont": {"size": 13, "color": theme.INK}},
        margin={"t": 8, "r": 54},
    )
    return figure


def comparison(result: RunResult) -> Section | None:
    """Every ranking system on the same sessions."""
    rows = sorted(result["comparison"], key=lambda row: -row["quality"]["ndcg@10"])
    if not rows:
        return None
    cells: list[list[Cell]] = [
        [
            row["system"],
            row["inputs"],
            row["quality"]["ndcg@10"],
            text.between(row["low"], row["high"]),
            *(row["quality"][key] for _, key in METRIC_COLUMNS[1:]),  # type: ignore[literal-required]
        ]
        for row in rows
    ]
    columns = [
        "system",
        "what it sees",
        "nDCG@10",
        "95% interval",
        *(name for name, _ in METRIC_COLUMNS[1:]),
    ]
    return Section(
        "Is it understanding or habit?",
        None,
        panels_html(
            Panel(
                "Every system on the same sessions",
                "measured",
                figure_html(
                    comparison_figure(result),
                    "nDCG@10 of each ranking system with its interval.",
                    64 + 44 * len(rows),
                )
                + folded_html(
                    "All metrics as a table, and what each system sees",
                    table_html(cells, columns, align="llrrrrrr"),
                ),
                "Blue systems run on phones. Purple is the bound with pooled data. Green systems are "
                "larger models that no phone runs. Grey systems match words or do not read the text "
                f"at all. {sentences.carried_sentence(result)} {sentences.interval_label(result)}.",
                wide=True,
            ),
        ),
        lead="A recommender can look clever by repeating habits. Here every system ranks the same "
        "evaluation sessions, and all of them are scored. The text model stands beside word matching, a "
        "model of the user alone and, where it is known, popularity.",
    )
