"""What came out of a run: the shape of ``run.json``, and its one reader and writer.

Every number is *measured* (really computed or timed here), *modelled* (predicted from profiles) or *proved*
(epsilon under its assumptions); `LABELS` says which is which. Quality figures are means over evaluation
sessions with 20 candidates each, unless their name says otherwise. What each key means, and its unit, is said
in `fedbert.dictionary`.
"""

import json
from pathlib import Path
from typing import Any, Literal, NotRequired, get_args

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.errors import AuditFailed
from fedbert.evidence import EvidenceRow
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
    "audit": "measured",
    "poisoned": "measured",
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

ROUND_ENDS = ("done", "late", "interrupted", "lost")
"""How a round ends for a device that was asked; as a number an index into this (`devices.round_end`)."""

ROUND_PARTS = ("download", "work", "upload")
"""What a device's time in a round goes to."""

TAKING_PART = ("cohort", "eligible", "completed", "reported")
"""The steps to a report: drawn, asked, done with it, and with clicks in it."""

METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10", "hit@1")

ENERGY_USES = ("sessions", "installs", "uploads", "downloads")
"""What a phone's energy goes to."""

GROUP_SUMS = (
    *("devices", "sessions", "installs", "participants", "sessions_us", "installs_us"),
    *(f"{use}_uj" for use in ENERGY_USES),
    "participants_uj",
)
"""What is summed over random groups of a tier's devices: device-rounds, sessions that ran, installs, and
device-rounds in which a device sends a signal; computing time in microseconds; energy in microjoules, by use
and of the devices that send in these rounds."""

Metrics = TypedDict(
    "Metrics", {"auc": float, "mrr": float, "ndcg@5": float, "ndcg@10": float, "hit@1": float}
)

RoundRow = TypedDict(
    "RoundRow",
    {
        "round": int,
        "hour": float,
        "auc": float | None,
        "mrr": float | None,
        "ndcg@5": float | None,
        "ndcg@10": float | None,
        "hit@1": float | None,
        "ndcg@10_low": float | None,
        "ndcg@10_high": float | None,
        "sessions": int,
        "users": NotRequired[int | None],
        "texts": NotRequired[int],
        "scored_ndcg@10": float | None,
        "control_ndcg@10": float | None,
        "control_ndcg@10_low": NotRequired[float | None],
        "control_ndcg@10_high": NotRequired[float | None],
        "control_sessions": NotRequired[int],
        "treated_ndcg@10": float | None,
        "treated_ndcg@10_low": NotRequired[float | None],
        "treated_ndcg@10_high": NotRequired[float | None],
        "treated_sessions": NotRequired[int],
        "outcomes": dict[str, int],
        "epsilon": float | None,
        "epsilon_unamplified": float | None,
        "cohort": int,
        "eligible": int,
        "completed": int,
        "dropped": int,
        "reported": int,
        "signal_release": int,
        "bytes_up": int,
        "bytes_down": int,
        "downloads": int,
        "installed": dict[str, int],
        "server_ndcg@10": float | None,
        "released": int | None,
        "gate": str,
        "round_status": str,
        "loss": float | None,
        "participants": NotRequired[int],
        "energy_mj_per_participant": NotRequired[float | None],
        "wall_s": float,
        "missing": NotRequired[int],
        "poisoned": NotRequired[int],
        "poisoned_norm_share": NotRequired[float | None],
        "round_s": NotRequired[float],
        "late": NotRequired[int],
        "interrupted": NotRequired[int],
        "lost": NotRequired[int],
        "buffers": NotRequired[int],
        "buffered": NotRequired[int],
        "discarded": NotRequired[int],
        "staleness_mean": NotRequired[float | None],
        "weight_mean": NotRequired[float | None],
        "staleness": NotRequired[dict[str, int]],
        "at_work": NotRequired[float],
    },
)


class TierRow(TypedDict):
    """Figures of one device tier over the whole run."""

    devices: int
    sessions: int
    quality: Metrics | None
    scored_quality: Metrics | None
    outcomes: dict[str, int]
    latency_ms: dict[str, float]
    peak_memory_bytes: dict[str, float]
    energy_mj_per_session: float | None
    energy_mj_per_round: NotRequired[float | None]
    energy_mj_per_round_by: NotRequired[dict[str, float]]
    energy_mj_per_day_by: NotRequired[dict[str, float]]
    install_ms: float | None
    installs_per_day: NotRequired[float]
    mah_per_day: float
    battery_percent_per_day: float
    device_ms_per_day: float
    taking_part: NotRequired[dict[str, int]]
    groups: NotRequired[dict[str, list[int]]]
    round_ends: NotRequired[dict[str, int]]
    round_s_by: NotRequired[dict[str, float]]


