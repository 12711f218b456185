"""``backtest.json``: a back-test as it is written, and read back for its report."""

from pathlib import Path

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.capacity.backtest import Backtest, Checked
from fedbert.records import RecordKind, load_record

BACKTEST_FILE = "backtest.json"
SCHEMA = 2
LIMIT_BYTES = 50_000_000


class CheckedRow(TypedDict):
    """One figure as it was forecast and as it came out; `error` is null where nothing came out."""

    devices: int
    seed: int
    forecast: str
    hour: int | None
    tier: str | None
    unit: str
    predicted: float
    low: float
    high: float
    simulated: float
    error: float | None
    inside: bool
    spread_half_width: float | None
    plan_half_width: float | None


class SummaryRow(TypedDict):
    """All figures of fleets of one size (`fedbert.planning.capacity.backtest.Summary`)."""

    devices: int
    figures: int
    inside: float
    inside_low: float | None
    inside_high: float | None
    median_error: float
    median_half_width: float
    median_spread_half_width: float | None
    median_plan_half_width: float | None
    systematic: list[str]


class BacktestRecord(TypedDict):
    """The whole of ``backtest.json``."""

    schema: int
    command: str
    small: int
    seeds: int
    rounds: int
    model_spread: float
    summaries: list[SummaryRow]
    figures: list[CheckedRow]


BACKTEST: RecordKind[BacktestRecord] = RecordKind(
    file=BACKTEST_FILE,
    whose="a back-test's",
    folder="a back-test",
    again="run `fedbert capacity backtest` again",
    shape=BacktestRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


def record_of(found: Backtest, command: str) -> BacktestRecord:
    """Return the content of ``backtest.json``."""
    return {
        "schema": SCHEMA,
        "command": command,
        "small": found.small,
        "seeds": found.seeds,
        "rounds": found.rounds,
        "model_spread": found.model_spread,
        "summaries": [
            {
                "devices": each.devices,
                "figures": each.figures,
                "inside": each.inside.value,
                "inside_low": each.inside.low,
                "inside_high": each.inside.high,
                "median_error": each.median_error,
                "median_half_width": each.median_half_width,
                "median_spread_half_width": each.median_spread_half_width,
                "median_plan_half_width": each.median_plan_half_width,
                "systematic": list(each.systematic),
            }
            for each in found.summaries
        ],
        "figures": [
            {
                "devices": each.devices,
                "seed": each.seed,
                "forecast": each.name,
                "hour": each.hour,
                "tier": each.tier,
                "unit": each.unit,
                "predicted": each.predicted,
                "low": each.low,
                "high": each.high,
                "simulated": each.simulated,
                "error": each.error,
                "inside": each.inside,
                "spread_half_width": each.spread_half_width,
                "plan_half_width": each.plan_half_width,
            }
            for each in found.checked
        ],
    }


def load_backtest(folder: Path) -> tuple[Backtest, str]:
    """Return the back-test in `folder` and the command that made it; raises FedbertError.

    Errors, and the summaries, follow from the figures again.
    """
    record = load_record(BACKTEST, folder)
    checked = tuple(
        Checked(
            row["devices"],
            row["seed"],
            row["forecast"],
            row["hour"],
            row["tier"],
            row["unit"],
            row["predicted"],
            row["low"],
            row["high"],
            row["simulated"],
            row["spread_half_width"],
            row["plan_half_width"],
        )
        for row in record["figures"]
    )
    found = Backtest(record["small"], record["seeds"], record["rounds"], record["model_spread"], checked)
    return found, record["command"]
