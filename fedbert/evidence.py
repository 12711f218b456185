"""No evidence, no figure: a measured figure with what carries it, or the reason why there is none."""

from dataclasses import dataclass
from typing import assert_never

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only


@dataclass(frozen=True)
class Sample:
    """What carries a figure: evaluation sessions, distinct users and distinct texts.

    `users` is None in worlds in which each device has a user of its own; both are None where they were not
    counted.
    """

    sessions: int
    users: int | None
    texts: int | None


@dataclass(frozen=True)
class Known:
    """A figure with its 95 % interval, `low` <= `value` <= `high`, all in the figure's unit.

    `low` and `high` are None together where too little carries the figure for an interval.
    """

    value: float
    low: float | None
    high: float | None
    sample: Sample

    @property
    def sign(self) -> int | None:
        """Return 1 or -1 where the whole interval lies above or below 0, 0 where it holds 0, None without."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Absent:
    """No figure; `reason` is a clause without a full stop, as in "no session was evaluated"."""

    reason: str


Evidence = Known | Absent
"""A figure or the reason why there is none: whoever reads it must tell the two apart."""


class EvidenceRow(TypedDict):
    """`Evidence` in JSON: `absent` is the reason where `value` is null, and null where it is not."""

    value: float | None
    low: float | None
    high: float | None
    sessions: int | None
    users: int | None
    texts: int | None
    absent: str | None


def as_row(evidence: Evidence) -> EvidenceRow:
    """Return `evidence` as JSON has it."""
    match evidence:
        case Absent(reason):
            return {
                "value": None,
                "low": None,
                "high": None,
                "sessions": None,
                "users": None,
                "texts": None,
                "absent": reason,
            }
        case Known(value, low, high, sample):
            return {
                "value": value,
                "low": low,
                "high": high,
                "sessions": sample.sessions,
                "users": sample.users,
                "texts": sample.texts,
                "absent": None,
            }
    assert_never(evidence)


def from_row(row: EvidenceRow) -> Evidence:
    """Return what `as_row` wrote."""
    if row["value"] is None:
        return Absent(row["absent"] or "it was not written down")
    sample = Sample(row["sessions"] or 0, row["users"], row["texts"])
    return Known(row["value"], row["low"], row["high"], sample)
