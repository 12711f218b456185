"""What servers spend for each report, download, check-in, round and update: a calibration file, read.

``fedbert capacity measure`` writes one; the shipped one is what a plan takes without `--servers`.
"""

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.errors import FedbertError, shortened
from fedbert.files import UnreadableFile, read_json
from fedbert.intervals import Estimate
from fedbert.machine import cores, instruction_sets
from fedbert.records import RecordKind, checked_record

SCHEMA = 2
LIMIT_BYTES = 1_000_000
SHIPPED = Path(__file__).with_name("servers.json")

UNITS = {
    "aggregator_report_cpu_s": "s",
    "aggregator_round_cpu_s": "s",
    "update_cpu_s": "s",
    "download_cpu_s": "s",
    "download_byte_cpu_s": "s",
    "download_extra_bytes": "bytes",
    "check_in_cpu_s": "s",
    "link_round_cpu_s": "s",
    "upload_cpu_s": "s",
    "upload_byte_cpu_s": "s",
    "aggregator_memory_bytes": "bytes",
    "aggregator_report_memory_bytes": "bytes",
    "update_memory_bytes": "bytes",
    "download_memory_bytes": "bytes",
    "download_open_memory_bytes": "bytes",
    "link_memory_bytes": "bytes",
    "link_report_memory_bytes": "bytes",
}
"""Each figure of a calibration by name, with its unit; times are CPU seconds, all threads together.

Memory is resident at its peak; that of a report is of one of `report_bytes`.
"""

SPENT = (
    "aggregator_report_cpu_s",
    "download_cpu_s",
    "check_in_cpu_s",
    "upload_cpu_s",
    "aggregator_report_memory_bytes",
    "link_report_memory_bytes",
)
"""Figures of which nothing is no measurement."""

DRIVEN = ("python", "flwr")
"""What the measured servers run on: another version of it may cost another time."""


class MachineRow(TypedDict):
    """The machine that was measured."""

    name: str
    architecture: str
    cores: int
    memory_bytes: int
    instruction_sets: list[str]


class CostRow(TypedDict):
    """One figure: mean of its measurements with its 95 % interval; null where one measurement has none."""

    cost: str
    unit: str
    value: float
    low: float | None
    high: float | None
    measured: int  # how often
    how: str


class CheckRow(TypedDict):
    """A load that was predicted from the figures, and then measured."""

    part: str  # aggregator | downloads | check-ins | uploads
    rate_per_s: float  # reports, downloads or check-ins
    count: int
    bytes_each: int  # 0: a check-in has none
    predicted_cpu_s: float
    measured_cpu_s: float


class MemoryCheckRow(TypedDict):
    """Growth of resident memory that was predicted from the figures, and then measured."""

    part: str  # aggregator | downloads | check-ins and uploads
    count: int  # more reports or downloads at a time than the least of the fit
    bytes_each: int
    predicted_bytes: float
    measured_bytes: float


class CalibrationRecord(TypedDict):
    """The whole of a calibration file."""

    schema: int
    command: str
    versions: dict[str, str]
    machine: MachineRow
    model: str
    report_bytes: int
    release_bytes: int
    costs: list[CostRow]
    checks: list[CheckRow]
    memory_checks: list[MemoryCheckRow]


CALIBRATION: RecordKind[CalibrationRecord] = RecordKind(
    file="servers.json",
    whose="a calibration's",
    folder="a calibration",
    again="run `fedbert capacity measure` again",
    shape=CalibrationRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


@dataclass(frozen=True)
class Calibration:
    """The figures of a calibration file, by the names of `UNITS`."""

    costs: dict[str, Estimate]
    machine: MachineRow
    versions: dict[str, str]
    model: str
    report_bytes: int

    def __getitem__(self, name: str) -> Estimate:
        """Return a figure with its interval."""
        return self.costs[name]

    @property
    def said(self) -> str:
        """Whose figures they are, and how their machine differs from this one: a clause.

        The version of fedbert that measured is said; a newer one alone makes no server dearer. That of what
        the servers run on may: it counts as another from its second number on.
        """
        differ = [
            what
            for what, there, here in (
                ("architecture", self.machine["architecture"], platform.machine()),
                ("cores", self.machine["cores"], cores()),
                ("instruction sets", self.machine["instruction_sets"], instruction_sets()),
                *((f"version of {what}", _minor(self.versions.get(what)), _here(what)) for what in DRIVEN),
            )
            if there != here
        ]
        version = self.versions.get("fedbert", "unknown")
        whose = f"from a calibration of {self.machine['name']}, measured with fedbert {version}"
        return f"{whose}; here differ: {', '.join(differ)}" if differ else whose


def _minor(version: str | None) -> str:
    """Return the first two numbers of a version."""
    return ".".join((version or "unknown").split(".")[:2])


def _here(what: str) -> str:
    """Return the version of one of `DRIVEN` here, its first two numbers."""
    if what == "python":
        return _minor(platform.python_version())
    try:
        return _minor(metadata.version(what))
    except metadata.PackageNotFoundError:
        return _minor(None)


def this_machine(name: str | None) -> MachineRow:
    """Return the description of this machine; `name` stands for the processor's own."""
    import psutil

    from fedbert.machine import processor_name

    return {
        "name": name or f"{processor_name()}, {cores()} cores",
        "architecture": platform.machine(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "instruction_sets": instruction_sets(),
    }


def calibration_of(record: CalibrationRecord) -> Calibration:
    """Return the figures of a record; raises FedbertError for one that is missing, unknown or negative."""
    costs = {row["cost"]: Estimate(row["value"], row["low"], row["high"]) for row in record["costs"]}
    if costs.keys() != UNITS.keys():
        odd = min(costs.keys() ^ UNITS.keys())
        raise FedbertError(f"costs must be those that are known, {odd!r} once")
    if wrong := next((name for name, cost in costs.items() if not 0 <= cost.value < float("inf")), None):
        raise FedbertError(f"{wrong}.value(={costs[wrong].value:g}) must be >= 0 and finite")
    for name in SPENT:
        if costs[name].value <= 0:
            raise FedbertError(f"{name}.value(={costs[name].value:g}) must be > 0: measure again")
    for name, amount in (
        ("machine.cores", record["machine"]["cores"]),
        ("machine.memory_bytes", record["machine"]["memory_bytes"]),
        ("report_bytes", record["report_bytes"]),
    ):
        if amount < 1:
            raise FedbertError(f"{name}(={amount}) must be >= 1")
    return Calibration(
        costs=costs,
        machine=record["machine"],
        versions=record["versions"],
        model=record["model"],
        report_bytes=record["report_bytes"],
    )


def read_calibration(path: Path | None = None) -> Calibration:
    """Return the calibration in a file, by default the shipped one; raises FedbertError with file and key."""
    path = path or SHIPPED
    again = "run `fedbert capacity measure` for one"
    try:
        found = read_json(path, LIMIT_BYTES)
    except UnreadableFile as error:
        raise FedbertError(f"servers(={str(path)!r}) must {error.rule}; {again}") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise FedbertError(f"{path}: schema(={shortened(schema)}) must be {SCHEMA}; {again}")
    record = checked_record(CALIBRATION, found, path)
    try:
        return calibration_of(record)
    except FedbertError as error:
        raise FedbertError(f"{path}: {error}; {again}") from None
