"""A user's own trace of when phones can take part, in place of the model: `device_id,start,end,state`.

One row is an interval [start, end) of one phone in one state. `device_id` is any text or number; `start` and
`end` are hours since local midnight of the trace's first day, fractions allowed; `state` is one of `State`.
Intervals of different states may overlap, those of one device in one state may not. Rows may come in any
order. Within a phone's own days, from that of its first row to that of its last, what the trace does not say
is not so:

    idle       in an `idle` interval and in no `in_use`
    charging   in a `charging` interval
    online     in an `unmetered` or a `metered` interval and in no `offline`
    unmetered  in an `unmetered` interval and in neither `metered` nor `offline`

Each simulated device takes the trace of one traced device, drawn with replacement. A phone's own whole days
repeat for ever: local hours stay local hours, and time in which a phone was not traced says nothing of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedbert.device_range import Devices
from fedbert.devices.fleet import Flags, Floats, Integers
from fedbert.devices.trace_facts import TraceFacts
from fedbert.errors import FedbertError
from fedbert.randomness import ONCE, Purpose
from fedbert.units import HOURS_PER_DAY, MS_PER_HOUR
from fedbert.user_tables import UserTable, as_whole, read_table

NAME = "availability_trace"
COLUMNS = ("device_id", "start", "end", "state")
MAX_HOURS = 366 * HOURS_PER_DAY
"""Longest trace, a year: what is larger is most likely a timestamp."""

_DAY_MS = int(HOURS_PER_DAY * MS_PER_HOUR)


class State(StrEnum):
    """The states of a trace, as they are written in the file."""

    IN_USE = "in_use"
    IDLE = "idle"
    CHARGING = "charging"
    UNMETERED = "unmetered"
    METERED = "metered"
    OFFLINE = "offline"


class Intervals(NamedTuple):
    """The intervals `[interval]` of one state: whole ms from `start` up to, not including, `end`, in order.

    The time of traced device d runs from d x `Trace.days` x 24 h, so one sorted array serves all devices.
    """

    start: Integers
    end: Integers


@dataclass(frozen=True)
class Trace:
    """The states of `devices` phones over `days` whole days; `intervals` has every state.

    Phone d is traced from day `first_day[d]` on for `own_days[d]` days.
    """

    devices: int
    days: int
    intervals: dict[State, Intervals]
    first_day: Integers
    own_days: Integers
    facts: TraceFacts


class States(NamedTuple):
    """The four flags `[device]` that follow from a trace at a moment."""

    idle: Flags
    charging: Flags
    unmetered: Flags
    online: Flags


def read_trace(path: Path) -> Trace:
    """Return the trace in a CSV or Parquet file. Raises FedbertError for each way it can be wrong."""
    table = read_table(NAME, path, COLUMNS)
    if table.facts.ignored_columns:
        rule = f"have the columns {','.join(COLUMNS)} alone (has also {table.facts.ignored_columns[0]!r})"
        raise table.refused(rule, "drop the column")
    device, names = _devices(table)
    start, end = (_hours(table, column) for column in ("start", "end"))
    start_ms, end_ms = (np.rint(hours * MS_PER_HOUR).astype(np.int64) for hours in (start, end))
    row = int(np.argmax(end_ms <= start_ms))
    if end_ms[row] <= start_ms[row]:
        rule = f"be after start(={_plain(start[row])})"
        raise table.bad(row, "end", _plain(end[row]), rule, "swap them, or cut the interval at midnight")
    state = _states(table)
    days = int(-(-end_ms.max() // _DAY_MS))
    offset = device * (days * _DAY_MS)
    intervals = {}
    for code, kind in enumerate(State):
        rows = np.flatnonzero(state == code)
        rows = rows[np.argsort(offset[rows] + start_ms[rows], kind="stable")]
        _refuse_overlaps(table, rows, names[device], offset + start_ms, offset + end_ms, kind)
        intervals[kind] = Intervals((offset + start_ms)[rows], (offset + end_ms)[rows])
    first_day, last_day = (np.zeros(len(names), np.int64) for _ in range(2))
    first_day += days
    np.minimum.at(first_day, device, start_ms // _DAY_MS)
    np.maximum.at(last_day, device, -(-end_ms // _DAY_MS))
    own_days = last_day - first_day
    observed_ms = _covered_ms(offset + start_ms, offset + end_ms)
    facts = TraceFacts(
        table.facts, len(names), days, tuple(sorted(own_days.tolist())), observed_ms / MS_PER_HOUR
    )
    return Trace(len(names), days, intervals, first_day, own_days, facts)


def _covered_ms(start: Integers, end: Integers) -> int:
    """Return how much time is inside one interval at least."""
    order = np.argsort(start, kind="stable")
    start, reached = start[order], np.maximum.accumulate(end[order])
    begin = start.copy()
    begin[1:] = np.maximum(start[1:], reached[:-1])
    return int(np.maximum(reached - begin, 0).sum())


def load_trace(path: Path | None) -> Trace | None:
    """Return the trace in a file, None without one; see `read_trace`."""
    return None if path is None else read_trace(path)


def traced_device(devices: Devices, trace: Trace) -> Integers:
    """Return whose trace each of `devices` takes, `[device]` in 0 .. `trace.devices` - 1."""
    draws = devices.uniforms(Purpose.TRACE, ONCE, 1)[:, 0]
    return (draws * trace.devices).astype(np.int64)


def states_at(trace: Trace, device: Integers, moment: Floats) -> States:
    """Return the states of traced devices at `moment` (hours since midnight of day 0), all `[device]`."""
    first_ms, own_ms = trace.first_day[device] * _DAY_MS, trace.own_days[device] * _DAY_MS
    own = first_ms + (np.floor(moment * MS_PER_HOUR).astype(np.int64) - first_ms) % own_ms
    at = device * (trace.days * _DAY_MS) + own

    def inside(state: State) -> Flags:
        start, end = trace.intervals[state]
        if not len(start):
            return np.zeros(len(at), np.bool_)
        # The last interval that has begun; where that is an earlier device's, it has ended long ago.
        last = np.searchsorted(start, at, side="right") - 1
        return np.asarray((last >= 0) & (at < end[last]))

    metered, connected = inside(State.METERED), ~inside(State.OFFLINE)
    unmetered = inside(State.UNMETERED)
    return States(
        idle=inside(State.IDLE) & ~inside(State.IN_USE),
        charging=inside(State.CHARGING),
        unmetered=unmetered & ~metered & connected,
        online=(unmetered | metered) & connected,
    )


def _plain(hours: np.float64) -> float:
    return float(hours)


def _devices(table: UserTable) -> tuple[Integers, NDArray[np.object_]]:
    """Return the number of each row's device `[row]` and the ids `[device]`, in order of the ids."""
    ids = pd.Series(as_whole(table.ids("device_id").values).to_pylist(), dtype=object)
    empty = np.flatnonzero(ids == "")
    if len(empty):
        raise table.bad(int(empty[0]), "device_id", "", "not be empty", "name the device or drop the row")
    codes, names = pd.factorize(ids, sort=True)  # sorted: the order of rows changes nothing
    return codes.astype(np.int64), np.asarray(names, object)


