"""Chapters of a trade-off's report: quality against epsilon, as figures and as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedbert.planning.tradeoff.arms import PUBLIC
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.page import Panel, Section, figure_html, folded_html, panels_html, table_html
from fedbert.reporting.tradeoff.answer import arm_name, missing, plain_number

if TYPE_CHECKING:
    import pandas as pd


METRIC_NOTE = (
    "nDCG@10 and AUC with 20 candidates, mean over evaluation sessions. The int8 student that phones "
    "run scores every session."
)


INTERVAL_NOTE = "Intervals: 95%, Student's t over seeds."


def figure_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a quality figure with three decimals and its half interval, as in ``0.912 ± 0.004``."""
    if value is None or missing(value):
        return "–"
    if low is None or high is None or missing(low) or missing(high):
        return f"{value:.3f}"
    return f"{value:.3f} ± {(high - low) / 2:.3f}"


LEFT_OUT = "left out"
SHARE_NOTE = (
    "A share of the gap is left out where it is absent in a seed's run: nothing new was released, the gap is "
    "no more than chance, or the share's own interval is too wide."
)


def share_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a share in per cent with its half interval, or that it is left out (`SHARE_NOTE`)."""
    if value is None or missing(value):
        return LEFT_OUT
    if low is None or high is None or missing(low) or missing(high):
        return f"{100 * value:.0f}%"
    return f"{100 * value:.0f} ± {50 * (high - low):.0f}%"


def quality_of(row: Any, name: str) -> str:
    """Return a quality figure of a row of the frontier with its half interval, as text."""
    return figure_text(*_with_interval(row, name))


def _with_interval(row: Any, name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


COLUMNS = (
    "arm",
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
    """Return the frontier's table as text, one row per arm, in `COLUMNS`."""

    return [
        [
            arm_name(row),
            row["budget"],
            quality_of(row, "ndcg@10"),
            quality_of(row, "auc"),
            quality_of(row, "text_only_ndcg@10"),
            share_text(*_with_interval(row, "closed")),
            share_text(*_with_interval(row, "text_only_closed")),
            plain_number(row["noise_multiplier"]),
            plain_number(row["epsilon_spent"]),
            plain_number(row["epsilon_unamplified"]),
        ]
        for _, row in frontier.iterrows()
    ]


def mean_text(frontier: "pd.DataFrame", name: str) -> str:
    """Return the mean of a column as a quality figure."""
    return figure_text(float(frontier[name].mean()))


AXES = (
    ("the run, participation seen", "epsilon_unamplified"),
    ("the run, not seen", "epsilon_spent"),
    ("a day, participation seen", "epsilon_unamplified_1_days"),
    ("30 days, participation seen", "epsilon_unamplified_30_days"),
    ("a year, participation seen", "epsilon_unamplified_365_days"),
    ("a day, not seen", "epsilon_spent_1_days"),
    ("30 days, not seen", "epsilon_spent_30_days"),
    ("a year, not seen", "epsilon_spent_365_days"),
)
"""Horizon and adversary of the axis of epsilons, and the column that has them."""

ARM_COLOURS = (theme.ACCENT, theme.TEAL, theme.AMBER, theme.PLUM, theme.INK)


