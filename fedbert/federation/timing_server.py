"""The server of a run that simulates all but the model: releases come on schedule, and nothing is learnt."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.server import Release, RoundUpdate, Server, ServerSettings, ServerState
from fedbert.privacy.mechanism import Mechanism
from fedbert.recommendation.catalogue import PublicData
from fedbert.signals.report import ReportLayout
from fedbert.signals.signal import NoisySum, Signal

NOT_TRAINED = "timing only: nothing was summed or trained"


class TimingServer(Server):
    """A server without models: every release has the bytes of release 0, and none is held by the gate."""

    def __init__(
        self,
        settings: ServerSettings,
        public: PublicData,
        artefact: Artefact,
        mechanism: Mechanism,
        signal: Signal,
        layout: ReportLayout,
    ) -> None:
        """Take the same parts as a server, but what its models draw."""
        self.settings, self.public = settings, public
        self.mechanism, self.signal, self.layout = mechanism, signal, layout
        self.first = Release(0, artefact, 0.0)

    def start(self) -> ServerState:
        """Return the state before the first round."""
        return ServerState((self.first,), self.first.artefact, np.zeros(1, np.int64), {}, {}, {})

    def _judged(self, release: Release) -> float | None:
        return None

    def finish(
        self,
        state: ServerState,
        order: RoundOrder,
        installed: NDArray[np.int64],
        sums: tuple[NoisySum, NoisySum] | None,
        held: str = "",
    ) -> tuple[ServerState, RoundUpdate]:
        """Return the state after a round: with a further release where one is due, as if the gate let it."""
        state = replace(state, installed=installed)
        if order.round == 0:
            return state, self._update(state, order, "evaluation before the first round", None, "", None)
        return self._on_schedule(state, order, self._opened(order.round))

    def finish_buffers(
        self,
        state: ServerState,
        order: RoundOrder,
        installed: NDArray[np.int64],
        opened: Sequence[tuple[NoisySum, NoisySum] | None],
        held: Sequence[str],
        steps: range,
    ) -> tuple[ServerState, RoundUpdate]:
        """Return the state after a window that filled buffers: with a further release where one is due."""
        state = replace(state, installed=installed)
        return self._on_schedule(state, order, steps)

    def _on_schedule(
        self, state: ServerState, order: RoundOrder, steps: range
    ) -> tuple[ServerState, RoundUpdate]:
        if not self._due(steps):
            return state, self._update(state, order, NOT_TRAINED, None, "not due", None)
        release = replace(self.first, number=state.newest.number + 1)
        state = replace(state, releases=(*state.releases, release))
        return state, self._update(state, order, NOT_TRAINED, release.number, "on schedule, unjudged", None)
