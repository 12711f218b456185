"""What a record says of a wide part: a compression's stage, and a student that was widened afterwards."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedbert.ei_bert.compression.aims import shares
from fedbert.ei_bert.compression.record import sizes
from fedbert.ei_bert.compression.rows import StageRow
from fedbert.ei_bert.compression.widening import WIDENED, Widened

STAGE = "wide part"
# What is known of the student before it was widened alone: it has to be measured anew.
_OF_BEFORE = ("rivals", "unknown", "targets", "confusion")


def wide_stage(found: Sequence[Widened]) -> StageRow:
    """Return the stage of the wide part of students, one a seed."""
    artefact, scores = found[0].artefact, [one.artefact.manifest["scores"][WIDENED] for one in found]
    bits = artefact.manifest.get("quantisation", {})
    weights = ", ".join(f"{one.weight:g}" for one in found)
    row: StageRow = {
        "stage": STAGE,
        "bytes": artefact.total_bytes,
        "accuracy": {name: [each[name] for each in scores] for name in scores[0]},
        "note": f"all files; deep part of {bits.get('embedding_bits', 8)}-bit embeddings and "
        f"{bits.get('weight_bits', 8)}-bit weights, {found[0].buckets:,} buckets, weight {weights}",
    }
    if found[0].validation:
        row["validation"] = {name: [one.validation[name] for one in found] for name in found[0].validation}
    return row


def widened_record(record: Mapping[str, Any], found: Widened) -> dict[str, Any]:
    """Return `record`, the deep student's, with the widened one as its last stage and its sizes.

    What was measured of the deep student alone, beside rivals or a threshold, is left out.
    """
    artefact, stage = found.artefact, wide_stage([found])
    stage["note"] += "; one seed"
    scores = artefact.manifest["scores"][WIDENED]
    whole = {name: value for name, value in record.items() if name not in _OF_BEFORE}
    whole |= {
        "stages": [*(row for row in record.get("stages", []) if row.get("stage") != STAGE), stage],
        **sizes(artefact),
    }
    teacher, plan = record.get("teacher", {}).get("accuracy"), record.get("plan", {})
    if teacher and "kept_share" in plan:
        names = [name for name in scores if name in teacher]
        whole["targets"] = [
            *shares(names, {name: [scores[name]] for name in names}, teacher, plan["kept_share"]),
            {
                "what": "bytes of all files",
                "asked": plan["budget_bytes"],
                "reached": artefact.total_bytes,
                "at_most": True,
            },
        ]
    return whole
