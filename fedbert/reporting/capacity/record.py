"""``capacity.json`` and ``forecast.csv``: a forecast as it is written, and read back for its report."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, cast

import numpy as np
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.intervals import Estimate
from fedbert.planning.budget.plan import Reading
from fedbert.planning.capacity.capacity import (
    Alert,
    BaseFacts,
    CapacityForecast,
    Curve,
    Forecast,
    Guarantee,
    Label,
    Met,
    Plan,
    Price,
    PrivacyPlan,
    Schedule,
    ServerFacts,
)
from fedbert.planning.capacity.world import PLAIN
from fedbert.records import RecordKind, load_record
from fedbert.reporting.capacity.basis_record import BasisRow, basis_in, basis_row
from fedbert.reporting.capacity.text import mix_assumption
from fedbert.reporting.capacity.world_record import WorldRow, world_in, world_row
from fedbert.results import DeviceErrors

if TYPE_CHECKING:
    import pandas as pd

CAPACITY_FILE = "capacity.json"
SCHEMA = 4
LIMIT_BYTES = 20_000_000


class PlanRow(TypedDict):
    """What was planned for (`fedbert.planning.capacity.capacity.Plan`)."""

    devices: int
    release_bits_per_s: float
    reports_per_round: int
    rounds_per_day: float
    releases_per_day: float
    release_hour: float
    over_selection: float
    model_spread: float
    seed: int
    schedule: Schedule
    sessions_per_day: float
    download_bytes: float
    check_in_bytes: float
    connection_bytes: float
    releases_kept: NotRequired[int | None]
    records_days: NotRequired[float]
    download_s: NotRequired[float]
    world: NotRequired[WorldRow]  # left out where a plan says nothing of it


class RunRow(TypedDict):
    """The run that the forecast starts from."""

    name: str
    seed: int
    commit: str | None
    devices: int
    days: float
    rounds: int
    rounds_per_day: float
    releases_per_day: float
    sampling_probability: float
    release_bytes: float
    report_bytes: float
    seen_share: float
    tier_ndcg: dict[str, list[float | None]]  # by tier, in the order of `fedbert.comparison.TIER_COLUMNS`
    device_errors: DeviceErrors | None


class ForecastRow(TypedDict):
    """One figure; without a `note` of why, a value, low or high that is null lies beyond the horizon.

    Plain arithmetic has a value, and neither low nor high.
    """

    forecast: str
    hour: int | None
    tier: str | None
    unit: str
    value: float | None
    low: float | None
    high: float | None
    label: Label
    assumption: str
    note: str


class CurveRow(TypedDict):
    """Shares of the devices that fetch a release, by point."""

    share: list[float]
    low: list[float]
    high: list[float]


class RolloutRow(CurveRow):
    """One release by time, under the cap and without it."""

    hours: list[float]  # since the release
    without_cap: CurveRow
    stopped: NotRequired[CurveRow]  # of a release that is halted or rolled back; left out where none is


class GuaranteeRow(TypedDict):
    """What the plan reveals to one adversary."""

    adversary: str
    epsilons: list[float | None]
    budget_epsilon: float | None


class LossRow(TypedDict):
    """nDCG@10 against no privacy at the plan's noise (`fedbert.planning.budget.plan.Reading`)."""

    value: float | None
    low: float | None
    high: float | None
    seeds: int | None
    why: str


class PrivacyRow(TypedDict):
    """The privacy of the plan (`fedbert.planning.capacity.capacity.PrivacyPlan`)."""

    mechanism: str
    noise_multiplier: float | None
    delta: float
    guarantees: list[GuaranteeRow]
    why: str
    budget_epsilon: float | None
    budget_days: float | None
    spent_epsilon: float | None
    quality: float | None
    quality_low: float | None
    quality_high: float | None
    quality_why: str
    loss: NotRequired[LossRow]


class AlertRow(TypedDict):
    """What the plan does not carry."""

    alert: str
    unit: str
    value: float
    limit: float
    change: str
    text: str


class GoalRow(TypedDict):
    """A goal that the plan meets."""

    goal: str
    value: float
    found: str


class PriceRow(TypedDict):
    """A number of the prices file."""

    price: str
    value: float
    date: str
    source: str
    above_tb_per_month: NotRequired[list[list[float]]]  # left out where one price holds for all


class ServersRow(TypedDict):
    """Whose measured costs the servers rest on."""

    calibration: str
    utilisation: float


