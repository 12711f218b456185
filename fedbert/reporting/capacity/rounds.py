"""Chapter of a capacity plan's report: eligible devices and rounds that fill, by hour."""

from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.axes import hourly_figure
from fedbert.reporting.capacity.text import hour_of_day
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Panel, Section, figure_html, panels_html


def rounds(result: CapacityForecast) -> Section:
    """Return the chapter on rounds by local hour."""
    wanted = result.plan.reports_per_round
    fills = f"Chance that a round gets {wanted:,} reports, by {hour_of_day(result.plan)}."
    eligible_figure = hourly_figure(result, "eligible devices", "devices", False)
    fill_figure = hourly_figure(result, "chance that a round fills", "chance", True)
    return Section(
        "Rounds by hour",
        "modelled",
        panels_html(
            Panel(
                "Eligible devices",
                "modelled",
                figure_html(eligible_figure, f"Eligible devices by {hour_of_day(result.plan)}."),
                text.sentence(result.find("eligible devices", 0).assumption),
            ),
            Panel(
                "Chance that a round fills",
                "modelled",
                figure_html(fill_figure, fills),
                f"{wanted:,} reports wanted. "
                + text.sentence(result.find("chance that a round fills", 0).assumption),
            ),
        ),
    )
