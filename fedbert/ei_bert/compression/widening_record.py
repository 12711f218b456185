"""The record of a compression whose student was widened afterwards."""

from collections.abc import Mapping
from typing import Any

from fedbert.ei_bert.compression.aims import shares
from fedbert.ei_bert.compression.record import sizes
from fedbert.ei_bert.compression.widening import Widened

STAGE = "wide part"
# What is known of the student before it was widened alone: it has to be measured anew.
_OF_BEFORE = ("rivals", "unknown", "targets", "confusion")


def widened_record(record: Mapping[str, Any], found: Widened) -> dict[str, Any]:
    """Return `record`, the deep student's, with the widened one as its last stage and its sizes.

    What was measured of the deep student alone, beside rivals or a threshold, is left out.
    """
    artefact = found.artefact
    scores = artefact.manifest["scores"]["student, widened"]
    bits = artefact.manifest.get("quantisation", {})
    stage = {
        "stage": STAGE,
        "bytes": artefact.total_bytes,
        "accuracy": {name: [value] for name, value in scores.items()},
        "note": f"all files; deep part of {bits.get('embedding_bits', 8)}-bit embeddings and "
        f"{bits.get('weight_bits', 8)}-bit weights, {found.buckets:,} buckets, weight "
        f"{found.weight:g}; one seed",
    }
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
