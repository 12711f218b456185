"""Chapter of a privacy plan's report: what was measured at the planned noise."""

from typing import Any

from fedbert.planning.budget.plan import BudgetPlan, MeasuredArm
from fedbert.reporting.budget.tables import COST, cost_rows
from fedbert.reporting.budget.text import how_to_measure, reasons
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.page import Panel, Section, figure_html, panels_html, table_html, text_html

COLOURS = (theme.ACCENT, theme.TEAL, theme.AMBER, theme.PLUM, theme.INK)


def cost(plan: BudgetPlan) -> Section:
    """Return the chapter: measured differences and the fleet that loses nothing, or how to measure them."""
    title = "What it costs in quality"
    if plan.measured_rounds is None:
        return Section(title, None, text_html(how_to_measure(plan)))
    figure = figure_html(_figure(plan), "nDCG@10 against no privacy by the noise of the mean.")
    return Section(
        title,
        "measured",
        table_html(cost_rows(plan), COST, align="llrrr")
        + text_html(*reasons(plan))
        + panels_html(Panel("nDCG@10 against no privacy by noise", "measured", figure, wide=True)),
        note=f"Read at the noise of the mean after {plan.measured_rounds} rounds, as many as the frontier's "
        "runs had; linear between the two nearest arms, with both intervals together, and never beyond them. "
        f"Arms: {_fleets(plan)}.",
    )


def _fleets(plan: BudgetPlan) -> str:
    found = {(arm.devices, arm.noise_devices): None for arm in plan.arms}
    return "; ".join(
        f"{devices:,} phones" + (f" with the noise of {noise:,}" if noise != devices else "")
        for devices, noise in found
    )


def _figure(plan: BudgetPlan) -> Any:
    """Return the measured arms with intervals, a colour a mechanism, and each planned noise as a mark."""
    import plotly.graph_objects as go

    figure = go.Figure()
    by_mechanism: dict[str, list[MeasuredArm]] = {}
    for arm in sorted(plan.arms, key=lambda arm: arm.noise):
        if arm.signal == plan.question.signal and arm.loss[0] == arm.loss[0]:
            by_mechanism.setdefault(arm.mechanism, []).append(arm)
    for (name, arms), colour in zip(by_mechanism.items(), COLOURS * len(by_mechanism), strict=False):
        values, lows, highs = zip(*(arm.loss for arm in arms), strict=True)
        figure.add_scatter(
            x=[arm.noise for arm in arms],
            y=list(values),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [_length(high - value) for value, high in zip(values, highs, strict=True)],
                "arrayminus": [_length(value - low) for value, low in zip(values, lows, strict=True)],
                "thickness": 1.4,
                "width": 4,
            },
            mode="markers",
            name=name,
            marker={"color": colour},
            hovertemplate=f"{name}<br>noise %{{x:.3g}}: %{{y:+.3f}}<extra></extra>",
        )
        planned = [row for row in plan.rows if row.accounted.mechanism == name and row.loss.value is not None]
        if planned:
            figure.add_scatter(
                x=[row.noise for row in planned],
                y=[row.loss.value for row in planned],
                mode="markers",
                name=f"{name}, planned",
                marker={"color": colour, "symbol": "diamond-open", "size": 12},
                hovertemplate="planned noise %{x:.3g}: %{y:+.3f}<extra></extra>",
            )
    figure.update_xaxes(title="noise of the mean, clip norms (log scale)", type="log")
    figure.update_yaxes(title="nDCG@10 against no privacy")
    return figure


def _length(value: float) -> float:
    """Return the length of an error bar; none for one seed."""
    return value if value == value else 0.0
