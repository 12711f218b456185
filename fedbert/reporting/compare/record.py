"""``compare.json``: a comparison as it is written, and read back for its report."""

from pathlib import Path

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.comparing.comparison import Comparison, Pair, Row, Setting, Variant
from fedbert.planning.comparing.verdicts import Difference, Method, Verdict
from fedbert.planning.comparing.views import Figure, Kind, Label
from fedbert.records import RecordKind, load_record

COMPARE_FILE = "compare.json"
SCHEMA = 1
LIMIT_BYTES = 50_000_000


class VariantRow(TypedDict):
    """One side (`fedbert.planning.comparing.comparison.Variant`)."""

    letter: str
    folders: list[str]
    names: list[str]
    seeds: list[int]
    runs: int
    changed: bool


class SettingRow(TypedDict):
    """A fact that differs, with a text for each variant in order; null where it does not have it."""

    group: str
    key: str
    values: list[str | None]


class PairRow(TypedDict):
    """A variant held against the first, and what both have."""

    variant: str
    seeds: list[int]
    arms: list[str]
    arms_of_one: list[str]


class ResultRow(TypedDict):
    """One figure of one variant beside that of the first; what is not known is null."""

    variant: str
    arm: str
    figure: str
    group: str
    hour: int | None
    unit: str
    label: Label
    main: bool
    reference: float | None
    other: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    seeds: int
    method: Method
    verdict: Verdict
    why: str


class CompareRecord(TypedDict):
    """The whole of ``compare.json``."""

    schema: int
    command: str
    kind: Kind
    same: int
    variants: list[VariantRow]
    settings: list[SettingRow]
    pairs: list[PairRow]
    results: list[ResultRow]


COMPARE: RecordKind[CompareRecord] = RecordKind(
    file=COMPARE_FILE,
    whose="a comparison's",
    folder="a comparison",
    again="run `fedbert compare` again",
    shape=CompareRecord,
    schema=SCHEMA,
    limit_bytes=LIMIT_BYTES,
)


def record_of(found: Comparison, command: str) -> CompareRecord:
    """Return the content of ``compare.json``."""
    return {
        "schema": SCHEMA,
        "command": command,
        "kind": found.kind,
        "same": found.same,
        "variants": [
            {
                "letter": variant.letter,
                "folders": list(variant.folders),
                "names": list(variant.names),
                "seeds": list(variant.seeds),
                "runs": variant.runs,
                "changed": variant.changed,
            }
            for variant in found.variants
        ],
        "settings": [
            {"group": each.group, "key": each.key, "values": list(each.values)} for each in found.settings
        ],
        "pairs": [
            {
                "variant": pair.letter,
                "seeds": list(pair.seeds),
                "arms": list(pair.arms),
                "arms_of_one": list(pair.arms_of_one),
            }
            for pair in found.pairs
        ],
        "results": [_result(pair.letter, row) for pair in found.pairs for row in pair.rows],
    }


def comparison_of(record: CompareRecord) -> Comparison:
    """Return the comparison that `record_of` wrote; how a figure may be judged is not in it."""
    return Comparison(
        kind=record["kind"],
        variants=tuple(
            Variant(
                each["letter"],
                tuple(each["folders"]),
                tuple(each["names"]),
                tuple(each["seeds"]),
                each["runs"],
                each["changed"],
            )
            for each in record["variants"]
        ),
        settings=tuple(
            Setting(each["group"], each["key"], tuple(each["values"])) for each in record["settings"]
        ),
        same=record["same"],
        pairs=tuple(
            Pair(
                each["variant"],
                tuple(each["seeds"]),
                tuple(each["arms"]),
                tuple(each["arms_of_one"]),
                tuple(_row(row) for row in record["results"] if row["variant"] == each["variant"]),
            )
            for each in record["pairs"]
        ),
    )


def load_comparison(folder: Path) -> tuple[Comparison, str]:
    """Return the comparison in `folder` and the command that made it; raises FedbertError."""
    record = load_record(COMPARE, folder)
    return comparison_of(record), record["command"]


def _result(letter: str, row: Row) -> ResultRow:
    figure, found = row.figure, row.difference
    return {
        "variant": letter,
        "arm": row.arm,
        "figure": figure.name,
        "group": figure.group,
        "hour": figure.hour,
        "unit": figure.unit,
        "label": figure.label,
        "main": figure.main,
        "reference": row.reference,
        "other": row.other,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "seeds": found.seeds,
        "method": found.method,
        "verdict": found.verdict,
        "why": found.why,
    }


def _row(row: ResultRow) -> Row:
    figure = Figure(
        row["figure"], row["group"], row["unit"], row["label"], main=row["main"], hour=row["hour"]
    )
    difference = Difference(
        row["difference"],
        row["low"],
        row["high"],
        row["p_value"],
        row["seeds"],
        row["method"],
        row["verdict"],
        row["why"],
    )
    return Row(row["arm"], figure, row["reference"], row["other"], difference)