class HourRow(TypedDict):
    """Figures of one local hour of the day (0..23), from the fleet's availability and traffic."""

    hour: int
    idle: float
    charging: float
    unmetered: float
    eligible: float
    sessions: float
    online: NotRequired[float]
    eligible_unmetered: NotRequired[float]


class ComparisonRow(TypedDict):
    """One ranking system on the same evaluation sessions, every session scored."""

    id: NotRequired[str]
    system: str
    inputs: str
    quality: Metrics
    low: float | None
    high: float | None
    sessions: NotRequired[int]
    users: NotRequired[int | None]
    texts: NotRequired[int]
    devices: NotRequired[int]
    tiers: NotRequired[dict[str, Metrics]]


class Gap(TypedDict):
    """What the signals won, by the int8 student on all evaluation sessions: full scoring.

    A share `closed` is None where the gap is small against its error (`Figures` has the reason).
    """

    release_0: float
    final: float
    pooled: float
    closed: float | None
    text_only_release_0: float
    text_only_final: float
    text_only_pooled: float
    text_only_closed: float | None


class Figures(TypedDict):
    """Differences in nDCG@10 on the same evaluation sessions, and shares of the gap, with their evidence.

    won: final release minus release 0. gap: pooled-data bound minus release 0. closed: won / gap. All from
    text, history and user model, or from the text alone.
    """

    won: EvidenceRow
    gap: EvidenceRow
    closed: EvidenceRow
    text_only_won: EvidenceRow
    text_only_gap: EvidenceRow
    text_only_closed: EvidenceRow


class BaselineRow(TypedDict):
    """The final release against one baseline on the same sessions, both from all that they see.

    difference: final release minus baseline. pooled: pooled-data bound minus baseline.
    """

    id: str
    system: str
    ndcg: float
    difference: EvidenceRow
    pooled: EvidenceRow


class ArmsRow(TypedDict):
    """Treated devices against the control group, scored sessions from `first_round` on."""

    first_round: int | None
    treated: EvidenceRow
    control: EvidenceRow
    difference: EvidenceRow


class HeldRow(TypedDict):
    """Rounds that were held for one reason."""

    rounds: list[int]
    reason: str
    advice: str


class Said(TypedDict):
    """The findings in sentences; an empty one has nothing to say."""

    won: str
    delivery: str
    gap: str
    arms: str
    baselines: str
    held: str


class Findings(TypedDict):
    """What a run shows and what it does not; `interval` says what its intervals are of."""

    interval: str
    figures: Figures
    final: float | None
    release_0: float | None
    pooled: float | None
    baselines: list[BaselineRow]
    arms: ArmsRow
    held: list[HeldRow]
    said: Said


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


class CycleRow(TypedDict):
    """Epsilon of the rounds between two releases, as if there were no others."""

    rounds: int
    epsilon: float
    epsilon_unamplified: float


class PrivacyRow(TypedDict):
    """The privacy of the run; `statement` is the one line for people."""

    mode: str
    mechanism: NotRequired[str]
    noise_cohort: NotRequired[int]
    epsilon_per_report: NotRequired[float]
    bounds: NotRequired[list[BoundRow]]
    statement: str
    sampler: NotRequired[str]  # in results of before mechanisms said who joins
    sampling_probability: float
    noise_multiplier: float | None
    clip_norm: float
    delta: float
    epsilon: float | None
    epsilon_unamplified: float | None
    assumptions: dict[str, str]
    projections: list[Projection]
    release_cycle: NotRequired[CycleRow]
    budget: NotRequired[str]


class AuditBoundRow(TypedDict):
    """What one adversary really gets along one path, as a lower bound, beside what was proved."""

    path: str
    adversary: str
    canaries: int
    rounds: int
    epsilon: float
    epsilon_one_run: float
    epsilon_sure: float
    proved: float
    epsilon_without_noise: float


class NoiseTestRow(TypedDict):
    """One test of the noise that the aggregator adds."""

    test: str
    p_value: float
    measured: float