def frontier_figure(frontier: "pd.DataFrame", metric: str, title: str) -> Any:
    """Return quality against epsilon with intervals, a line per arm, and lines for what to compare with.

    The axis is of the epsilon that holds when participation is seen; a switch shows the other adversary and
    other horizons.

    Args:
        frontier: `frontier.frontier_frame`.
        metric: ``ndcg@10`` or ``auc``.
        title: the metric for people.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    private = frontier[frontier["epsilon"].notna()]
    arms = [arm.sort_values("epsilon") for _, arm in private.groupby(["signal", "mechanism"], sort=False)]
    first = AXES[0][1]
    for arm, colour in zip(arms, ARM_COLOURS * len(arms), strict=False):
        name = arm_name(arm.iloc[0])
        figure.add_scatter(
            x=arm[first].tolist(),
            y=arm[metric].tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (arm[f"{metric}_high"] - arm[metric]).fillna(0.0).tolist(),
                "arrayminus": (arm[metric] - arm[f"{metric}_low"]).fillna(0.0).tolist(),
                "thickness": 1.4,
                "width": 4,
            },
            mode="lines+markers",
            name=name,
            line={"color": colour},
            hovertemplate=f"{name}<br>epsilon %{{x:.3g}}: %{{y:.3f}}<extra></extra>",
        )
    levels = _levels(frontier, metric)
    for name, value, colour, dash in levels:
        figure.add_scatter(
            x=_ends(arms, first),
            y=[value, value],
            mode="lines",
            name=name,
            line={"color": colour, "dash": dash, "width": 1.6},
            hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
        )
    shown = [(label, name) for label, name in AXES if not private[name].isna().any()]
    if len(shown) > 1:
        figure.update_layout(updatemenus=[_switch(shown, arms, len(levels))], margin={"t": 128})
    figure.update_xaxes(title="epsilon (log scale)", type="log", dtick="D2", tickformat="~g")
    figure.update_yaxes(title=title)
    return figure


def _levels(frontier: "pd.DataFrame", metric: str) -> list[tuple[str, float, str, str]]:
    """Return what arms are compared with: name, value, colour and dash."""
    free = frontier[frontier["epsilon"].isna()]
    public = free[free["signal"] == PUBLIC]
    signals = free[free["signal"] != PUBLIC]
    found = [
        ("release 0", frontier[f"release_0_{metric}"], theme.MUTED, "dot"),
        ("public texts only", public[metric], theme.GREY, "longdash"),
        ("no privacy", signals[metric], theme.AMBER, "dashdot"),
        ("pooled-data bound", frontier[f"pooled_{metric}"], theme.PLUM, "dash"),
    ]
    return [(name, float(values.mean()), colour, dash) for name, values, colour, dash in found if len(values)]


def _ends(arms: Sequence["pd.DataFrame"], name: str) -> list[float]:
    """Return where the level lines begin and end on the axis."""
    values = [value for arm in arms for value in arm[name].tolist()] or [1.0]
    return [min(values) / 1.15, max(values) * 1.15]


def _switch(shown: Sequence[tuple[str, str]], arms: Sequence["pd.DataFrame"], levels: int) -> dict[str, Any]:
    """Return the menu that puts another epsilon on the axis."""
    return {
        "type": "dropdown",
        "x": 0,
        "xanchor": "left",
        "y": 1.16,  # above the legend
        "yanchor": "bottom",
        "buttons": [
            {
                "label": label,
                "method": "restyle",
                "args": [{"x": [*(arm[name].tolist() for arm in arms), *[_ends(arms, name)] * levels]}],
            }
            for label, name in shown
        ],
    }


def _table(frontier: "pd.DataFrame", columns: Sequence[str]) -> str:
    shown = [COLUMNS.index(name) for name in columns]
    rows = [[row[index] for index in shown] for row in table_rows(frontier)]
    return table_html(rows, columns, align="l" + "r" * (len(columns) - 1))


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
                    figure_html(frontier_figure(frontier, metric, title), f"Final {title} by epsilon.", 420)
                    + folded_html("The same as a table", _table(frontier, columns)),
                    wide=True,
                )
            ),
            note=f"{METRIC_NOTE} {INTERVAL_NOTE}",
        )
        for metric, title, columns in (
            ("ndcg@10", "nDCG@10", ("arm", "epsilon", "nDCG@10", "text only nDCG@10")),
            ("auc", "AUC", ("arm", "epsilon", "AUC")),
        )
    ]


def won_and_spent(frontier: "pd.DataFrame", seeds: int) -> Section:
    """Return the chapter with what each arm wins of the gap and spends; `seeds` is their number."""
    return Section(
        "What each arm wins and spends",
        "measured",
        _table(frontier, ("arm", "epsilon", *COLUMNS[5:])),
        note=(
            "Gap closed: (final - release 0) / (pooled - release 0) in nDCG@10. "
            f"{SHARE_NOTE + ' ' if frontier['closed'].isna().any() else ''}The noise multiplier is "
            f"the standard deviation of the noise over the clip norm. {INTERVAL_NOTE} {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'} per arm."
        ),
    )
