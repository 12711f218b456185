"""When a round closes that takes the first reports that come: asked of all shards before the round is run.

In a deployment the aggregator sees reports come, and closes the round itself. In the simulation shards say
when theirs would, and are then told up to when they count. The clock is the aggregator's.
"""

from typing import Any

import numpy as np

from fedbert.errors import FedbertError
from fedbert.federation.protocol import ARRIVALS, Arrays, Closing, Member, RoundOrder
from fedbert.federation.round_clock import closing_of, deadline_us
from fedbert.federation.session import Session


def closing_of_round(run: Session, order: RoundOrder) -> Closing | None:
    """Return when the round closes; None if it takes every report of its window."""
    scenario, until_us = run.scenario, deadline_us(run.environment)
    if not (scenario.clocked and order.round):
        return None
    target = scenario.target_reports
    if target is None:
        return Closing(until_us)
    most = target

    def question(member: Member) -> tuple[dict[str, Any], Arrays]:
        return {"newest_release": order.newest_release, "most": most, "asking": list(order.asking)}, {}

    def check(member: Member, arrays: Arrays) -> Arrays:
        return checked_arrivals(member, arrays, most, until_us)

    parts = [part for _, part in run.exchange.ask(ARRIVALS, order.round, question, check)]
    times, who = (np.concatenate([part[name] for part in parts]) for name in ("arrival_us", "device"))
    return closing_of(times, who, target, until_us)


def checked_arrivals(member: Member, arrays: Arrays, most: int, until_us: int) -> Arrays:
    """Return a member's arrivals; raises FedbertError unless they can be those of its devices, each once."""
    if arrays.keys() != {"arrival_us", "device"}:
        raise FedbertError("arrivals must be arrival_us and device")
    times, who = arrays["arrival_us"], arrays["device"]
    if any(each.dtype != np.int64 or each.ndim != 1 for each in (times, who)) or len(times) != len(who):
        raise FedbertError("arrival_us and device must be whole numbers, as many of one as of the other")
    if len(times) > most:
        raise FedbertError(f"arrivals must be at most {most:,}")
    if len(times) and not (times.min() >= 0 and times.max() <= until_us):
        raise FedbertError(f"arrival_us must be from 0 to {until_us:,}")
    inside = (who >= member.first) & (who < member.first + member.count)
    if not inside.all() or len(np.unique(who)) != len(who):
        raise FedbertError("device must be numbers of its own devices, each once")
    return arrays
