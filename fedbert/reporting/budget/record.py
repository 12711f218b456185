"""``budget.json``: a privacy plan as it is written, and read back for its report."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.budget.noise import Shares
from fedbert.planning.budget.plan import (
    HORIZON_DAYS,
    Accounted,
    BudgetPlan,
    FreeFleet,
    MeasuredArm,
    Participation,
    Question,
    Reading,
    Refused,
    Row,
)
from fedbert.records import RecordKind, load_record

BUDGET_FILE = "budget.json"
SCHEMA = 1
LIMIT_BYTES = 5_000_000


class SharesRow(TypedDict):
    """Who of those that join reports (`fedbert.planning.budget.noise.Shares`)."""

    in_time: float
    by_opening: float


class QuestionRow(TypedDict):
    """What was asked (`fedbert.planning.budget.plan.Question`)."""

    epsilon: float
    days: int
    delta: float | None
    devices: int
    round_hours: float
    sampling_probability: float
    release_every: int
    availability: str
    shares: SharesRow
    signal: str


class ReadingRow(TypedDict):
    """A difference in nDCG@10; null with the reason in `why` where it was not measured."""

    value: float | None
    low: float | None
    high: float | None
    seeds: int | None
    why: str


class FreeRow(ReadingRow):
    """The fleet from which nothing is lost that the seeds resolve, and the arm that it rests on."""

    devices: int | None


class PlannedRow(TypedDict):
    """One mechanism against one adversary."""

    mechanism: str
    participation: Participation
    adversary: str
    noise_multiplier: float
    epsilon: float
    epsilon_1_days: float
    epsilon_30_days: float
    epsilon_365_days: float
    cycle_rounds: int
    cycle_epsilon: float
    round_reports: float
    cycle_reports: float
    day_noise: float | None
    horizon_noise: float | None
    frontier_noise: float | None
    loss: ReadingRow
    gain: ReadingRow
    free: FreeRow


class RefusedRow(TypedDict):
    """A mechanism that the budget is out of reach of."""

    mechanism: str
    participation: Participation
    why: str


class ArmRow(TypedDict):
    """A private arm of a frontier; differences are [value, low, high]."""

    frontier: str
    signal: str
    mechanism: str
    epsilon: float
    devices: int
    noise_devices: int
    seeds: int
    noise: float
    loss: list[float | None]
    gain: list[float | None]


class BudgetRecord(TypedDict):
    """The whole of ``budget.json``."""

    schema: int
    command: str
    plan: QuestionRow
    delta: float
    rounds: int
    chosen: str | None
    frontier_rounds: int | None
    planned: list[PlannedRow]
    refused: list[RefusedRow]
    arms: list[ArmRow]


KIND: RecordKind[BudgetRecord] = RecordKind(
    file=BUDGET_FILE,
    whose="a privacy plan's",
    folder="a privacy plan",
    again="run `fedbert budget` again",
    shape=BudgetRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


def record_of(plan: BudgetPlan, command: str) -> BudgetRecord:
    """Return the content of ``budget.json``."""
    question, chosen = plan.question, plan.chosen
    return {
        "schema": SCHEMA,
        "command": command,
        "plan": cast(QuestionRow, asdict(question)),
        "delta": question.delta_of(question.devices),
        "rounds": question.rounds,
        "chosen": chosen.accounted.mechanism if chosen else None,
        "frontier_rounds": plan.measured_rounds,
        "planned": [_planned(row) for row in plan.rows],
        "refused": [cast(RefusedRow, asdict(row)) for row in plan.refused],
        "arms": [_arm_row(arm) for arm in plan.arms],
    }


def _question(row: QuestionRow) -> Question:
    values: dict[str, Any] = {**row, "shares": Shares(**row["shares"])}
    return Question(**values)


def plan_of(record: BudgetRecord) -> BudgetPlan:
    """Return the plan that `record_of` wrote."""
    return BudgetPlan(
        question=_question(record["plan"]),
        measured_rounds=record["frontier_rounds"],
        rows=tuple(_row(row) for row in record["planned"]),
        refused=tuple(Refused(**row) for row in record["refused"]),
        arms=tuple(_arm(row) for row in record["arms"]),
    )


def load_plan(folder: Path) -> tuple[BudgetPlan, str]:
    """Return the plan in `folder` and the command that made it; raises FedbertError."""
    record = load_record(KIND, folder)
    return plan_of(record), record["command"]


_HORIZONS = tuple(f"epsilon_{days}_days" for days in HORIZON_DAYS)


def _planned(row: Row) -> PlannedRow:
    values = asdict(row.accounted)
    values |= dict(zip(_HORIZONS, values.pop("horizons"), strict=True))
    values |= {"frontier_noise": row.noise}
    values |= {"loss": asdict(row.loss), "gain": asdict(row.gain), "free": asdict(row.free)}
    return cast(PlannedRow, values)


def _row(row: PlannedRow) -> Row:
    values: dict[str, Any] = dict(row)
    noise = values.pop("frontier_noise")
    loss, gain, free = (values.pop(name) for name in ("loss", "gain", "free"))
    values["horizons"] = tuple(values.pop(name) for name in _HORIZONS)
    return Row(Accounted(**values), noise, Reading(**loss), Reading(**gain), FreeFleet(**free))


def _arm_row(arm: MeasuredArm) -> ArmRow:
    values = asdict(arm)
    for name in ("loss", "gain"):
        values[name] = [None if math.isnan(end) else end for end in values[name]]
    return cast(ArmRow, values)


def _arm(row: ArmRow) -> MeasuredArm:
    values: dict[str, Any] = dict(row)
    for name in ("loss", "gain"):
        values[name] = tuple(math.nan if end is None else end for end in values[name])
    return MeasuredArm(**values)
