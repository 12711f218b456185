"""The key numbers at the top of a run's report."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import engine_name
from fedbert.reporting.parts.page import Card
from fedbert.reporting.run import epsilons, sentences
from fedbert.results import RunResult, Underway, is_private


def quality_card(result: Underway) -> Card:
    """Return the card on ranking quality."""
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


def not_private_card() -> Card:
    """Return the card that says that nothing bounds what a run reveals."""
    return Card("Privacy", text.NOT_PRIVATE, "no noise: sums are exact", None, alert=True)


def cards(result: RunResult) -> list[Card]:
    """Return the key numbers of a run."""
    shown, privacy = [quality_card(result)], result["privacy"]
    gap = result["gap"]
    if gap is not None and gap["closed"] is not None:
        shown.append(
            Card(
                "Gap closed, with privacy" if is_private(privacy) else "Gap closed",
                text.percent(gap["closed"]),
                f"{gap['release_0']:.3f} → {gap['final']:.3f} of {gap['pooled']:.3f} with pooled data",
                "measured",
            )
        )
    if is_private(privacy):
        shown.append(
            Card(
                "Privacy spent (epsilon)",
                text.epsilon(epsilons.seen_epsilon(privacy)),
                f"per device in {result['rounds'][-1]['round']} rounds, where participation is seen"
                + (f"; {text.epsilon(privacy['epsilon'])} where not" if epsilons.has_hidden(privacy) else "")
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
            f"{text.significant(rate)} devices per second" if rate else "from start to report",
            "measured",
        )
    )
    return shown
