"""The aggregator's side of a window that fills buffers: its schedule, asked of all shards, and its row.

In a deployment the aggregator asks phones as places get free, and sees reports come. In the simulation shards
say how long each of their phones would be at work, and are then told who begins, and which buffer each report
goes to. The clock is the aggregator's.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fedbert.errors import FedbertError
from fedbert.federation.aggregator import AggregatorState
from fedbert.federation.buffer_round import concurrency_of
from fedbert.federation.buffered_aggregator import emptied
from fedbert.federation.buffers import (
    STALENESS_BINS,
    Schedule,
    Tasks,
    scheduled,
    staleness_bins,
    staleness_weight,
)
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import ARRIVALS, Arrays, Buffers, Closing, Member, RoundOrder
from fedbert.federation.round_clock import deadline_us
from fedbert.federation.round_close import closing_of_round
from fedbert.federation.session import Session

_MOST_US = 1 << 50
"""Longest time of a phone that is believed, in microseconds: 35 years. Sums of two stay in 64 bits."""


def opened_round(
    run: Session, announced: RoundOrder, state: AggregatorState
) -> tuple[RoundOrder, Schedule | None]:
    """Return the order of a round with how it closes, and its schedule; None where it fills no buffers."""
    if run.scenario.buffer_reports is None or not announced.round:
        return replace(announced, closing=closing_of_round(run, announced)), None

    def question(member: Member) -> tuple[dict[str, Any], Arrays]:
        return {
            "newest_release": announced.newest_release,
            "most": None,
            "asking": list(announced.asking),
        }, {}

    parts = [part for _, part in run.exchange.ask(ARRIVALS, announced.round, question, checked_tasks)]
    return ordered(run.environment, announced, parts, state.filled)


def ordered(
    environment: Environment, announced: RoundOrder, parts: Sequence[Arrays], filled: int
) -> tuple[RoundOrder, Schedule]:
    """Return the order of a round with its buffers, the first of which holds `filled`, and its schedule.

    `parts` are the `Tasks` of each shard, as arrays.
    """
    size = environment.scenario.buffer_reports
    if size is None:
        raise ValueError("a round without buffers has no schedule")
    tasks = Tasks(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    schedule = scheduled(tasks, concurrency_of(environment), size, filled, deadline_us(environment))
    chosen = np.flatnonzero(schedule.begun)
    chosen = chosen[np.argsort(tasks.device[chosen])]
    buffers = Buffers(
        count=len(schedule.closed_us) + 1,
        device=tasks.device[chosen],
        place=schedule.place[chosen],
        staleness=schedule.known[chosen],
    )
    return replace(announced, closing=Closing(schedule.last_us), buffers=buffers), schedule


def checked_tasks(member: Member, arrays: Arrays) -> Arrays:
    """Return a member's tasks; raises FedbertError unless they can be those of its devices, each once."""
    names = tuple(Tasks.__dataclass_fields__)
    if arrays.keys() != set(names):
        raise FedbertError(f"what phones take must be {', '.join(names)}")
    for name in names:
        wanted = np.bool_ if name == "comes" else np.int64
        if arrays[name].dtype != wanted or arrays[name].shape != arrays["device"].shape[:1]:
            raise FedbertError(f"{name} must be one {np.dtype(wanted)} for each device")
    who, ready, sends, busy = (arrays[name] for name in ("device", "ready_us", "send_us", "busy_us"))
    if not ((ready >= 0) & (ready <= _MOST_US)).all():
        raise FedbertError(f"ready_us must be >= 0 and <= {_MOST_US:,}")
    if not ((sends >= 0) & (sends < busy) & (busy <= _MOST_US)).all():
        raise FedbertError(f"send_us must be >= 0, and busy_us > send_us and <= {_MOST_US:,}")
    inside = (who >= member.first) & (who < member.first + member.count)
    if not inside.all() or len(np.unique(who)) != len(who):
        raise FedbertError("device must be numbers of its own devices, each once")
    return arrays


def counted(state: AggregatorState, schedule: Schedule | None, released: bool) -> tuple[AggregatorState, int]:
    """Return the aggregator's state after a window, with what came to its buffers, and the reports dropped.

    What is in the open buffer is dropped with a release: the next reports are vectors of another space.
    """
    if schedule is None:
        return state, 0
    state = replace(state, filled=schedule.filled, steps=state.steps + len(schedule.closed_us))
    return (emptied(replace(state, filled=0)), schedule.filled) if released else (state, 0)


def buffer_row(schedule: Schedule | None, dropped: int) -> dict[str, Any]:
    """Return the keys of a round's row that say how its buffers filled; none without a schedule.

    `dropped` are the reports that a new release made worthless.
    """
    if schedule is None:
        return {}
    taken = schedule.place >= 0
    stale, weight = schedule.staleness[taken], staleness_weight(schedule.known[taken])
    return {
        "buffers": len(schedule.closed_us),
        "buffered": schedule.filled - dropped,
        "discarded": dropped,
        "staleness_mean": float(stale.mean()) if len(stale) else None,
        "weight_mean": float(weight.mean()) if len(weight) else None,
        "staleness": dict(zip(STALENESS_BINS, staleness_bins(stale).tolist(), strict=True)),
        "at_work": schedule.busy_us / schedule.last_us if schedule.last_us else 0.0,
    }