class ExposureRow(TypedDict):
    """What single reports give away without their masks; `items` and `texts` are shares in 0..1."""

    reports: int
    clicks: int
    candidate_items: int
    candidate_texts: int
    items: float
    texts: float


class AuditRow(TypedDict):
    """The audit of a private run (`fedbert.simulation.audit`)."""

    level: str
    significance: float
    family_level: float
    passed: bool
    failures: list[str]
    note: str | None
    bounds: list[AuditBoundRow]
    noise: list[NoiseTestRow]
    exposure: ExposureRow | None
    wall_s: float


class SelectionRow(TypedDict):
    """Who was asked in a run (`fedbert.selection`), and what that costs in privacy."""

    name: str
    reveals: str
    statement: str


class UnplacedRow(TypedDict):
    """Share of sessions whose text no name of the catalogue is near to (`fedbert.simulation.unplaced`)."""

    kept: float
    requests: int
    sessions: int
    release_0: float
    final: float


class PoisonedRow(TypedDict):
    """What poisoned phones sent in a run (`fedbert.signals.poisoning`), as only its simulator knows."""

    share: float
    attack: str
    factor: float
    coordinate_bound: float | None
    largest_coordinate: float
    coordinate_bits: int
    reports: int
    norm_share: float | None
    rounds_held: int


class VerifiedRow(TypedDict):
    """One device that was really run under a hard memory limit."""

    device: int | None
    profile: str
    tokens: int
    budget_bytes: int
    predicted_bytes: int
    predicted: str
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
    asked: float | None
    note: str


class EngineRow(TypedDict):
    """Measured over predicted time in one engine and precision: smallest, median, largest over `rows`."""

    engine: str
    precision: str
    networks: str
    devices: str
    label: str
    rows: int
    factor_low: float
    factor_median: float
    factor_high: float


class DeviceErrors(TypedDict):
    """How far off the device model is (`fedbert.devices.errors_table`), and the engine it predicts.

    `engine` is null for profiles of a run's own, which say so in their sources.
    """

    made_by: str
    engine: NotRequired[str | None]
    rows: list[DeviceErrorRow]
    engines: NotRequired[list[EngineRow]]
    note: str | None


def is_private(privacy: PrivacyRow) -> bool:
    """Return whether anything bounds what the run reveals."""
    return privacy["mode"] != "none"


def audit_failure(result: "RunResult") -> AuditFailed | None:
    """Return the error of a run whose audit found a fault; None if it found none, or there was no audit."""
    audit = result.get("audit")
    if audit is None or audit["passed"]:
        return None
    return AuditFailed(
        f"the audit found a fault: {'; '.join(audit['failures'])}; the results are kept, but do not rely on "
        "their epsilon"
    )


def is_bounded(row: RoundRow) -> bool:
    """Return whether an epsilon bounds what the run has revealed up to a round."""
    return row["epsilon"] is not None


def asked_errors(errors: DeviceErrors) -> list[DeviceErrorRow]:
    """Return the rows that a median error was asked of; the first is a SoC that is not in the fit."""
    return [row for row in errors["rows"] if row["asked"] is not None]


class TableRow(TypedDict):
    """What was read of one of the user's own tables (`fedbert.user_tables.TableFacts`)."""

    file: str
    rows: int
    separator: str | None
    blank_lines: int
    ignored_columns: list[str]


class ShownRow(TypedDict):
    """What was read of the lists that users chose from (`fedbert.recommendation.shown.ShownFacts`)."""

    rows: int
    history_rows: int
    median_items: float
    rows_filled: int
    filled_share: float


class LogRow(TypedDict):
    """What was read of the user's own catalogue and log (`fedbert.recommendation.log_facts.LogFacts`)."""

    items: TableRow
    interactions: TableRow
    has_popularity: bool
    rows_used: int
    rows_dropped: dict[str, int]
    ids_mended: dict[str, int]
    users: int
    users_dropped: int
    users_evaluated: int
    first: str
    last: str
    time_unit: str
    split: str
    cut: str | None
    learning_share: float
    min_rating: float | None
    shown: NotRequired[ShownRow | None]


class TraceRow(TypedDict):
    """What was read of the user's own trace (`fedbert.devices.trace_facts.TraceFacts`)."""

    table: TableRow
    phones: int
    days: int
    days_of_phone: list[int]
    observed_hours: float


