"""The trade-off grid for people: the terminal table and report.html. Numbers come from `frontier`."""

from typing import TYPE_CHECKING, Any

from fedbert.comparison import TIER_COLUMNS
from fedbert.planning.tradeoff.frontier import SHORT, TIER_FINAL
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.device_errors import device_errors_section
from fedbert.reporting.parts.page import Card, Section, facts_html, figure_html, render_page, table_html
from fedbert.reporting.parts.tier_notes import TIER_NOTE, TIER_TITLE
from fedbert.results import TIERS, DeviceErrors
from fedbert.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

METRIC_NOTE = (
    "nDCG@10 and AUC with 20 candidates, mean over evaluation sessions, by the int8 student that the phones "
    "run, with every session scored."
)
INTERVAL_NOTE = "Intervals: 95 %, Student's t over seeds."


def _missing(value: float | None) -> bool:
    return value is None or value != value


def figure_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a quality figure with three decimals and its half interval, as in ``0.912 ± 0.004``."""
    if value is None or _missing(value):
        return "–"
    if low is None or high is None or _missing(low) or _missing(high):
        return f"{value:.3f}"
    return f"{value:.3f} ± {(high - low) / 2:.3f}"


def share_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a share in per cent with its half interval."""
    if value is None or _missing(value):
        return "–"
    if low is None or high is None or _missing(low) or _missing(high):
        return f"{100 * value:.0f} %"
    return f"{100 * value:.0f} ± {50 * (high - low):.0f} %"


def _plain(value: float) -> str:
    return "–" if _missing(value) else f"{value:.3g}"


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


TERMINAL_COLUMNS = (
    "epsilon",
    "nDCG@10",
    "AUC",
    "text only nDCG@10",
    "gap closed",
    "noise multiplier",
    "unamplified",
)
"""What fits in 80 columns."""


def table_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return the frontier's table as text, one row a budget, in `COLUMNS`."""

    def three(row: Any, name: str) -> tuple[float, float, float]:
        return row[name], row[f"{name}_low"], row[f"{name}_high"]

    return [
        [
            row["budget"],
            figure_text(*three(row, "ndcg@10")),
            figure_text(*three(row, "auc")),
            figure_text(*three(row, "text_only_ndcg@10")),
            share_text(*three(row, "closed")),
            share_text(*three(row, "text_only_closed")),
            _plain(row["noise_multiplier"]),
            _plain(row["epsilon_spent"]),
            _plain(row["epsilon_unamplified"]),
        ]
        for _, row in frontier.iterrows()
    ]


def terminal_table(frontier: "pd.DataFrame") -> "Table":
    """Return the table that ends the command, with release 0 and the pooled-data bound below."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title="Final release by epsilon (20 candidates, mean over evaluation sessions)",
        title_justify="left",
        box=SIMPLE,
    )
    for number, name in enumerate(TERMINAL_COLUMNS):
        table.add_column(name, justify="left" if number == 0 else "right")
    shown = [COLUMNS.index(name) for name in TERMINAL_COLUMNS]
    for row in table_rows(frontier):
        table.add_row(*(row[index] for index in shown))
    table.add_section()
    for name, key in (("release 0", "release_0"), ("pooled", "pooled")):
        figures = [_plain_mean(frontier, f"{key}_{metric}") for metric in ("ndcg@10", "auc")]
        table.add_row(name, *figures, *[""] * (len(TERMINAL_COLUMNS) - 3))
    return table


def tier_table(frontier: "pd.DataFrame") -> "Table":
    """Return the final release's nDCG@10 by epsilon and device tier, with every session scored."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title="nDCG@10 of the final release by device tier, every session scored (measured)",
        title_justify="left",
        box=SIMPLE,
    )
    for number, name in enumerate(("epsilon", *TIERS)):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in frontier_rows(frontier):
        table.add_row(*row)
    return table


def _plain_mean(frontier: "pd.DataFrame", name: str) -> str:
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
    private = frontier[frontier["budget"] != "none"]
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
    free = frontier[frontier["budget"] == "none"]
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
        title="epsilon of the whole run (amplified; log scale)",
        type="log",
        tickvals=budgets,
        ticktext=[f"{budget:g}" for budget in budgets],
    )
    figure.update_yaxes(title=title)
    return figure


