"""The report of a compression: one HTML page, put together from its chapters."""

from fedbert.reporting.compression import (
    ablation,
    confusion,
    kinds,
    latency,
    losses,
    parts,
    probe,
    provenance,
    quantisation,
    rivals,
    search,
    stages,
    targets,
    unknown,
    vocabulary,
)
from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.cards import cards
from fedbert.reporting.compression.numbers import (
    final_stage,
    per_seed,
    reached,
    tasks,
)
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.compression.rival_sentences import headline
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import alert_html, render_page


def _alerts(record: CompressionRecord) -> list[str]:
    alerts = []
    missed = [str(each.get("what", "")) for each in record.get("targets") or [] if reached(each) is False]
    if missed:
        word = "A target was missed." if len(missed) == 1 else f"{len(missed)} targets were missed."
        alerts.append(alert_html(word, f"{'; '.join(missed)}."))
    total, budget = record.get("total_bytes"), record.get("budget_bytes")
    if total is not None and budget is not None and total > budget:
        excess = said.exact_bytes(total - budget)
        alerts.append(alert_html("Over budget.", f"The student is {excess} larger than was allowed."))
    final = final_stage(record)
    if final is not None and all(len(per_seed(final, task)) < 2 for task in tasks(record)):
        note = "No figure has an interval, and small differences may be chance. Give several seeds."
        alerts.append(alert_html("One seed.", note, warning=False))
    return alerts


def compression_html(record: CompressionRecord) -> str:
    """Return the report of a compression as one self-contained HTML page.

    Args:
        record: the parsed ``compression.json``; what is missing of it is left out of the page.
    """
    chapters = [
        targets.targets(record),
        stages.stages(record),
        rivals.rivals(record),
        ablation.ablation(record),
        quantisation.quantisation(record),
        probe.probe(record),
        unknown.unknown(record),
        kinds.kinds(record),
        parts.bytes_by_part(record),
        vocabulary.vocabulary(record),
        search.search(record),
        latency.latency(record),
        confusion.confusion(record),
        losses.losses(record),
        provenance.data(record),
        provenance.provenance(record),
    ]
    environment = record.get("environment") or {}
    commit = str(environment.get("commit") or "")[:12]
    small = ["Compression report", said.seeds(record), f"commit {commit}" if commit else ""]
    return render_page(
        title=f"{record['title']}: a student of {text.size(record['total_bytes'])}"
        if record.get("total_bytes") is not None
        else record["title"],
        subtitle=" · ".join(part for part in small if part),
        lead=headline(record),
        answers=said.answers(record),
        cards=cards(record),
        sections=[chapter for chapter in chapters if chapter is not None],
        alerts=_alerts(record),
        footer=f"Made by: {record['command']}",
    )