class WorldFacts(TypedDict):
    """What the run's world holds; `note` is for plain sight."""

    name: str
    items: int
    public_texts: int
    private_texts: int
    evaluation_texts: int
    users: NotRequired[int | None]
    unknown_token_share: NotRequired[float]
    read: NotRequired[LogRow]
    trace: NotRequired[TraceRow]
    note: str | None


ModelFacts = TypedDict(
    "ModelFacts",
    {
        "name": str,
        "bytes": int,
        "coded_bytes": NotRequired[int],
        "final_coded_bytes": NotRequired[int],
        "sha256": str,
        "final_sha256": NotRequired[str],
        "unreleased_sha256": NotRequired[str],
        "dim": int,
        "vocabulary": NotRequired[int],
        "parameters": NotRequired[int | None],
        "teacher": Any,
        "public_validation_ndcg@10": NotRequired[float | None],
    },
)


class SecureSumRow(TypedDict):
    """What really running the masks of a few phones showed."""

    devices_per_shard: int
    dropped: str
    equal: bool | None


class TrafficRow(TypedDict):
    """Bytes over the links in the whole run, and the transfers that moved them."""

    bytes_per_report: int
    bytes_per_release: int
    bytes_up: int
    bytes_down: int
    upload_attempts: NotRequired[int]
    uploads_failed: NotRequired[int]
    download_attempts: NotRequired[int]
    downloads_failed: NotRequired[int]


class TotalsRow(TypedDict):
    """Counts over rounds 1 to the last, and how fast they were simulated."""

    sessions: int
    scored: int
    scored_share: NotRequired[float | None]
    clicks: int | None
    reports: NotRequired[int]
    downloads: NotRequired[int]
    devices_per_s: float
    missing_device_rounds: NotRequired[int]


class ExecutionRow(TypedDict):
    """How the run was computed; no figure depends on it."""

    backend: str
    shards: int
    resumed_rounds: int
    masks_checked: NotRequired[int]


class EventRow(TypedDict):
    """One thing that went wrong with a shard in a round."""

    round: int
    shard: int
    text: str


class Underway(TypedDict):
    """The part of ``run.json`` that a report of a run that has not ended is made of."""

    scenario: dict[str, Any]
    rounds: list[RoundRow]
    comparison: list[ComparisonRow]
    gap: Gap | None
    findings: NotRequired[Findings]
    unplaced: NotRequired[UnplacedRow]


class SizeRow(TypedDict):
    """One choice of sizes in a run whose phones differ in it: `auto`, or one size for all of them.

    `devices` have this size in the run. Qualities are nDCG@10 of all sessions scored, and as users see it;
    `won` is what auto is above this choice as users see the final release.
    """

    model: str
    devices: int
    bytes: float
    outcomes: dict[str, int]
    scored_share: float
    release_0: float
    final: float
    seen_release_0: float
    seen_final: float
    won: EvidenceRow
    latency_p95_ms: float | None
    memory_p95_bytes: float | None
    energy_mj_per_day: float


class SizesRow(TypedDict):
    """What each choice of sizes gives on the sessions of the comparison, as if all phones had the release."""

    sessions: int
    devices: int
    releases_per_day: float
    rows: list[SizeRow]


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
    status: str
    ended: NotRequired[str]
    labels: dict[str, str]
    world: WorldFacts
    model: ModelFacts
    privacy: PrivacyRow
    tiers: dict[str, TierRow]
    hours: list[HourRow]
    latency_histogram: dict[str, list[float]]
    memory_histogram: dict[str, list[float]]
    secure_sum: SecureSumRow
    audit: NotRequired[AuditRow]
    poisoned: NotRequired[PoisonedRow]
    sizes: NotRequired[SizesRow]
    selection: NotRequired[SelectionRow]
    traffic: TrafficRow
    verified_devices: NotRequired[list[VerifiedRow]]
    totals: TotalsRow
    device_errors: NotRequired[DeviceErrors]
    execution: NotRequired[ExecutionRow]
    events: NotRequired[list[EventRow]]
    timing_s: dict[str, float]
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


RUN: RecordKind[RunResult] = RecordKind(
    file=RUN_FILE,
    whose="a run's",
    folder="a finished run",
    again="run the scenario again",
    shape=RunResult,
    schema=SCHEMA,
    limit_bytes=RUN_LIMIT_BYTES,
)
