"""Chapter of a compression's report: what was asked, what was reached."""

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import reached
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts.page import Cell, Section, table_html


def targets(record: CompressionRecord) -> Section | None:
    """What was asked, what was reached."""
    listed = record.get("targets") or []
    if not listed:
        return None
    rows: list[list[Cell]] = []
    for target in listed:
        asked, got = said.target_figures(target.get("asked"), target.get("reached"))
        verdict = {True: "reached", False: "missed", None: "not measured"}[reached(target)]
        bound = "at most" if target.get("at_most") else "at least"
        rows.append([str(target.get("what", "")), f"{bound} {asked}", got, verdict])
    missed = [index for index, target in enumerate(listed) if reached(target) is False]
    return Section(
        "Asked and reached",
        "measured",
        table_html(rows, ["target", "asked", "reached", "verdict"], align="lrrl", emphasis=missed),
        "Means over seeds are compared, without their intervals. Missed targets are in bold.",
        said.targets_sentence(record),
    )