def headline(frontier: "pd.DataFrame") -> str:
    """Return the answer in two sentences."""
    release_0, pooled = frontier["release_0_ndcg@10"].mean(), frontier["pooled_ndcg@10"].mean()
    parts = [
        f"{row['budget'] if row['budget'] != 'none' else 'no privacy'}: {row['ndcg@10']:.3f}"
        for _, row in frontier.iterrows()
    ]
    return (
        f"Release 0 ranks at nDCG@10 {release_0:.3f}; learning from all clicks in one place would reach "
        f"{pooled:.3f}. The final release by epsilon: {', '.join(parts)}."
    )


def render(
    frontier: "pd.DataFrame",
    cells: "pd.DataFrame",
    scenario: Scenario,
    command: str,
    device_errors: DeviceErrors | None = None,
) -> str:
    """Return report.html of a finished grid; `device_errors` as its runs have it."""
    seeds = sorted(set(cells["seed"].tolist()))
    best = frontier.iloc[-1]
    sections = [
        Section(
            f"{title} against epsilon",
            "measured",
            figure_html(frontier_figure(frontier, metric, title), f"{title} of the final release by epsilon"),
            note=f"{METRIC_NOTE} {INTERVAL_NOTE}",
        )
        for metric, title in (("ndcg@10", "nDCG@10"), ("auc", "AUC"))
    ]
    sections += [
        Section(
            "The frontier",
            "measured",
            table_html(table_rows(frontier), COLUMNS),
            note=(
                "Gap closed: (final - release 0) / (pooled - release 0) in nDCG@10. The noise multiplier is "
                f"the noise's standard deviation over the clip norm. {INTERVAL_NOTE} "
                f"{len(seeds)} seeds a budget."
            ),
        ),
        frontier_section(frontier, INTERVAL_NOTE),
        Section(
            "What the epsilons assume",
            "proved",
            table_html(
                [
                    ["amplified", "nobody but a device knows whether it is in a round's cohort"],
                    ["unamplified", "the server knows every cohort; the honest figure if coins are seen"],
                    ["unit", "one device with everything it sends in the run"],
                    ["signal", ", ".join(sorted(set(frontier["signal"])))],
                    ["privacy mode", ", ".join(sorted(set(frontier["privacy_mode"])))],
                ],
                ["word", "meaning"],
                align="ll",
            ),
        ),
        *([errors] if (errors := device_errors_section(device_errors)) else []),
        Section(
            "The scenario",
            None,
            facts_html(_facts(scenario)),
            note=f"Seeds {', '.join(map(str, seeds))}. Command: {command}",
        ),
    ]
    cards = [
        Card("cells", str(len(cells)), f"{len(frontier)} budgets, {len(seeds)} seeds", "measured"),
        Card("release 0", _plain_mean(frontier, "release_0_ndcg@10"), "nDCG@10", "measured"),
        Card(
            "no privacy" if best["budget"] == "none" else f"epsilon {best['budget']}",
            figure_text(best["ndcg@10"]),
            "nDCG@10 of the final release",
            "measured",
        ),
        Card("pooled-data bound", _plain_mean(frontier, "pooled_ndcg@10"), "nDCG@10", "measured"),
    ]
    return render_page(
        "What privacy costs in quality", headline(frontier), cards, sections, subtitle="Trade-off report"
    )


def _facts(scenario: Scenario) -> dict[str, str]:
    """Return the scenario's keys but those that vary over the grid."""
    values = scenario.model_dump(mode="json", exclude_none=True, exclude={"epsilon", "seed"})
    return {name: str(value) for name, value in values.items()}


def _shown(row: Any, name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value != value:
        return "–"
    return f"{value:.3f}" if low != low or high != high else f"{value:.3f} ± {(high - low) / 2:.3f}"


def frontier_section(frontier: "pd.DataFrame", note: str) -> Section:
    """Return the chapter with each tier's quality at each epsilon; `note` is on the intervals."""
    rows = [
        [row["budget"], tier, *(_shown(row, f"{tier}_{short}_ndcg@10") for short in SHORT.values())]
        for _, row in frontier.iterrows()
        for tier in TIERS
    ]
    return Section(
        TIER_TITLE,
        "measured",
        table_html(rows, ["epsilon", "tier", *TIER_COLUMNS], align="llrrrrr"),
        f"{TIER_NOTE} {note}",
        "Noise costs every tier alike only if their users are alike; phones that cannot answer gain nothing.",
    )


def frontier_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return, by epsilon, the final release's nDCG@10 of each tier with every session scored, as text."""
    return [
        [row["budget"], *(_shown(row, f"{tier}_{TIER_FINAL}_ndcg@10") for tier in TIERS)]
        for _, row in frontier.iterrows()
    ]
