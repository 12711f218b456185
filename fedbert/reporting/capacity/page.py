"""The report of a capacity plan: one HTML page, put together from its chapters."""

import numpy as np

from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.live import TITLE, live
from fedbert.reporting.capacity.privacy import privacy
from fedbert.reporting.capacity.requests import requests
from fedbert.reporting.capacity.rollout import rollout
from fedbert.reporting.capacity.rounds import rounds
from fedbert.reporting.capacity.tables import assumptions, by_tier, fleet, prices, quality_by_tier
from fedbert.reporting.capacity.text import figures_text, number_text, part_day_warning, value_text
from fedbert.reporting.capacity.world import instead_of_inputs, world, world_facts
from fedbert.reporting.parts.device_errors import device_errors_reference
from fedbert.reporting.parts.page import Card, Section, alert_html, facts_html, render_page

WHERE_ERRORS = (
    "the report of the run that the forecast starts from: fedbert report FOLDER, with run/ beside this page "
    "or the folder of --from"
)


def furthest_known(result: CapacityForecast) -> tuple[str, float]:
    """Return the largest share up to 95% that the run lets the plan speak of, as text, and its hours."""
    for share in ("95%", "90%", "50%"):
        hours = result.find(f"hours to {share}").estimate.value
        if not np.isnan(hours):
            return share, hours
    return "50%", np.inf


def headline(result: CapacityForecast) -> str:
    """Return the answer in two sentences."""
    egress = result.find("egress per day").estimate.value
    ingress = result.find("ingress per day").estimate.value
    peak = result.find("total QPS, peak hour").estimate.value
    share, reach = furthest_known(result)
    cap = value_text(result.plan.release_bits_per_s, "bit/s")
    reached = f"takes {value_text(reach, 'hours')} to reach" if np.isfinite(reach) else "does not reach"
    within = "" if np.isfinite(reach) else " within 7 days"
    return (
        f"Serving {result.plan.devices:,} phones takes {value_text(egress, 'bytes')} of egress and "
        f"{value_text(ingress, 'bytes')} of ingress per day, and {number_text(peak)} QPS in the peak hour. "
        f"Under a cap of {cap}, a release {reached} {share} of the phones that fetch it{within}."
    )


def _card(result: CapacityForecast, name: str, label: str) -> Card:
    row = result.find(name)
    value, interval = figures_text(row)
    return Card(label, value, interval if row.note else f"95%: {interval}", row.label)


def render(result: CapacityForecast, command: str) -> str:
    """Return report.html of a forecast."""
    warning, (reached, _) = part_day_warning(result), furthest_known(result)
    errors = device_errors_reference(result.run.device_errors, WHERE_ERRORS)
    chapters = [
        *(live(result) or instead_of_inputs(result, TITLE)),
        rollout(result),
        *world(result),
        requests(result),
        rounds(result),
        privacy(result),
        fleet(result),
        by_tier(result),
        quality_by_tier(result.run),
        *([errors] if errors else []),
        *([prices(result)] if result.prices else []),
        assumptions(result),
        Section("The plan and the run", None, facts_html(_facts(result)), note=f"Command: {command}"),
    ]
    cards = [
        _card(result, "egress per day", "Egress per day"),
        _card(result, "ingress per day", "Ingress per day"),
        _card(result, "total QPS, peak hour", "QPS, peak hour"),
        _card(result, "egress headroom, peak hour", "Egress headroom, peak hour"),
        _card(result, f"hours to {reached}", f"A release reaches {reached}"),
        _card(result, "rounds that fill", "Rounds that fill"),
        _card(result, "share of sessions scored", "Sessions scored in time"),
        *([_card(result, "cores, all servers", "Cores of servers")] if result.servers else []),
        *(
            _card(result, row.name, "Cost per year")
            for row in result.forecasts
            if row.name == "cost per year"
        ),
    ]
    return render_page(
        f"What {result.plan.devices:,} phones take to serve",
        headline(result),
        cards,
        chapters,
        subtitle="Capacity forecast",
        alerts=[
            *(
                alert_html("Goal met at best guess", f"{met.goal}: {met.value:.4g} with {met.found}.", False)
                for met in result.goals
            ),
            *(
                alert_html(alert.name.capitalize(), f"{alert.text} Change: {alert.change}.")
                for alert in result.alerts
            ),
            *([alert_html("Part of a day", warning)] if warning else []),
        ],
    )


def _facts(result: CapacityForecast) -> dict[str, str]:
    run, plan = result.run, result.plan
    return {
        "devices": f"{plan.devices:,}",
        "bandwidth cap of releases": value_text(plan.release_bits_per_s, "bit/s"),
        "reports wanted per round": f"{plan.reports_per_round:,}",
        "over-selection": f"{plan.over_selection:g}",
        "probability that a device joins a round": f"{result.sampling_probability:.3g}",
        "the same in the run": f"{run.sampling_probability:.3g}",
        "rounds per day": f"{plan.rounds_per_day:g} (run: {run.rounds_per_day:g})",
        "releases per day": f"{plan.releases_per_day:g} (run: {run.releases_per_day:g})",
        "hour of the first release": f"{plan.release_hour:g}",
        "run": f"{run.name}, seed {run.seed}, {run.devices:,} devices, {run.days:g} days",
        "schedule of releases": plan.schedule,
        "sessions per phone and day": f"{plan.sessions_per_day or 0.0:g}",
        "bytes of a release as downloaded": f"{plan.download_bytes or run.release_bytes:,.0f}",
        "bytes of a release": f"{run.release_bytes:,.0f}",
        "bytes of a report": f"{run.report_bytes:,.0f}",
        **world_facts(result),
        **_servers(result),
    }


def _servers(result: CapacityForecast) -> dict[str, str]:
    if result.servers is None:
        return {}
    return {
        "servers": f"modelled, {result.servers.said}",
        "utilisation of servers": f"{result.servers.utilisation:g}",
    }
