"""The key numbers at the top of a run's report."""

from fedbert import findings
from fedbert.evidence import Absent, Known
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import engine_name
from fedbert.reporting.parts.page import Card
from fedbert.reporting.run import epsilons, sentences
from fedbert.results import RunResult, Underway, is_private

NO_FINDING = "no finding"


def quality_card(result: Underway) -> Card:
    """Return the card on ranking quality as users saw it, delivery included."""
    rounds = result["rounds"]
    if not rounds:
        return Card("As users saw it", NO_FINDING, "nothing was measured", "measured")
    first, last = rounds[0], rounds[-1]
    if result["scenario"].get("timing_only"):
        return Card("As users saw it", NO_FINDING, "timing only: nothing was ranked", "measured")
    if first["ndcg@10"] is None or last["ndcg@10"] is None:
        return Card("As users saw it", NO_FINDING, "no session in the first or the last window", "measured")
    lacking = " → ".join(
        text.percent(row["outcomes"].get("no_release", 0) / row["sessions"]) for row in (first, last)
    )
    return Card(
        "As users saw it",
        f"{first['ndcg@10']:.3f} → {last['ndcg@10']:.3f}",
        f"nDCG@10, delivery included: {lacking} of sessions had no release",
        "measured",
    )


def won_card(result: RunResult) -> Card:
    """Return the card on what the model won on the same sessions."""
    shown = result.get("findings")
    found = findings.won(shown)
    label = "What the model won"
    if isinstance(found, Absent) or shown is None:
        reason = found.reason if isinstance(found, Absent) else ""
        return Card(label, NO_FINDING, reason, "measured", alert=True)
    if found.low is None or found.high is None:
        return Card(label, NO_FINDING, f"{findings.carried(found)}: too little for an interval", "measured")
    value, low, high = findings.signed(found.value, found.low, found.high)
    verdict = {1: "", 0: "not more than chance; ", -1: "lost; "}[found.sign or 0]
    return Card(
        label, value, f"nDCG@10 on the same sessions; {verdict}95% interval {low} to {high}", "measured"
    )


def not_private_card() -> Card:
    """Return the card that says that nothing bounds what a run reveals."""
    return Card("Privacy", text.NOT_PRIVATE, "no noise: sums are exact", None, alert=True)


def cards(result: RunResult) -> list[Card]:
    """Return the key numbers of a run."""
    shown, privacy = [won_card(result)], result["privacy"]
    gap, said = result["gap"], result.get("findings")
    closed = findings.evidence(said["figures"]["closed"] if said else None)
    if gap is not None and isinstance(closed, Known) and closed.low is not None:
        shown.append(
            Card(
                "Gap closed, with privacy" if is_private(privacy) else "Gap closed",
                text.percent(closed.value),
                f"95% interval {text.percent(closed.low)} to {text.percent(closed.high)}; "
                f"{gap['release_0']:.3f} → {gap['final']:.3f} of {gap['pooled']:.3f} with pooled data",
                "measured",
            )
        )
    shown.append(quality_card(result))
    if is_private(privacy):
        shown.append(
            Card(
                "Privacy spent (epsilon)",
                text.epsilon(epsilons.seen_epsilon(privacy)),
                f"per device in {max(0, len(result['rounds']) - 1)} rounds, {epsilons.strongest(privacy)}"
                + (f"; {text.epsilon(privacy['epsilon'])} if not" if epsilons.has_hidden(privacy) else "")
                + f"; delta {text.power(privacy['delta'])}",
                "proved",
            )
        )
    else:
        shown.append(not_private_card())
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
        engine = engine_name(result.get("device_errors"))
        shown.append(
            Card(
                "Latency p95, slowest tier",
                text.milliseconds(slowest),
                f"fastest tier {text.milliseconds(fastest)}" + (f"; {engine}" if engine else ""),
                "modelled",
            )
        )
        battery = text.span(tier["battery_percent_per_day"] for tier in tiers)
        mah = text.span(tier["mah_per_day"] for tier in tiers)
        shown.append(
            Card("Battery per phone and day", f"{battery}%", f"{mah} mAh, by tier; extrapolated", "modelled")
        )
    size = sentences.release_bytes(result)
    if size:
        report = result["traffic"].get("bytes_per_report")
        note = f"a report sent back is {text.size(report)}" if report else "each release, to each phone"
        name = (
            "One release, mean over phones" if sentences.several_sizes(result) else "One release of the model"
        )
        shown.append(Card(name, text.size(size), note, "measured"))
    rate = result["totals"].get("devices_per_s")
    shown.append(
        Card(
            "Computed in",
            text.duration(result["wall_s"]),
            f"{text.significant(rate)} devices per second" if rate else "from start to report",
            "measured",
        )
    )
    return shown
