"""Chapters of a trade-off's report: quality against epsilon, as figures and as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedbert.reporting.parts import theme
from fedbert.reporting.parts.page import Panel, Section, figure_html, folded_html, panels_html, table_html

if TYPE_CHECKING:
    import pandas as pd


METRIC_NOTE = (
    "nDCG@10 and AUC with 20 candidates, mean over evaluation sessions. The int8 student that phones "
    "run scores every session."
)


INTERVAL_NOTE = "Intervals: 95%, Student's t over seeds."


def missing(value: float | None) -> bool:
    """Return whether a figure is None or NaN, as an epsilon is without privacy."""
    return value is None or value != value


def figure_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a quality figure with three decimals and its half interval, as in ``0.912 ± 0.004``."""
    if value is None or missing(value):
        return "–"
    if low is None or high is None or missing(low) or missing(high):
        return f"{value:.3f}"
    return f"{value:.3f} ± {(high - low) / 2:.3f}"


def share_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a share in per cent with its half interval."""
    if value is None or missing(value):
        return "–"
    if low is None or high is None or missing(low) or missing(high):
        return f"{100 * value:.0f}%"
    return f"{100 * value:.0f} ± {50 * (high - low):.0f}%"


def quality_of(row: Any, name: str) -> str:
    """Return a quality figure of a row of the frontier with its half interval, as text."""
    return figure_text(*_with_interval(row, name))


def _with_interval(row: Any, name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def _plain(value: float) -> str:
    return "–" if missing(value) else f"{value:.3g}"


COLUMNS = (
    "epsilon",
    "nDCG@10",
    "AUC",
    "text only nDCG@10",
    "gap closed",
    "text only closed",
    "noise multiplier",
    "spent, amplified",
    "unamplified",
)


def table_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return the frontier's table as text, one row per budget, in `COLUMNS`."""

    return [
        [
            row["budget"],
            quality_of(row, "ndcg@10"),
            quality_of(row, "auc"),
            quality_of(row, "text_only_ndcg@10"),
            share_text(*_with_interval(row, "closed")),
            share_text(*_with_interval(row, "text_only_closed")),
            _plain(row["noise_multiplier"]),
            _plain(row["epsilon_spent"]),
            _plain(row["epsilon_unamplified"]),
        ]
        for _, row in frontier.iterrows()
    ]


def mean_text(frontier: "pd.DataFrame", name: str) -> str:
    """Return the mean of a column as a quality figure."""
    return figure_text(float(frontier[name].mean()))


def frontier_figure(frontier: "pd.DataFrame", metric: str, title: str) -> Any:
    """Return quality against epsilon with intervals, and lines for release 0, pooled and no privacy.

    Args:
        frontier: `frontier.frontier_frame`.
        metric: ``ndcg@10`` or ``auc``.
        title: the metric for people.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    private = frontier[frontier["epsilon"].notna()]
    for name, column, colour in (
        ("text, history and user model", metric, theme.ACCENT),
        ("text only", f"text_only_{metric}", theme.TEAL),
    ):
        figure.add_trace(
            go.Scatter(
                x=private["epsilon"].tolist(),
                y=private[column].tolist(),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (private[f"{column}_high"] - private[column]).fillna(0.0).tolist(),
                    "arrayminus": (private[column] - private[f"{column}_low"]).fillna(0.0).tolist(),
                    "thickness": 1.4,
                    "width": 4,
                },
                mode="lines+markers",
                name=f"final release, {name}",
                line={"color": colour},
            )
        )
    lines = [
        ("release 0", frontier[f"release_0_{metric}"].mean(), theme.MUTED, "dot"),
        ("pooled-data bound", frontier[f"pooled_{metric}"].mean(), theme.PLUM, "dash"),
    ]
    free = frontier[frontier["epsilon"].isna()]
    if len(free):
        lines.append(("no privacy", free[metric].mean(), theme.AMBER, "dashdot"))
    budgets = private["epsilon"].tolist() or [1.0]
    ends = [min(budgets) / 1.15, max(budgets) * 1.15]
    for name, value, colour, dash in lines:
        figure.add_trace(
            go.Scatter(
                x=ends,
                y=[float(value)] * 2,
                mode="lines",
                name=name,
                line={"color": colour, "dash": dash, "width": 1.6},
            )
        )
    figure.update_xaxes(
        title="epsilon (amplified, log scale)",
        type="log",
        tickvals=budgets,
        ticktext=[f"{budget:g}" for budget in budgets],
    )
    figure.update_yaxes(title=title)
    return figure


def _table(frontier: "pd.DataFrame", columns: Sequence[str]) -> str:
    shown = [COLUMNS.index(name) for name in columns]
    return table_html([[row[index] for index in shown] for row in table_rows(frontier)], columns)


def against_epsilon(frontier: "pd.DataFrame") -> list[Section]:
    """Return the chapters with both figures against epsilon, each with its numbers folded under it."""
    return [
        Section(
            f"{title} against epsilon",
            "measured",
            panels_html(
                Panel(
                    f"Final {title} by epsilon",
                    None,
                    figure_html(frontier_figure(frontier, metric, title), f"Final {title} by epsilon.")
                    + folded_html("The same as a table", _table(frontier, columns)),
                    wide=True,
                )
            ),
            note=f"{METRIC_NOTE} {INTERVAL_NOTE}",
        )
        for metric, title, columns in (
            ("ndcg@10", "nDCG@10", ("epsilon", "nDCG@10", "text only nDCG@10")),
            ("auc", "AUC", ("epsilon", "AUC")),
        )
    ]


def won_and_spent(frontier: "pd.DataFrame", seeds: int) -> Section:
    """Return the chapter with what each budget wins of the gap and spends; `seeds` is their number."""
    return Section(
        "What each budget wins and spends",
        "measured",
        _table(frontier, ("epsilon", *COLUMNS[4:])),
        note=(
            "Gap closed: (final - release 0) / (pooled - release 0) in nDCG@10. The noise multiplier "
            f"is the standard deviation of the noise over the clip norm. {INTERVAL_NOTE} {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'} per budget."
        ),
    )
