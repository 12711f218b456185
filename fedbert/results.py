"""What came out of a run: the shape of ``run.json``, and its one reader and writer.

Every number is *measured* (really computed or timed here), *modelled* (predicted from profiles) or *proved*
(epsilon under its assumptions); `LABELS` says which is which. Quality figures are means over evaluation
sessions with 20 candidates each, unless their name says otherwise.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, NotRequired, get_args

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.files import write_bytes
from fedbert.machine import MachineRecord
from fedbert.records import RecordKind, load_record

SCHEMA = 1
RUN_FILE = "run.json"
RUN_LIMIT_BYTES = 500_000_000
"""Largest run.json that is read; that of 10,000 rounds with a release each is not far below."""

LABELS: dict[str, str] = {
    "quality": "measured",
    "bytes": "measured",
    "cohort": "modelled",
    "latency": "modelled",
    "memory": "modelled",
    "energy": "modelled",
    "outcomes": "modelled",
    "availability": "modelled",
    "epsilon": "proved",
    "secure_sum": "measured",
    "verified_devices": "measured",
    "timing": "measured",
}

CANDIDATES = 20
"""Items that a session ranks, one of them the target item."""

Tier = Literal["entry", "mid", "flagship"]
TIERS: tuple[str, ...] = get_args(Tier)
"""Names of the device tiers; a tier as a number is an index into this."""

OUTCOMES = ("scored", "too_slow", "out_of_memory", "no_release")
"""Names of what came of a session; as a number an index into this (`devices.cost_model.Outcome`)."""

METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10", "hit@1")

ENERGY_USES = ("sessions", "installs", "uploads", "downloads")
"""What a phone's energy goes to."""

Metrics = TypedDict(
    "Metrics", {"auc": float, "mrr": float, "ndcg@5": float, "ndcg@10": float, "hit@1": float}
)

RoundRow = TypedDict(
    "RoundRow",
    {
        "round": int,  # 0 = the window before the first round
        "hour": float,  # local hour at the round's end
        # what users saw: every evaluation session of the window, default order where nothing was scored
        "auc": float,
        "mrr": float,
        "ndcg@5": float,
        "ndcg@10": float,
        "hit@1": float,
        "ndcg@10_low": float,  # 95 % interval, resampling texts
        "ndcg@10_high": float,
        "sessions": int,  # evaluation sessions in the window
        "scored_ndcg@10": float | None,  # over the sessions that were scored in time
        "control_ndcg@10": float | None,  # scored sessions of the control group (release 0)
        "treated_ndcg@10": float | None,  # scored sessions of all other devices
        "outcomes": dict[str, int],  # evaluation sessions by `OUTCOMES`
        "epsilon": float | None,  # cumulative, amplified; None = not private
        "epsilon_unamplified": float | None,
        "cohort": int,  # devices whose coin said yes
        "eligible": int,  # of these: idle, charging, on a link that may send (scenario key metered)
        "completed": int,  # of these: not late, not interrupted
        "dropped": int,  # eligible - completed
        "reported": int,  # of the completed: on the round's release, with clicks to report
        "signal_release": int,  # the one release whose signals the round sums
        "bytes_up": int,  # over the links, repeated attempts included
        "bytes_down": int,  # the same
        "downloads": int,
        "installed": dict[str, int],  # devices by installed release, at the round's end
        "server_ndcg@10": float,  # public validation texts, student of the server after the round
        "released": int | None,  # number of the release made in this round
        "gate": str,  # what the release gate said
        "round_status": str,  # "updated" | "held: ..."
        "loss": float | None,  # cross-distillation loss after the update
        "participants": NotRequired[int],  # devices that tried to send a signal
        "energy_mj_per_participant": NotRequired[float | None],  # all they spent in the round, mean of them
        "wall_s": float,
        "missing": NotRequired[int],  # devices of shards that gave no answer; only where there were any
    },
)


