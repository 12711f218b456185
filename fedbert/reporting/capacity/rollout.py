"""Chapter of a capacity plan's report: how a release reaches the fleet."""

from typing import Any

from fedbert.planning.capacity.capacity import CapacityForecast, Curve
from fedbert.reporting.capacity.axes import band
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Section, figure_html


def rollout_figure(result: CapacityForecast) -> Any:
    """Return the share of devices with a release by hours since it was made, with and without the cap."""
    import plotly.graph_objects as go

    shown = result.rollout_hours <= _horizon(result)
    hours = result.rollout_hours[shown].tolist()
    figure = go.Figure()
    free, capped = _part(result.rollout_without_cap, shown), _part(result.rollout, shown)
    band(figure, hours, free, "without a cap", theme.GREY, theme.GREY_SOFT)
    band(figure, hours, capped, "under the cap", theme.ACCENT, theme.ACCENT_SOFT)
    if result.rollout_stopped is not None:
        stopped = _part(result.rollout_stopped, shown)
        band(figure, hours, stopped, _stopped_name(result), theme.AMBER, theme.AMBER_SOFT)
    for begins in result.plan.world.stage_hours[1:]:
        figure.add_vline(x=begins, line={"color": theme.GREY, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="hours since the release")
    figure.update_yaxes(title="share of fetching devices", tickformat=".0%", range=[0, 1.02])
    return figure


def _stopped_name(result: CapacityForecast) -> str:
    world = result.plan.world
    return "halted" if world.halt_after_stage else "rolled back"


def _part(curve: Curve, index: Any) -> Curve:
    return Curve(curve.value[index], curve.low[index], curve.high[index])


def _horizon(result: CapacityForecast) -> float:
    """Return the hours worth showing: until 99% have the release, at least a day."""
    enough = result.rollout_hours[result.rollout.value >= 0.99]
    last = float(result.rollout_hours[-1])
    return min(last, max(24.0, 1.2 * float(enough[0]))) if len(enough) else last


def rollout(result: CapacityForecast) -> Section:
    """Return the chapter on one release by time."""
    return Section(
        "A release reaches the fleet",
        "modelled",
        figure_html(rollout_figure(result), "Share of devices with a release by hours since it was made."),
        note=text.sentence(result.find("hours to 50%").assumption),
    )
