"""Random allocation as an event of dp-accounting, which has none; imported only where events are made."""

import attr
from dp_accounting import DpEvent


@attr.define(frozen=True)
class RandomAllocationDpEvent(DpEvent):  # type: ignore[misc]
    """`event` is applied to a device's contribution in one of `slots` rounds, uniformly random and unseen."""

    slots: int
    event: DpEvent