def _hours(table: UserTable, name: str) -> Floats:
    """Return a column of times (hours) `[row]`."""
    hours: Floats = table.numbers(name)
    good = np.isfinite(hours) & (hours >= 0) & (hours <= MAX_HOURS)
    if not good.all():
        row = int(np.argmin(good))
        rule = f"be a number from 0 to {MAX_HOURS:,.0f}, hours since local midnight of the first day"
        raise table.bad_number(row, name, rule, "fill it in, or turn timestamps into hours")
    return hours


def _states(table: UserTable) -> Integers:
    """Return the place of each row's state in `State`, `[row]`."""
    column = table.text("state").to_pylist()
    place = {str(state): code for code, state in enumerate(State)}
    codes = np.array([place.get(state.strip(), -1) for state in column], np.int64)
    if (codes < 0).any():
        row, rule = int(np.argmin(codes)), f"be one of {', '.join(State)}"
        raise table.bad(row, "state", column[row], rule, "mend the row")
    return codes


def _refuse_overlaps(
    table: UserTable, rows: Integers, ids: NDArray[np.object_], start: Integers, end: Integers, state: State
) -> None:
    """Raise FedbertError for the first of `rows` (by device and start) that begins before the last ends."""
    early = np.flatnonzero(start[rows[1:]] < end[rows[:-1]])
    if len(early):
        row, before = (table.row_number(int(rows[early[0] + step])) for step in (1, 0))
        raise FedbertError(
            f"{table.name} row {row}: {state} of device {ids[rows[early[0] + 1]]!r} must not overlap "
            f"row {before}; join or cut the two"
        )
