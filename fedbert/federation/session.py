"""One run of the federation on any Flower Grid: start the shards, step from state to state, compare.

This is the body of the ServerApp. `Server` decides, `Aggregator` opens sums, the observer takes notes; the
three meet only here, and the server is handed nothing but noisy sums and the downloads that it served.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert import comparison
from fedbert.ei_bert.artefact.family import pack
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.asking import first_announced
from fedbert.federation.buffer_round import check_buffered, most_buffers
from fedbert.federation.buffered_aggregator import BufferedAggregator
from fedbert.federation.checkpoint import Kept
from fedbert.federation.environment import Environment, share
from fedbert.federation.exchange import Event, Exchange, LostShards, Question, ignore
from fedbert.federation.kept_parts import keep_encodings, share_kept, take_server
from fedbert.federation.protocol import (
    START,
    Arrays,
    Member,
    blob_to_array,
    members_of,
)
from fedbert.federation.round_clock import check_clock
from fedbert.federation.run_state import RunState
from fedbert.federation.server import TRAINING_THREADS, Server, server_settings, starting_artefact
from fedbert.federation.signing import order_signer
from fedbert.federation.timing_server import TimingServer
from fedbert.kept_work import KeptWork
from fedbert.recommendation.world import World
from fedbert.scenario import Scenario


@dataclass
class Session:
    """What a run works with: environment, server, and, once it has started, grid and aggregator."""

    scenario: Scenario
    environment: Environment
    server: Server
    timing_s: dict[str, float] = field(default_factory=dict)
    on_event: Callable[[Event], None] = ignore
    lost_shards: LostShards = "stop"
    shard_timeout_s: float | None = None
    signing_key: Path | None = None
    kept_work: KeptWork | None = None
    """What earlier runs kept and later ones may take, if a folder was given."""
    noise_seed: int | None = None
    """Seed of the noise; None takes the scenario's."""
    events: list[Event] = field(default_factory=list)
    """Since the last step."""
    kept: dict[int, Kept] = field(default_factory=dict)
    """The newest part of a checkpoint that each member wrote, by its index."""
    systems: list[comparison.System] = field(default_factory=list)
    replayed: Arrays | None = None
    """What `replay` counted over all shards; None before the comparison."""
    _exchange: Exchange | None = None
    _aggregator: BufferedAggregator | None = None
    has: dict[int, int] = field(default_factory=dict)
    """The newest release that each member was given, by its index."""

    @classmethod
    def open(cls, scenario: Scenario, cache: Path | None = None) -> "Session":
        """Load what the scenario names, then teacher and student: what the user gave fails first.

        `cache` is the folder of `KeptWork`; a run that computes nothing of it leaves it alone.
        """
        kept = None
        if cache is not None and not scenario.timing_only:
            kept = KeptWork.open(cache, scenario.precision, TRAINING_THREADS)
        started = time.perf_counter()
        artefact = starting_artefact(scenario.model)
        environment = Environment.create(scenario, artefact)
        check_clock(environment)
        check_buffered(environment)
        if kept is None:
            share(environment)
        else:
            share_kept(kept, environment)
        parts = (
            replace(server_settings(scenario), size_shares=environment.size_shares),
            environment.world.public,
            artefact,
            environment.mechanism,
            environment.signal,
            environment.layout,
        )
        if scenario.timing_only:
            server: Server = TimingServer(*parts)
        else:
            server = Server(*parts, training_draws_of(scenario, most_buffers(environment)))
        if kept is not None:
            take_server(kept, server)
        return cls(scenario, environment, server, {"load": time.perf_counter() - started}, kept_work=kept)

    @property
    def world(self) -> World:
        """The world of the run."""
        return self.environment.world

    @property
    def told(self) -> Scenario:
        """What shards are told of the scenario; in a deployment phones that add noise draw its seed."""
        told = self.scenario.for_shards()
        return told if self.noise_seed is None else told.model_copy(update={"noise_seed": None})

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage's total."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timing_s[stage] = self.timing_s.get(stage, 0.0) + time.perf_counter() - started

    def note(self, event: Event) -> None:
        """Keep an event for the round's state, and tell it."""
        self.events.append(event)
        self.on_event(event)

    @property
    def exchange(self) -> Exchange:
        """The exchange with the shards; raises RuntimeError before `start`."""
        if self._exchange is None:
            raise RuntimeError("start the session first")
        return self._exchange

    @property
    def shards(self) -> int:
        """How many shards there are; 0 before `start`."""
        return len(self._exchange.members) if self._exchange else 0

    @property
    def aggregator(self) -> BufferedAggregator:
        """The aggregator of the run; raises RuntimeError before `start`."""
        if self._aggregator is None:
            raise RuntimeError("start the session first")
        return self._aggregator

    # -- start --------------------------------------------------------------------------------------------

    def connect(self, grid: Any) -> None:
        """Fix the members of the run: the SuperNodes that are there now."""
        members = members_of(list(grid.get_node_ids()), self.scenario.devices)
        if not members:
            raise FedbertError("no shard is connected; start at least one SuperNode")
        self._exchange = Exchange(
            grid,
            members,
            self.lost_shards,
            self.shard_timeout_s,
            self.note,
            order_signer(self.signing_key, grid.run.run_id) if self.signing_key else None,
        )
        self._aggregator = BufferedAggregator(
            self.environment.mechanism,
            self.environment.layout,
            members,
            noise_seed=self.scenario.effective_noise_seed if self.noise_seed is None else self.noise_seed,
            min_reports=self.scenario.min_reports,
            largest_cohort=self.environment.largest_cohort,
            devices=self.scenario.devices,
        )
        self._aggregator.names_shards = self.environment.poisoning is None

    def start(
        self,
        grid: Any,
        resumed: RunState | None = None,
        kept: tuple[Kept, ...] = (),
        folder: str | None = None,
    ) -> RunState:
        """Give each shard its devices and its releases, and return the state to go on from.

        Without `resumed` phones begin with their histories and release 0; with it they take up the memory
        that `kept` names, below `folder`.
        """
        self.connect(grid)
        state = resumed or self._first()
        blobs = release_arrays(state, 0)
        header = {
            "scenario": self.told.model_dump_json(),
            "noise_multiplier": self.environment.mechanism.noise_multiplier,
            "kept": [each.row() for each in kept],
            "folder": folder,
        }

        def check(member: Member, arrays: Arrays) -> NDArray[np.int64]:
            installed = arrays.get("installed")
            if installed is None or installed.dtype != np.int64 or installed.ndim != 1:
                raise FedbertError("installed must be there, as whole numbers")
            wrong = len(installed) != len(state.server.releases) + 1 or installed.min() < 0
            if wrong or int(installed.sum()) != member.count:
                raise FedbertError(
                    f"installed must count each of {member.count} devices once, by the releases there are"
                )
            return installed

        with self.timed("start"):
            total: NDArray[np.int64] | None = None
            question = same_for_all(header, blobs)
            for _, installed in self.exchange.ask(START, state.round, question, check):
                total = installed.copy() if total is None else total + installed
        self.has = dict.fromkeys(range(len(self.exchange.members)), state.server.newest.number)
        if self.kept_work is not None:
            keep_encodings(self.kept_work, self.environment)
        if resumed is not None or total is None:
            return state
        return replace(state, server=replace(state.server, installed=total))

    def _first(self) -> RunState:
        totals = r.empty_truth(self.environment.places)
        asking = first_announced(self.environment.selection)
        return RunState(round=-1, server=self.server.start(), totals=totals, asking=asking)


def same_for_all(header: dict[str, Any], arrays: Arrays) -> Question:
    """Return the question that puts one header and the same arrays to every member."""
    return lambda member: (dict(header), arrays)


def release_arrays(state: RunState, first: int) -> Arrays:
    """Return the releases from number `first` on, as they travel."""
    return {
        f"release.{release.number}": blob_to_array(pack(release.artefact))
        for release in state.server.releases[first:]
    }


def training_draws_of(scenario: Scenario, steps: int = 0) -> Any:
    """Return the only random numbers that the server's models draw, without the seed behind them.

    They are enough for the scenario's rounds, and for `steps` if that is more.
    """
    from fedbert.ei_bert.teaching.server_models import training_draws

    return training_draws(scenario.seed, max(scenario.rounds, steps))
