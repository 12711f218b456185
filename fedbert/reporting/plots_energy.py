"""Figure of what phones spend energy on."""

from typing import Any, Literal

from fedbert.reporting import theme
from fedbert.results import ENERGY_USES, RunResult

UsesKey = Literal["energy_mj_per_day_by", "energy_mj_per_round_by"]
"""The splits of a tier's energy."""

COLOURS = dict(zip(ENERGY_USES, (theme.ACCENT, theme.TEAL, theme.AMBER, theme.GREY), strict=True))


def energy_uses(result: RunResult, key: UsesKey) -> Any:
    """Share of energy by what it went to, one bar a tier; tiers without figures are left out."""
    import plotly.graph_objects as go

    splits = {name: tier[key] for name, tier in result["tiers"].items() if tier.get(key)}
    totals = {name: sum(split.values()) for name, split in splits.items()}
    figure = go.Figure()
    for use in ENERGY_USES:
        part = [split[use] / totals[name] if totals[name] else 0.0 for name, split in splits.items()]
        figure.add_bar(
            y=list(splits),
            x=part,
            orientation="h",
            name=use,
            marker={"color": COLOURS[use], "line": {"color": "#fff", "width": 1}},
            text=[f"{share:.0%}" if share >= 0.06 else "" for share in part],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": "#fff", "size": 12},
            textangle=0,
            hovertemplate=f"%{{y}}, {use}: %{{x:.2%}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        legend={"traceorder": "normal"},
        xaxis={"title": {"text": "share of energy"}, "tickformat": ".0%", "range": [0, 1]},
        yaxis={
            "autorange": "reversed",
            "showgrid": False,
            "ticksuffix": "  ",
            "tickfont": {"size": 13, "color": theme.INK},
        },
    )
    return figure
