"""The aggregator of rounds whose reports fill buffers: it opens what is full, and keeps what is open.

What is in the open buffer is no part of anything that the server gets until the buffer is full. It waits with
the aggregator, as the sum of a day does under `daily`, and is a part of its checkpoint.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedbert.federation.aggregator import (
    BEYOND_REACH,
    Aggregator,
    AggregatorState,
    MaskedReport,
    Opened,
    Refusal,
)
from fedbert.federation.protocol import RoundOrder
from fedbert.signals.signal import NoisySum

_NOTHING = np.zeros(0)


class BufferedAggregator(Aggregator):
    """An aggregator that can also open the sums of buffers, which carry no noise."""

    def open_buffers(
        self, order: RoundOrder, reports: Mapping[int, MaskedReport], state: AggregatorState, size: int
    ) -> tuple[list[Opened], list[Refusal], AggregatorState]:
        """Return what each buffer that is full opens, the members that were refused, and the next state.

        A member's masked sums stand one after the other, the last of the buffer that is left open; `size` is
        the reports of a full one. A buffer with fewer reports that say something than the least number is not
        opened and lost, as are all of a window without enough shards. Raises ValueError for an order without
        buffers.
        """
        if order.buffers is None:
            raise ValueError("a round that fills buffers must say how many")
        full = order.buffers.count - 1
        total, _, held, refusals = self._sum(order.round, reports, 0)
        if total is None:
            return [Opened(None, None, held)] * full, refusals, emptied(state) if full else state
        refused = {refusal.member for refusal in refusals}
        kept = [part for index, part in reports.items() if self._members[index] not in refused]
        counts = np.sum([part.by_sum for part in kept], axis=0)
        opened = []
        for place, part in enumerate(total.reshape(full + 1, -1)):
            count = int(counts[place])
            if possible := self._possible(part, count):
                state = replace(
                    state,
                    pending=state.pending + part if state.rounds else part,
                    rounds=state.rounds + 1,
                    reports=state.reports + count,
                )
            if place < full:
                opened.append(self._full(order, state, size, "" if possible else BEYOND_REACH, place))
                state = emptied(state)
        return opened, refusals, state

    def _full(self, order: RoundOrder, state: AggregatorState, size: int, held: str, place: int) -> Opened:
        """Return what the buffer in `state` opens; `held` says why what came last is not in it."""
        if not state.rounds or state.reports < self._least:
            return Opened(None, None, held or self._too_few)
        number = state.steps + place + 1
        signal, ranks = (self._plain(order, number, part, size) for part in self._layout.split(state.pending))
        return Opened(signal, ranks, held)

    def _plain(self, order: RoundOrder, number: int, values: NDArray[np.float64], size: int) -> NoisySum:
        return NoisySum(number, order.signal_release, values, 0.0, float(size), 0.0)


def emptied(state: AggregatorState) -> AggregatorState:
    """Return a state whose open buffer is empty."""
    return replace(state, pending=_NOTHING, rounds=0, reports=0)
