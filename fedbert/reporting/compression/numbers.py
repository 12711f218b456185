"""What the report of a compression works out from ``compression.json``: intervals, shares kept, what helped.

Intervals are 95%, Student's t over seeds ("Student", 1908, "The probable error of a mean"); one seed has
none. They hold the chance of initialisation and order, not that of which texts are in a test set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedbert.intervals import t_interval
from fedbert.reporting.compression.record import (
    ArmRow,
    CompressionRecord,
    ConfusionRow,
    FormRow,
    Measured,
    StageRow,
    TargetRow,
)

HELPS, HURTS, SAME, UNKNOWN = "helps", "hurts", "no measurable difference", "one seed, no interval"
"""What a difference to the reference says."""

REST = "everything else"
"""The bytes that no named part covers."""


@dataclass(frozen=True)
class Spread:
    """A mean over seeds with its 95 % interval; `low` and `high` are None where there was one seed."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """An arm's accuracy minus the reference's on one task, in [-1, 1], paired by seed."""

    arm: str
    task: str
    spread: Spread
    p: float | None = None  # two-sided, not corrected for the number of comparisons

    @property
    def verdict(self) -> str:
        """What the interval says: `HELPS` or `HURTS` if it excludes 0, else `SAME`; `UNKNOWN` without one."""
        low, high = self.spread.low, self.spread.high
        if low is None or high is None:
            return UNKNOWN
        if low > 0:
            return HELPS
        return HURTS if high < 0 else SAME


def numbers(entry: Any) -> list[float]:
    """Return a figure, or a list of one figure per seed, as finite floats; anything else is left out."""
    each = entry if isinstance(entry, list | tuple) else [entry]
    return [
        float(value)
        for value in each
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def t_spread(values: Sequence[float]) -> Spread | None:
    """Return the mean of `values` `[seed]` with Student's t interval; None for no values."""
    if not values:
        return None
    found = t_interval(np.array(values, np.float64))
    return Spread(found.value, found.low, found.high)


def per_seed(row: Measured, task: str) -> list[float]:
    """Return the accuracy of `row` (a stage, an arm, the teacher) on `task`, one figure per seed."""
    return numbers((row.get("accuracy") or {}).get(task))


def tasks(record: CompressionRecord) -> list[str]:
    """Return the names of the tasks, those of ``tasks`` first, then any that only have an accuracy."""
    rows = [record.get("teacher") or {}, *(record.get("stages") or []), *arms_of(record), *forms(record)]
    names = [str(task.get("name", "")) for task in record.get("tasks") or []]
    names += [name for row in rows for name in row.get("accuracy") or {}]
    return [name for name in dict.fromkeys(names) if name]


def arms_of(record: CompressionRecord) -> list[ArmRow]:
    """Return the ablation's arms, as they stand."""
    return list((record.get("ablation") or {}).get("arms") or [])


def forms(record: CompressionRecord) -> list[FormRow]:
    """Return the quantised forms, as they stand."""
    return list(record.get("quantisation") or [])


def final_stage(record: CompressionRecord) -> StageRow | None:
    """Return the last stage whose accuracy was measured, which is what is shipped."""
    measured = [stage for stage in record.get("stages") or [] if stage.get("accuracy")]
    return measured[-1] if measured else None


def paired(left: Sequence[float], right: Sequence[float]) -> list[tuple[float, float]]:
    """Return figures seed by seed; a single figure on the right stands beside every seed on the left.

    Lists of other lengths cannot be paired: then nothing is returned.
    """
    if len(right) == 1:
        return [(value, right[0]) for value in left]
    return list(zip(left, right, strict=True)) if len(left) == len(right) else []


def kept(row: Measured, teacher: Measured, task: str) -> Spread | None:
    """Return the share of the teacher's accuracy that `row` has on `task`; None if one was not measured."""
    pairs = paired(per_seed(row, task), per_seed(teacher, task))
    return t_spread([student / reference for student, reference in pairs if reference > 0])


def change(row: Measured, reference: Measured, task: str) -> Spread | None:
    """Return the accuracy of `row` minus that of `reference` on `task`, paired by seed."""
    return t_spread(
        [ours - theirs for ours, theirs in paired(per_seed(row, task), per_seed(reference, task))]
    )


def differences(record: CompressionRecord) -> list[Difference]:
    """Return the ablation's differences to its reference: as recorded, else worked out from its arms."""
    ablation = record.get("ablation") or {}
    given = ablation.get("differences")
    if given:
        return [
            Difference(row["arm"], row["task"], Spread(mean, row.get("low"), row.get("high")), row.get("p"))
            for row in given
            if (mean := row.get("mean")) is not None
        ]
    arms = arms_of(record)
    reference = next((arm for arm in arms if arm["arm"] == ablation.get("reference")), None)
    if reference is None:
        return []
    found = [
        (arm["arm"], task, change(arm, reference, task))
        for arm in arms
        if arm is not reference
        for task in tasks(record)
    ]
    return [Difference(arm, task, spread) for arm, task, spread in found if spread is not None]


def by_verdict(found: Sequence[Difference]) -> dict[str, dict[str, list[Difference]]]:
    """Return differences by arm, then by verdict, in the order in which they come."""
    grouped: dict[str, dict[str, list[Difference]]] = {}
    for difference in found:
        grouped.setdefault(difference.arm, {}).setdefault(difference.verdict, []).append(difference)
    return grouped


def reached(target: TargetRow) -> bool | None:
    """Return whether a target was reached; None if it was not measured.

    A target asks for at least its figure, or for at most that if it says ``"at_most": true``.
    """
    asked, got = target.get("asked"), target.get("reached")
    if asked is None or got is None:
        return None
    return bool(got <= asked if target.get("at_most") else got >= asked)


def parts(record: CompressionRecord) -> list[tuple[str, float]]:
    """Return the bytes by part, largest first; what the parts do not cover of the total is `REST`."""
    listed = [(str(name), float(size)) for name, size in (record.get("parts") or {}).items()]
    rest = (record.get("total_bytes") or 0) - sum(size for _, size in listed)
    shown = sorted(listed, key=lambda part: -part[1])
    return [*shown, (REST, rest)] if listed and rest > 0 else shown


def grown_confusions(rows: Sequence[ConfusionRow], most: int = 10) -> list[ConfusionRow]:
    """Return the pairs of labels that the student confuses more often than the teacher, most grown first."""
    grown = [row for row in rows if row["student"] > row["teacher"]]
    return sorted(grown, key=lambda row: (row["teacher"] - row["student"], row["true"], row["predicted"]))[
        :most
    ]