class TierRow(TypedDict):
    """Figures of one device tier over the whole run."""

    devices: int
    sessions: int
    quality: Metrics  # as users saw it
    scored_quality: Metrics | None
    outcomes: dict[str, int]  # by `OUTCOMES`; learning and evaluation sessions together
    latency_ms: dict[str, float]  # p50 p90 p95 p99 of answered sessions, from fixed bins of 2 %
    peak_memory_bytes: dict[str, float]  # p50 p90 p95 p99
    energy_mj_per_session: float  # sessions that ran: scored or too slow
    # what a device spends in a round in which it sends a signal, mean of those; None if there were none
    energy_mj_per_round: NotRequired[float | None]
    energy_mj_per_round_by: NotRequired[dict[str, float]]  # the same by `ENERGY_USES`
    energy_mj_per_day_by: NotRequired[dict[str, float]]  # mean device of the tier, by `ENERGY_USES`
    install_ms: float  # mean, background encoding of catalogue and history per installed release
    mah_per_day: float
    battery_percent_per_day: float
    device_ms_per_day: float


class HourRow(TypedDict):
    """Figures of one local hour of the day (0..23), from the fleet's availability and traffic."""

    hour: int
    idle: float  # shares of the fleet
    charging: float
    unmetered: float
    eligible: float
    sessions: float  # share of the day's sessions


class ComparisonRow(TypedDict):
    """One ranking system on the same evaluation sessions, every session scored."""

    id: NotRequired[str]  # `fedbert.comparison`
    system: str
    inputs: str  # which texts and habits it sees
    quality: Metrics
    low: float  # 95 % interval of ndcg@10, resampling texts
    high: float
    tiers: NotRequired[dict[str, Metrics]]  # the same sessions by tier of their device


class Gap(TypedDict):
    """What the signals won, by the int8 student on all evaluation sessions: full scoring."""

    release_0: float
    final: float
    pooled: float
    closed: float | None  # (final - release_0) / (pooled - release_0); None if there is no gap
    text_only_release_0: float
    text_only_final: float
    text_only_pooled: float
    text_only_closed: float | None


class Projection(TypedDict):
    """Epsilon if the same noise and rounds went on for `days` days."""

    days: int
    epsilon: float
    epsilon_unamplified: float


class BoundRow(TypedDict):
    """One proved bound on what the run reveals of a `unit` to an `adversary`."""

    adversary: str
    unit: str
    epsilon: float
    delta: float


class PrivacyRow(TypedDict):
    """The privacy of the run; `statement` is the one line for people."""

    mode: str  # "none" | "central" | "local"
    mechanism: NotRequired[str]
    bounds: NotRequired[list[BoundRow]]  # weakest adversary first
    statement: str
    sampler: str
    sampling_probability: float
    noise_multiplier: float | None
    clip_norm: float
    delta: float
    epsilon: float | None
    epsilon_unamplified: float | None
    assumptions: dict[str, str]  # "amplified", "unamplified", "unit"
    projections: list[Projection]


class VerifiedRow(TypedDict):
    """One device that was really run under a hard memory limit."""

    device: int | None  # None = a budget drawn from the profile
    profile: str
    tokens: int
    budget_bytes: int
    predicted_bytes: int
    predicted: str  # "fits" | "out of memory"
    seen: str
    agrees: bool


class DeviceErrorRow(TypedDict):
    """Predicted against measured times over one set of measurements; errors and shares are in 0..1."""

    what: str
    label: str
    rows: int
    median_error: float
    within_10: float
    within_20: float
    within_30: float
    asked: float | None  # median error that was aimed at
    note: str


class DeviceErrors(TypedDict):
    """How far off the device model is (`fedbert.devices.errors_table`)."""

    made_by: str
    rows: list[DeviceErrorRow]
    note: str | None  # said where the run's profiles are not the ones the errors are of


def is_private(privacy: PrivacyRow) -> bool:
    """Return whether anything bounds what the run reveals."""
    return privacy["mode"] != "none"


def is_bounded(row: RoundRow) -> bool:
    """Return whether an epsilon bounds what the run has revealed up to a round."""
    return row["epsilon"] is not None


def asked_errors(errors: DeviceErrors) -> list[DeviceErrorRow]:
    """Return the rows that a median error was asked of; the first is a SoC that is not in the fit."""
    return [row for row in errors["rows"] if row["asked"] is not None]


class WorldFacts(TypedDict):
    """What the run's world holds; `note` is for plain sight."""

    name: str
    items: int
    public_texts: int
    private_texts: int  # learning sessions use them
    evaluation_texts: int
    users: NotRequired[int | None]  # None: as many as devices
    note: str | None


