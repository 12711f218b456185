"""The times of a user's log: one unit for the whole column, and dates that can be meant."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.user_tables import UserTable

FIRST = datetime(1990, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times before the first or from the last on are refused: they are most likely in another unit."""

UNITS_PER_S = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
"""Units of Unix time. Each spans less than a factor of 7 between the two dates, so that no two overlap."""

ISO = "ISO 8601"
DATES = "dates"

_MS_PER_S = 1_000
_FIRST_MS, _LAST_MS = (int(moment.timestamp()) * _MS_PER_S for moment in (FIRST, LAST))


class Times(NamedTuple):
    """Times of a column `[row]` in whole ms of Unix time, and the unit that they were found in."""

    unix_ms: NDArray[np.int64]
    unit: str


def read_times(table: UserTable, column: str) -> Times:
    """Return the times of `column`; raises FedbertError with the row for what is none or in another unit."""
    raw = table.raw(column)
    if pa.types.is_temporal(raw.type):
        return _dates(table, column, raw)
    number = table.numbers(column)
    good = np.isfinite(number)
    if not good.any():
        return _iso(table, column)
    shown = table.shown(column)
    unit = _unit(number[good])
    if unit is None or not good.all():
        row = int(np.argmin(good)) if not good.all() else 0
        raise _refused(table, column, row, shown, unit)
    bad = _outside(number, unit)
    if bad.any():
        row = int(np.argmax(bad))
        raise _refused(table, column, row, shown, unit, _unit(number[row : row + 1]))
    # Above 2**53 a float64 has lost digits: such counts are read as whole numbers.
    exact = _whole(shown) if UNITS_PER_S[unit] > _MS_PER_S else None
    if exact is None:
        return Times(np.floor(number * (_MS_PER_S / UNITS_PER_S[unit])).astype(np.int64), unit)
    return Times(exact // (UNITS_PER_S[unit] // _MS_PER_S), unit)


def day(unix_ms: int) -> str:
    """Return the date of a time, in UTC."""
    return datetime.fromtimestamp(unix_ms / _MS_PER_S, UTC).date().isoformat()


def _whole(shown: pa.Array) -> NDArray[np.int64] | None:
    try:
        return np.asarray(shown.cast(pa.int64()))
    except pa.ArrowException:
        return None


def _outside(number: NDArray[np.float64], unit: str) -> NDArray[np.bool_]:
    ms = number * (_MS_PER_S / UNITS_PER_S[unit])
    return ~((ms >= _FIRST_MS) & (ms < _LAST_MS))


def _unit(number: NDArray[np.float64]) -> str | None:
    """Return the unit in which most of `number` are times, None if none of them is in any."""
    counts = {unit: int(np.count_nonzero(~_outside(number, unit))) for unit in UNITS_PER_S}
    best = max(counts, key=lambda unit: counts[unit])
    return best if counts[best] else None


def _refused(
    table: UserTable, column: str, row: int, shown: pa.Array, unit: str | None, own: str | None = None
) -> FedbertError:
    """Return the error for a row that is no time in `unit`, the one that most rows are in."""
    value = shown[row].as_py()
    years = f"{FIRST.year} to {LAST.year - 1}"
    if unit is None:
        rule = f"be a time from {years}, in Unix seconds or ISO 8601, as 1365029107 or 2013-04-03T22:45:07"
        return table.bad(row, column, value, rule, "write times, and not the places of rows or hours")
    if own is not None:
        rule = f"be in one unit: this row is in {own}, most rows are in Unix {unit}"
        return table.bad(row, column, value, rule, f"turn it into {unit}")
    if _is_iso(value):
        rule = f"be in one unit: this row is a date, other rows are Unix {unit}"
        return table.bad(row, column, value, rule, f"turn it into {unit}")
    rule = (
        f"be Unix {unit} from {years}, as most rows are, or ISO 8601 throughout, as 1365029107 or "
        "2013-04-03T22:45:07"
    )
    return table.bad(row, column, value, rule, "mend or drop the row")


def _dates(table: UserTable, column: str, raw: pa.Array) -> Times:
    if pa.types.is_time(raw.type) or pa.types.is_duration(raw.type):
        rule = f"have dates and times in column {column!r} (has {raw.type})"
        raise table.refused(rule, "save Unix seconds or timestamps")
    if raw.null_count:
        row = int(np.argmax(np.asarray(raw.is_null())))
        raise table.bad(row, column, None, "be a date", "mend or drop the row")
    zone = raw.type.tz if pa.types.is_timestamp(raw.type) else None
    try:
        moments = raw.cast(pa.timestamp("ms", zone), safe=False)
        found = np.asarray(moments.cast(pa.int64()))
    except pa.ArrowException:
        raise table.refused(f"have dates in column {column!r} that can be read", "save timestamps") from None
    return _within(table, column, Times(found, DATES), lambda row: str(raw[row]))


def _iso(table: UserTable, column: str) -> Times:
    values = table.shown(column).to_pylist()
    found = np.empty(len(values), np.int64)
    for row, value in enumerate(values):
        try:
            found[row] = _iso_ms(value)
        except (ValueError, OverflowError):
            rule = "be Unix seconds or ISO 8601, as 1365029107 or 2013-04-03T22:45:07"
            raise table.bad(row, column, value, rule, "mend or drop the row") from None
    return _within(table, column, Times(found, ISO), lambda row: str(values[row]))


def _within(table: UserTable, column: str, times: Times, shown: Callable[[int], str]) -> Times:
    bad = (times.unix_ms < _FIRST_MS) | (times.unix_ms >= _LAST_MS)
    if bad.any():
        row = int(np.argmax(bad))
        rule = f"be a date from {FIRST.year} to {LAST.year - 1}"
        raise table.bad(row, column, shown(row), rule, "mend or drop the row")
    return times


def _iso_ms(value: str) -> int:
    moment = datetime.fromisoformat(value.strip())
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * _MS_PER_S)


def _is_iso(value: str) -> bool:
    try:
        _iso_ms(value)
    except (ValueError, OverflowError):
        return False
    return True