class CapacityRecord(TypedDict):
    """The whole of ``capacity.json``."""

    schema: int
    command: str
    plan: PlanRow
    sampling_probability: float
    alerts: list[AlertRow]
    privacy: PrivacyRow
    goals: list[GoalRow]
    prices: list[PriceRow]
    priced_by: NotRequired[str]
    servers: NotRequired[ServersRow | None]
    assumption: str
    run: RunRow
    forecasts: list[ForecastRow]
    rollout: RolloutRow
    basis: NotRequired[BasisRow]  # left out where there is none


CAPACITY: RecordKind[CapacityRecord] = RecordKind(
    file=CAPACITY_FILE,
    whose="a forecast's",
    folder="a capacity forecast",
    again="run `fedbert capacity` again",
    shape=CapacityRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


def record_of(result: CapacityForecast, command: str) -> CapacityRecord:
    """Return the content of ``capacity.json``; a time that is not reached within the horizon is null."""
    record: CapacityRecord = {
        "schema": SCHEMA,
        "command": command,
        "plan": _plan_row(result.plan),
        "sampling_probability": result.sampling_probability,
        "alerts": [_alert_row(alert) for alert in result.alerts],
        "privacy": _privacy_row(result.privacy),
        "goals": [{"goal": met.goal, "value": met.value, "found": met.found} for met in result.goals],
        "prices": [_price_row(price) for price in result.prices],
        "priced_by": result.priced_by,
        "servers": _servers_row(result.servers),
        "assumption": mix_assumption(result.plan),
        "run": cast(RunRow, asdict(result.run)),
        "forecasts": [_row(row) for row in result.forecasts],
        "rollout": _rollout_row(result),
    }
    if result.basis is not None:
        record["basis"] = basis_row(result.basis)
    return record


def forecast_of(record: CapacityRecord) -> CapacityForecast:
    """Return the forecast that `record_of` wrote."""
    rollout = record["rollout"]
    return CapacityForecast(
        run=BaseFacts(**record["run"]),
        plan=_plan(record["plan"]),
        sampling_probability=record["sampling_probability"],
        forecasts=tuple(_forecast(row) for row in record["forecasts"]),
        rollout_hours=np.array(rollout["hours"], np.float64),
        rollout=_curve(rollout),
        rollout_without_cap=_curve(rollout["without_cap"]),
        privacy=_privacy(record["privacy"]),
        alerts=tuple(
            Alert(row["alert"], row["unit"], row["value"], row["limit"], row["change"], row["text"])
            for row in record["alerts"]
        ),
        goals=tuple(Met(row["goal"], row["value"], row["found"]) for row in record["goals"]),
        prices=tuple(_price(row) for row in record["prices"]),
        priced_by=record.get("priced_by", ""),
        servers=_servers(record.get("servers")),
        basis=basis_in(record["basis"]) if "basis" in record else None,
        rollout_stopped=_curve(rollout["stopped"]) if "stopped" in rollout else None,
    )


def load_forecast(folder: Path) -> tuple[CapacityForecast, str]:
    """Return the forecast in `folder` and the command that made it; raises FedbertError."""
    record = load_record(CAPACITY, folder)
    return forecast_of(record), record["command"]


def _price_row(price: Price) -> PriceRow:
    row: PriceRow = {
        "price": price.name,
        "value": price.value,
        "date": price.date,
        "source": price.source,
    }
    if price.above_tb_per_month:
        row["above_tb_per_month"] = [list(step) for step in price.above_tb_per_month]
    return row


def _price(row: PriceRow) -> Price:
    steps = tuple((step[0], step[1]) for step in row.get("above_tb_per_month", []))
    return Price(row["price"], row["value"], row["date"], row["source"], steps)


def _plan_row(plan: Plan) -> PlanRow:
    values = {**asdict(plan), "world": world_row(plan.world)}
    if plan.world == PLAIN:
        del values["world"]
    return cast(PlanRow, values)


def _plan(row: PlanRow) -> Plan:
    world = world_in(row["world"]) if "world" in row else PLAIN
    return Plan(**{**row, "world": world})  # type: ignore[arg-type]


def _servers_row(facts: ServerFacts | None) -> ServersRow | None:
    return None if facts is None else {"calibration": facts.said, "utilisation": facts.utilisation}


def _servers(row: ServersRow | None) -> ServerFacts | None:
    return None if row is None else ServerFacts(row["calibration"], row["utilisation"])


def _alert_row(alert: Alert) -> AlertRow:
    return {
        "alert": alert.name,
        "unit": alert.unit,
        "value": alert.value,
        "limit": alert.limit,
        "change": alert.change,
        "text": alert.text,
    }


def _privacy_row(plan: PrivacyPlan) -> PrivacyRow:
    quality = plan.quality
    row: PrivacyRow = {
        "mechanism": plan.mechanism,
        "noise_multiplier": plan.noise_multiplier,
        "delta": plan.delta,
        "guarantees": [
            {
                "adversary": each.adversary,
                "epsilons": [_finite(epsilon) for epsilon in each.epsilons],
                "budget_epsilon": _finite(each.budget_epsilon),
            }
            for each in plan.guarantees
        ],
        "why": plan.why,
        "budget_epsilon": plan.budget_epsilon,
        "budget_days": plan.budget_days,
        "spent_epsilon": _finite(plan.spent_epsilon),
        "quality": quality.value if quality else None,
        "quality_low": quality.low if quality else None,
        "quality_high": quality.high if quality else None,
        "quality_why": plan.quality_why,
    }
    if (loss := plan.loss) is not None:
        row["loss"] = {
            "value": loss.value,
            "low": loss.low,
            "high": loss.high,
            "seeds": loss.seeds,
            "why": loss.why,
        }
    return row


def _privacy(row: PrivacyRow) -> PrivacyPlan:
    value = row["quality"]
    return PrivacyPlan(
        mechanism=row["mechanism"],
        noise_multiplier=row["noise_multiplier"],
        delta=row["delta"],
        guarantees=tuple(
            Guarantee(
                each["adversary"],
                tuple(math.inf if epsilon is None else epsilon for epsilon in each["epsilons"]),
                each["budget_epsilon"],
            )
            for each in row["guarantees"]
        ),
        why=row["why"],
        budget_epsilon=row["budget_epsilon"],
        budget_days=row["budget_days"],
        spent_epsilon=row["spent_epsilon"],
        quality=None if value is None else Estimate(value, row["quality_low"], row["quality_high"]),
        quality_why=row["quality_why"],
        loss=Reading(**row["loss"]) if "loss" in row else None,
    )


def _row(row: Forecast) -> ForecastRow:
    return {
        "forecast": row.name,
        "hour": row.hour,
        "tier": row.tier,
        "unit": row.unit,
        "value": _finite(row.estimate.value),
        "low": _finite(row.estimate.low),
        "high": _finite(row.estimate.high),
        "label": row.label,
        "assumption": row.assumption,
        "note": row.note,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _forecast(row: ForecastRow) -> Forecast:
    bounds = row["value"], row["low"], row["high"]
    value, low, high = (math.inf if bound is None else bound for bound in bounds)
    if row["note"] and all(bound is None for bound in bounds):
        estimate = Estimate(math.nan, None, None)
    # Plain arithmetic has a value and no interval; every other null stands for "not within the horizon".
    elif bounds[0] is not None and bounds[1] is None and bounds[2] is None:
        estimate = Estimate(value, None, None)
    else:
        estimate = Estimate(value, low, high)
    return Forecast(
        name=row["forecast"],
        unit=row["unit"],
        estimate=estimate,
        label=row["label"],
        assumption=row["assumption"],
        hour=row["hour"],
        tier=row["tier"],
        note=row["note"],
    )


def _curve_row(curve: Curve) -> CurveRow:
    return {"share": curve.value.tolist(), "low": curve.low.tolist(), "high": curve.high.tolist()}


def _rollout_row(result: CapacityForecast) -> RolloutRow:
    shown = _curve_row(result.rollout)
    row: RolloutRow = {
        "share": shown["share"],
        "low": shown["low"],
        "high": shown["high"],
        "hours": result.rollout_hours.tolist(),
        "without_cap": _curve_row(result.rollout_without_cap),
    }
    if result.rollout_stopped is not None:
        row["stopped"] = _curve_row(result.rollout_stopped)
    return row


def _curve(row: CurveRow) -> Curve:
    return Curve(*(np.array(values, np.float64) for values in (row["share"], row["low"], row["high"])))


def frame(result: CapacityForecast) -> "pd.DataFrame":
    """Return ``forecast.csv``: one row per figure, with the columns of `ForecastRow`."""
    import pandas as pd

    rows = [
        {**_row(row), "value": row.estimate.value, "low": row.estimate.low, "high": row.estimate.high}
        for row in result.forecasts
    ]
    return pd.DataFrame(rows).astype({"hour": "Int64"})
