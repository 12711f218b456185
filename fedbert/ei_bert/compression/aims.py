"""What a student is meant to reach, and what it reached, as a report shows it."""

from collections.abc import Mapping, Sequence

import numpy as np

from fedbert.ei_bert.compression.plan import TaskPlan
from fedbert.ei_bert.compression.rows import AimRow, CompressionRecord, Rivals

# What every size is asked for: accuracy lost by quantisation, share of the teacher's probe, and speed on two
# cores at the length of a usual request. `Plan.kept_share` is asked of each size by itself.
_LOST, _PROBED = 0.003, 0.95
_TEXTS_PER_S, _ALONE_MS, _LENGTH = 4_500, 0.6, 16


def aims(record: CompressionRecord, plan: TaskPlan) -> list[AimRow]:
    """Return rows of `what`, `asked`, `reached` and, for an upper bound, `at_most`, from a whole record.

    Accuracies are means over seeds, in shares of 1. Speeds are asked of two cores, of texts of 16 tokens.
    """
    names = [task["name"] for task in record["tasks"]]
    by_stage = {row["stage"]: row.get("accuracy", {}) for row in record["stages"]}
    before, quantised = by_stage[plan.method], by_stage["quantisation"]
    rows = shares(names, record["stages"][-1]["accuracy"], record["teacher"]["accuracy"], plan.kept_share)
    if "rivals" in record:
        rows += above_rivals(names, record["stages"][-1]["accuracy"], record["rivals"], plan.rival_points)
    rows += [
        {
            "what": f"{name}: accuracy lost by quantisation",
            "asked": _LOST,
            "reached": max(_mean(before[name]) - _mean(quantised[name]), 0.0),
            "at_most": True,
        }
        for name in names
    ]
    rows += [
        {"what": f"{row['set']}: share of the teacher's probe", "asked": _PROBED, "reached": row["retention"]}
        for row in record.get("probe", [])
    ]
    rows.append(
        {
            "what": "bytes of all files",
            "asked": plan.budget_bytes,
            "reached": record["total_bytes"],
            "at_most": True,
        }
    )
    timed = [row for row in record["latency"] if row["length"] == _LENGTH]
    rates = [row["texts_per_s"] for row in timed if row["batch"] > 1]
    alone = [row["ms"] for row in timed if row["batch"] == 1]
    rows.append(
        {"what": f"texts/s of {_LENGTH} tokens, batches", "asked": _TEXTS_PER_S, "reached": max(rates)}
    )
    rows.append(
        {
            "what": f"ms of one text of {_LENGTH} tokens",
            "asked": _ALONE_MS,
            "reached": min(alone),
            "at_most": True,
        }
    )
    return rows


def shares(
    names: Sequence[str],
    student: Mapping[str, Sequence[float]],
    teacher: Mapping[str, float],
    asked: float,
) -> list[AimRow]:
    """Return a row a task: the student's mean accuracy over seeds over the teacher's."""
    return [
        {
            "what": f"{name}: share of the teacher's accuracy",
            "asked": asked,
            "reached": _mean(student[name]) / teacher[name],
        }
        for name in names
    ]


def above_rivals(
    names: Sequence[str], student: Mapping[str, Sequence[float]], rivals: Rivals, asked: float
) -> list[AimRow]:
    """Return a row a task: points by which the student's mean accuracy over seeds is above the best rival's,
    which has one seed; none without rivals.
    """
    if len(rivals["rows"]) == 1:
        return []
    best = {name: max(row["accuracy"][name] for row in rivals["rows"][1:]) for name in names}
    return [
        {
            "what": f"{name}: points above the best rival",
            "asked": asked,
            "reached": 100 * (_mean(student[name]) - best[name]),
        }
        for name in names
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
