"""The report of a run: one HTML page, put together from the parts of `page` and the figures of `plots`."""

from fedbert.reporting import sections, sections_fleet, sections_server
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import device_errors_section
from fedbert.reporting.parts.page import Card, Section, alert_html, render_page
from fedbert.reporting.run import energy as sections_energy
from fedbert.reporting.run import sentences
from fedbert.results import RunResult, is_private


def _quality_card(result: RunResult) -> Card:
    rounds = result["rounds"]
    if not rounds:
        return Card("Ranking quality", text.NONE, "nothing was measured", "measured")
    first, last = rounds[0], rounds[-1]
    return Card(
        "Ranking quality, as users saw it",
        f"{first['ndcg@10']:.3f} → {last['ndcg@10']:.3f}",
        f"nDCG@10; 95% interval {last['ndcg@10_low']:.3f} to {last['ndcg@10_high']:.3f}",
        "measured",
    )


def cards(result: RunResult) -> list[Card]:
    """Return the key numbers of a run."""
    shown = [_quality_card(result)]
    gap = result["gap"]
    if gap is not None and gap["closed"] is not None:
        shown.append(
            Card(
                "Of the possible gain, won privately"
                if is_private(result["privacy"])
                else "Of the possible gain, won",
                text.percent(gap["closed"]),
                f"{gap['release_0']:.3f} → {gap['final']:.3f} of {gap['pooled']:.3f} with pooled data",
                "measured",
            )
        )
    privacy = result["privacy"]
    if is_private(result["privacy"]):
        shown.append(
            Card(
                "Privacy spent (epsilon)",
                text.epsilon(privacy["epsilon"]),
                f"delta {text.power(privacy['delta'])}; {text.epsilon(privacy['epsilon_unamplified'])} "
                "where participation is seen",
                "proved",
            )
        )
    else:
        shown.append(Card("Privacy", text.NOT_PRIVATE, "no noise: sums are exact", None, alert=True))
    share = sentences.scored_share(result)
    tiers = list(result["tiers"].values())
    if share is not None:
        deadline = text.milliseconds(result["scenario"].get("deadline_ms"))
        budget = result["scenario"].get("memory_budget_bytes")
        within = f" and {text.size(budget)}" if budget else ""
        shown.append(
            Card("Sessions scored in time", text.percent(share, 1), f"within {deadline}{within}", "modelled")
        )
    if tiers:
        fastest, slowest = sentences.latency_p95_ms(result)
        shown.append(
            Card(
                "Latency p95, slowest tier",
                text.milliseconds(slowest),
                f"fastest tier {text.milliseconds(fastest)}",
                "modelled",
            )
        )
        battery = text.span(tier["battery_percent_per_day"] for tier in tiers)
        mah = text.span(tier["mah_per_day"] for tier in tiers)
        shown.append(
            Card("Battery a phone and day", f"{battery}%", f"{mah} mAh, by tier; extrapolated", "modelled")
        )
    size = result["model"].get("bytes")
    if size:
        report = result["traffic"].get("bytes_per_report")
        note = f"a report sent back is {text.size(report)}" if report else "each release, to each phone"
        shown.append(Card("One release of the model", text.size(size), note, "measured"))
    rate = result["totals"].get("devices_per_s")
    shown.append(
        Card(
            "Computed in",
            text.duration(result["wall_s"]),
            f"{text.significant(rate)} devices a second" if rate else "from start to report",
            "measured",
        )
    )
    return shown


def _alerts(result: RunResult) -> list[str]:
    alerts = []
    if not sentences.finished(result):
        alerts.append(
            alert_html(
                "This run did not finish.", f"{text.sentence(result['status'])} What follows is up to then."
            )
        )
    if not is_private(result["privacy"]):
        alerts.append(
            alert_html(
                "Not private.",
                f"{sentences.statement(result)} Nothing bounds what the sums reveal about one person; add "
                "--epsilon to see what privacy costs.",
            )
        )
    missing = sentences.missing_sentence(result)
    if missing:
        alerts.append(alert_html("Devices are missing.", missing))
    note = str(result["world"].get("note") or "")
    if note:
        alerts.append(alert_html("About this world.", text.sentence(note), warning=False))
    return alerts


def render_report(result: RunResult) -> str:
    """Return the whole report of a run as one self-contained HTML page."""
    chapters: list[Section | None] = [
        sections.quality(result),
        sections.comparison(result),
        sections.tiers(result),
        sections.latency_and_memory(result),
        sections_fleet.verified_devices(result),
        sections_energy.cost(result),
        device_errors_section(result.get("device_errors")),
        sections_server.privacy(result),
        sections_server.secure_sum(result),
        sections_server.shards(result),
        sections_server.releases(result),
        sections_fleet.participation(result),
        sections_fleet.traffic(result),
        sections_fleet.hours(result),
        sections_server.world_and_model(result),
        sections_server.scenario(result),
        sections_server.provenance(result),
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