ModelFacts = TypedDict(
    "ModelFacts",
    {
        "name": str,
        "bytes": int,  # release 0, all files
        "sha256": str,  # release 0
        "final_sha256": NotRequired[str],  # the last release
        "unreleased_sha256": NotRequired[str],  # the server's student at the end
        "dim": int,
        "vocabulary": NotRequired[int],  # written by earlier versions
        "parameters": NotRequired[int | None],
        "teacher": Any,  # as the artefact's manifest names it
        "public_validation_ndcg@10": NotRequired[float],  # release 0
    },
)


class SecureSumRow(TypedDict):
    """What really running the masks of a few phones showed."""

    devices_per_shard: int  # phones in each shard whose masks were run
    dropped: str
    equal: bool | None  # whether the sums were equal; None where no two phones reported


class TrafficRow(TypedDict):
    """Bytes over the links in the whole run, and the transfers that moved them."""

    bytes_per_report: int
    bytes_per_release: int
    bytes_up: int  # repeated attempts included
    bytes_down: int
    upload_attempts: NotRequired[int]
    uploads_failed: NotRequired[int]
    download_attempts: NotRequired[int]
    downloads_failed: NotRequired[int]


class TotalsRow(TypedDict):
    """Counts over rounds 1 to the last, and how fast they were simulated."""

    sessions: int
    scored: int
    scored_share: NotRequired[float]
    clicks: int
    reports: NotRequired[int]
    downloads: NotRequired[int]
    devices_per_s: float
    missing_device_rounds: NotRequired[int]


class ExecutionRow(TypedDict):
    """How the run was computed; no figure depends on it."""

    backend: str
    shards: int
    resumed_rounds: int
    masks_checked: NotRequired[int]  # phones whose masks were really run


class EventRow(TypedDict):
    """One thing that went wrong with a shard in a round."""

    round: int
    shard: int  # -1: a node outside the run
    text: str


class Underway(TypedDict):
    """The part of ``run.json`` that a report of a run that has not ended is made of."""

    scenario: dict[str, Any]  # the keys of `fedbert.scenario.Scenario`, all of them
    rounds: list[RoundRow]
    comparison: list[ComparisonRow]  # at the end only
    gap: Gap | None  # at the end only


class RunResult(Underway):
    """The whole of ``run.json``."""

    schema: int
    name: str
    command: str
    seed: int
    started: str
    versions: dict[str, str]
    machine: NotRequired[MachineRecord]
    commit: str | None
    status: str  # "finished" | "interrupted after round N"
    labels: dict[str, str]
    world: WorldFacts
    model: ModelFacts
    privacy: PrivacyRow
    tiers: dict[str, TierRow]
    hours: list[HourRow]
    latency_histogram: dict[str, list[float]]  # "upper_ms" (bin edges) and counts by tier
    memory_histogram: dict[str, list[float]]  # "upper_bytes" and counts by tier
    secure_sum: SecureSumRow
    traffic: TrafficRow
    verified_devices: NotRequired[list[VerifiedRow]]  # with --verify-devices only
    totals: TotalsRow
    device_errors: NotRequired[DeviceErrors]
    execution: NotRequired[ExecutionRow]
    events: NotRequired[list[EventRow]]
    timing_s: dict[str, float]  # by stage
    wall_s: float
    peak_memory_bytes: int


def run_bytes(result: RunResult) -> bytes:
    """Return the content of ``run.json``."""
    return (json.dumps(result, indent=1, allow_nan=False) + "\n").encode("ascii")


def save_run(result: RunResult, folder: Path) -> None:
    """Write ``run.json`` into `folder`; raises FedbertError if it cannot be written."""
    write_bytes(folder / RUN_FILE, run_bytes(result))


def load_run(folder: Path) -> RunResult:
    """Return the result in a run folder, as its last whole writing left it.

    Raises:
        FedbertError: if there is none, or it is damaged or of another schema.
    """
    return load_record(RUN, folder)


@cache
def _shape() -> TypeAdapter[RunResult]:
    return TypeAdapter(RunResult)


RUN: RecordKind[RunResult] = RecordKind(
    file=RUN_FILE,
    whose="a run's",
    folder="a finished run",
    again="run the scenario again",
    shape=_shape,
    schema=SCHEMA,
    limit_bytes=RUN_LIMIT_BYTES,
)
