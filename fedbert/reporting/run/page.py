"""The report of a run: one HTML page, put together from its chapters."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import device_errors_section
from fedbert.reporting.parts.page import Section, alert_html, render_page
from fedbert.reporting.run import (
    asked,
    asynchronous,
    audit,
    clock,
    comparison,
    energy,
    fleet,
    latency_and_memory,
    poisoned,
    privacy,
    provenance,
    quality,
    sentences,
    server,
    sizes,
    tiers,
)
from fedbert.reporting.run.cards import cards
from fedbert.results import RunResult, is_private


def _alerts(result: RunResult) -> list[str]:
    alerts = []
    fault = audit.fault_alert(result)
    if fault is not None:
        alerts.append(fault)
    lies = poisoned.alert(result)
    if lies is not None:
        alerts.append(lies)
    if not sentences.finished(result):
        alerts.append(
            alert_html(
                "This run did not finish.",
                f"{text.sentence(result['status'])} The page shows the rounds up to then.",
            )
        )
    if not is_private(result["privacy"]):
        alerts.append(
            alert_html(
                "Not private.",
                f"{sentences.statement(result)} Nothing bounds what the sums reveal about one person. "
                "Add --epsilon to see what privacy costs.",
            )
        )
    said = sentences.said(result)
    for title, sentence in (
        ("A baseline is not beaten.", said["baselines"]),
        ("Rounds were held.", said["held"]),
    ):
        if sentence:
            alerts.append(alert_html(title, sentence))
    missing = sentences.missing_sentence(result)
    if missing:
        alerts.append(alert_html("Devices are missing.", missing))
    timed = sentences.timing_sentence(result)
    if timed:
        alerts.append(alert_html("Timing only.", timed))
    left_out = sentences.no_bound_sentence(result)
    if left_out:
        alerts.append(alert_html("No bound.", left_out, warning=False))
    note = str(result["world"].get("note") or "")
    if note:
        alerts.append(alert_html("About this world.", text.sentence(note), warning=False))
    return alerts


def render_report(result: RunResult) -> str:
    """Return the whole report of a run as one self-contained HTML page."""
    chapters: list[Section | None] = [
        quality.quality(result),
        comparison.comparison(result),
        tiers.tiers(result),
        sizes.sizes(result),
        latency_and_memory.latency_and_memory(result),
        latency_and_memory.verified_devices(result),
        energy.cost(result),
        device_errors_section(result.get("device_errors")),
        privacy.privacy(result),
        audit.audit(result),
        poisoned.poisoned(result),
        privacy.secure_sum(result),
        fleet.shards(result),
        server.releases(result),
        fleet.participation(result),
        asked.asked(result),
        asynchronous.asynchronous(result),
        clock.clock(result, result["tiers"]),
        fleet.traffic(result, result["traffic"]),
        fleet.hours(result),
        provenance.world_and_model(result),
        provenance.scenario(result),
        provenance.provenance(result),
    ]
    world = result["world"].get("name", "")
    return render_page(
        title=sentences.title(result),
        subtitle=f"Simulation report · world {world} · seed {result['seed']} · {result['started'][:10]}",
        lead=sentences.headline(result),
        answers=sentences.answers(result),
        cards=cards(result),
        sections=[chapter for chapter in chapters if chapter is not None],
        alerts=_alerts(result),
        footer=f"Made by: {result['command']}",
    )
