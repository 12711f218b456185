"""One run of the federation on any Flower Grid: start the shards, step from state to state, compare.

This is the body of the ServerApp. `Server` decides, `Aggregator` opens sums, the observer takes notes; the
three meet only here, and the server is handed nothing but noisy sums and the downloads that it served.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert import comparison
from fedbert.ei_bert.artefact import pack
from fedbert.errors import FedbertError
from fedbert.federation import report as r
from fedbert.federation.aggregator import Aggregator, MaskedReport
from fedbert.federation.checkpoint import Kept
from fedbert.federation.environment import Environment, share
from fedbert.federation.exchange import Event, Exchange, LostShards, ignore
from fedbert.federation.observer import add_truth, observe
from fedbert.federation.pooled import pooled_bound
from fedbert.federation.protocol import (
    REPLAY,
    ROUND,
    START,
    Arrays,
    Member,
    RoundOrder,
    blob_to_array,
    members_of,
)
from fedbert.federation.rows import round_row
from fedbert.federation.run_state import RunState
from fedbert.federation.server import RoundUpdate, Server, server_settings, starting_artefact
from fedbert.federation.shard import MaskCheck
from fedbert.federation.signing import order_signer
from fedbert.privacy.secure_sum import MaskKeys
from fedbert.recommendation.sessions import MAX_SLOTS
from fedbert.recommendation.world import World
from fedbert.scenario import Scenario


@dataclass(frozen=True)
class Answer:
    """What one shard said of a round, checked."""

    report: r.ShardReport
    check: MaskCheck | None
    kept: Kept | None
    """The part of a checkpoint that it wrote."""


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
    noise_seed: int | None = None
    """Seed of the noise; None takes the scenario's."""
    events: list[Event] = field(default_factory=list)
    """Since the last step."""
    kept: dict[int, Kept] = field(default_factory=dict)
    """The newest part of a checkpoint that each member wrote, by its index."""
    systems: list[comparison.System] = field(default_factory=list)
    replayed: NDArray[np.int32] | None = None  # [system, evaluation text, rank - 1]
    replayed_tiers: NDArray[np.int64] | None = None  # [system, tier, rank - 1]
    _exchange: Exchange | None = None
    _aggregator: Aggregator | None = None
    _has: dict[int, int] = field(default_factory=dict)
    """The newest release that each member was given, by its index."""

    @classmethod
    def open(cls, scenario: Scenario) -> "Session":
        """Load what the scenario names, then teacher and student: what the user gave fails first."""
        started = time.perf_counter()
        artefact = starting_artefact(scenario.model)
        environment = Environment.create(scenario, artefact)
        share(environment)
        server = Server(
            server_settings(scenario),
            environment.world.public,
            artefact,
            environment.mechanism,
            environment.signal,
            environment.layout,
            training_draws_of(scenario),
        )
        return cls(scenario, environment, server, {"load": time.perf_counter() - started})

    @property
    def world(self) -> World:
        """The world of the run."""
        return self.environment.world

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage's total."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timing_s[stage] = self.timing_s.get(stage, 0.0) + time.perf_counter() - started

    def _note(self, event: Event) -> None:
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
    def aggregator(self) -> Aggregator:
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
            self._note,
            order_signer(self.signing_key, grid.run.run_id) if self.signing_key else None,
        )
        self._aggregator = Aggregator(
            self.environment.mechanism,
            self.environment.layout,
            members,
            noise_seed=self.scenario.effective_noise_seed if self.noise_seed is None else self.noise_seed,
            min_reports=self.scenario.min_reports,
            largest_cohort=self.environment.largest_cohort,
            devices=self.scenario.devices,
        )

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
        blobs = _release_arrays(state, 0)
        header = {
            "scenario": self.scenario.for_shards().model_dump_json(),
            "noise_multiplier": self.environment.mechanism.noise_multiplier,
            "kept": [each.plain() for each in kept],
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
            question = self._same(header, blobs)
            for _, installed in self.exchange.ask(START, state.round, question, check):
                total = installed.copy() if total is None else total + installed
        self._has = dict.fromkeys(range(len(self.exchange.members)), state.server.newest.number)
        if resumed is not None or total is None:
            return state
        return replace(state, server=replace(state.server, installed=total))

    def _first(self) -> RunState:
        texts = int(self.world.evaluation_text.sum())
        return RunState(round=-1, server=self.server.start(), totals=r.empty_truth(texts))

    @staticmethod
    def _same(header: dict[str, Any], arrays: Arrays) -> Callable[[Member], tuple[dict[str, Any], Arrays]]:
        return lambda member: (dict(header), arrays)

    # -- rounds -------------------------------------------------------------------------------------------

    def answers(
        self, state: RunState, order: RoundOrder, keep: str | None
    ) -> Iterator[tuple[Member, Answer]]:
        """Yield each member's checked answer to a round; `keep` is where shards write their phones' memory.

        A member is given the releases that it has not got yet.
        """
        keys = self.aggregator.deal(order.round) if order.round else {}
        texts = int(self.world.evaluation_text.sum())
        size, releases = self.environment.layout.size, order.newest_release + 1

        def question(member: Member) -> tuple[dict[str, Any], Arrays]:
            header: dict[str, Any] = {
                "signal_release": order.signal_release,
                "newest_release": order.newest_release,
                "index": member.index,
                "keep": keep,
            }
            arrays = _release_arrays(state, self._has[member.index] + 1)
            if order.round:
                header["neighbours"], arrays["mask_keys"] = _packed(keys[member.index])
            return header, arrays

        def check(member: Member, arrays: Arrays) -> Answer:
            extra = {name: arrays.pop(name) for name in ("check", "kept") if name in arrays}
            report = r.ShardReport.from_arrays(arrays)
            report.check(member.count, size, releases, texts)
            kept = _kept(extra.get("kept"), member, order.round)
            most = min(member.count, self.scenario.verify_masks)
            return Answer(report, _mask_check(extra.get("check"), most), kept)

        for member, answer in self.exchange.ask(ROUND, order.round, question, check):
            self._has[member.index] = order.newest_release
            if answer.kept:
                self.kept[member.index] = answer.kept
            yield member, answer

    # -- the comparison -----------------------------------------------------------------------------------

    def compare(self, state: RunState, stage: Callable[[str], None]) -> None:
        """Train the pooled-data bound and rank all evaluation sessions by each system."""
        texts, rounds = int(self.world.evaluation_text.sum()), self.scenario.rounds
        items, dim = len(self.world.public.catalogue.texts), self.environment.release_0.dim
        stage("training the pooled-data bound")
        with self.timed("pooled bound"):
            expected: dict[str, tuple[tuple[int, ...], Any]] = {
                "pooled_sums": ((items, dim), np.int64),
                "pooled_clicks": ((items,), np.int64),
            }
            sums = self._replay(rounds + 1, {"pooled": True}, {}, expected, self._possible_clicks)
            pooled = pooled_bound(self.server, self.scenario, sums["pooled_sums"], sums["pooled_clicks"])
        stage("comparing the systems")
        with self.timed("comparison vectors"):
            arrays = self._comparison(state, pack(pooled))
        with self.timed("comparison"):
            count = len(self.systems)
            expected = {
                "ranks": ((count, texts, r.RANKS), np.int32),
                "tier_ranks": ((count, r.TIER_COUNT, r.RANKS), np.int64),
            }
            header = {"systems": [system.header for system in self.systems]}
            answer = self._replay(rounds + 2, header, arrays, expected, partial(_possible_ranks, rounds))
            self.replayed, self.replayed_tiers = answer["ranks"], answer["tier_ranks"]

    def _replay(
        self,
        round_: int,
        header: dict[str, Any],
        arrays: Arrays,
        expected: dict[str, tuple[tuple[int, ...], Any]],
        possible: Callable[[Member, Arrays], None],
    ) -> Arrays:
        def check(member: Member, answer: Arrays) -> Arrays:
            if answer.keys() != expected.keys():
                raise FedbertError(f"its arrays must be {', '.join(expected)}")
            for name, (shape, dtype) in expected.items():
                if answer[name].shape != shape or answer[name].dtype != dtype:
                    raise FedbertError(f"{name} must be {np.dtype(dtype)}{list(shape)}")
                if name != "pooled_sums" and answer[name].size and answer[name].min() < 0:
                    raise FedbertError(f"{name} must be counts >= 0")
            possible(member, answer)
            return answer

        found = self.exchange.ask(REPLAY, round_, self._same(header, arrays), check)
        return r.add_all(answer for _, answer in found)

    def _possible_clicks(self, member: Member, answer: Arrays) -> None:
        """Raise FedbertError unless these can be the clicks of so many devices, and sums of their texts."""
        clicks, sums = answer["pooled_clicks"].astype(np.float64), answer["pooled_sums"].astype(np.float64)
        most = member.count * (self.scenario.history_length + self.scenario.rounds * MAX_SLOTS)
        if clicks.sum() > most or (np.abs(sums) > 128 * clicks[:, None]).any():
            raise FedbertError(f"pooled_sums and pooled_clicks must be of at most {most:,} clicks")

    def _comparison(self, state: RunState, pooled: bytes) -> Arrays:
        """Choose the systems and return the arrays that they rank by."""
        server = state.server
        final, current = server.newest.artefact, server.current
        arrays: Arrays = {
            comparison.RELEASE_0: blob_to_array(pack(server.releases[0].artefact)),
            comparison.FINAL: blob_to_array(pack(final)),
            comparison.POOLED: blob_to_array(pooled),
        }
        unreleased = current.sha256 != final.sha256
        if unreleased:
            arrays[comparison.UNRELEASED] = blob_to_array(pack(current))
        ids = np.flatnonzero(self.world.evaluation_text)
        # Texts of no session of rounds 1 .. N need no vector.
        met = np.flatnonzero(state.totals["text_ranks"].sum(axis=1) > 0)
        texts = [self.world.texts[i] for i in ids[met]]
        items = self.world.public.catalogue.texts
        models = self.server.models
        for name, encode in (("student", models.student_vectors), ("teacher", models.teacher_vectors)):
            vectors = np.zeros((len(ids), final.dim), np.int8)
            vectors[met] = _to_int8(encode(server.models, texts, "text"))
            arrays[f"{name}_texts"] = vectors
            arrays[f"{name}_items"] = _to_int8(encode(server.models, items, "item"))
        self.systems = comparison.systems(unreleased)
        return arrays


def training_draws_of(scenario: Scenario) -> Any:
    """Return the only random numbers that the server's models draw, without the seed behind them."""
    from fedbert.ei_bert.server_models import training_draws

    return training_draws(scenario.seed, scenario.rounds)


def step(run: Session, state: RunState, keep: str | None = None) -> tuple[RunState, RoundUpdate]:
    """Return the state one round later, and what the server did in it.

    A pure function of `state` but for the shards' work: their phones' memory advances with it. `keep` asks
    the shards to write that memory (`Session.kept`).
    """
    started = time.perf_counter()
    round_ = state.round + 1
    order = run.server.order(state.server, round_)
    truth_part: Arrays | None = None
    installed: NDArray[np.int64] | None = None
    masked: dict[int, MaskedReport] = {}
    truths: dict[int, tuple[Arrays, NDArray[np.int64]]] = {}
    checks: list[MaskCheck] = []
    with run.timed("devices"):
        for member, answer in run.answers(state, order, keep):
            server = answer.report.server
            masked[member.index] = MaskedReport(
                server["signal"], int(server["reported"][0]), int(server["completed"][0])
            )
            truths[member.index] = answer.report.truth, server["installed"]
            checks += [answer.check] if answer.check else []
    left_out = {member.index for member in run.exchange.lost}
    sums, held = None, ""
    if round_:
        opened, refusals = run.aggregator.open(order, masked)
        for refusal in refusals:
            text = f"{refusal.member} is left out: {refusal.why}"
            run._note(Event(round_, refusal.member.index, text))
            left_out.add(refusal.member.index)
        held = opened.held
        if opened.signal is not None and opened.ranks is not None:
            sums = opened.signal, opened.ranks
    for index, (truth, counts) in truths.items():
        if index not in left_out:
            truth_part = r.add(truth_part, truth)
            installed = counts if installed is None else installed + counts
    if truth_part is None or installed is None:
        raise FedbertError(f"round {round_}: no shard gave a report that can be used")
    missing = sum(member.count for member in run.exchange.members if member.index in left_out)
    seen = observe(round_, truth_part, installed, missing)
    with run.timed("server"):
        server_state, update = run.server.finish(state.server, order, installed, sums, held)
    row = round_row(run.scenario, seen, update, time.perf_counter() - started)
    said = [check.equal for check in checks if check.equal is not None]
    events, run.events = tuple(run.events), []
    return (
        replace(
            state,
            round=round_,
            server=server_state,
            totals=add_truth(state.totals, seen),
            rows=(*state.rows, row),
            masks_equal=all(said) if said else state.masks_equal,
            masks_checked=state.masks_checked + sum(check.devices for check in checks),
            events=(*state.events, *events),
            missing_device_rounds=state.missing_device_rounds + missing,
        ),
        update,
    )


def _possible_ranks(rounds: int, member: Member, answer: Arrays) -> None:
    """Raise FedbertError unless so many devices can have had the ranked sessions, by text and by tier."""
    by_text = answer["ranks"].sum(axis=1, dtype=np.float64)
    by_tier = answer["tier_ranks"].sum(axis=1, dtype=np.float64)
    if not np.array_equal(by_text, by_tier):
        raise FedbertError("tier_ranks must count the sessions of ranks")
    if (by_text.sum(axis=1) > member.count * rounds * MAX_SLOTS).any():
        raise FedbertError(f"ranks must be of at most {MAX_SLOTS} sessions a device and round")


def _packed(keys: MaskKeys) -> tuple[list[int], NDArray[np.uint8]]:
    """Return a member's neighbours, and its keys `[1 + neighbour, byte]`, its own first."""
    neighbours = list(keys.pairs)
    blob = b"".join([keys.own, *(keys.pairs[other] for other in neighbours)])
    return neighbours, np.frombuffer(blob, np.uint8).reshape(1 + len(neighbours), -1)


def _mask_check(array: NDArray[Any] | None, most: int) -> MaskCheck | None:
    """Return the check of phones' masks that a shard sent: devices, dropped, and yes, no or not done."""
    if array is None:
        return None
    if array.dtype != np.int64 or array.shape != (3,) or array[2] not in (-1, 0, 1):
        raise FedbertError("check must be three whole numbers")
    if not 0 <= array[1] <= array[0] <= most:
        raise FedbertError(f"check must be of at most {most} devices")
    return MaskCheck(int(array[0]), int(array[1]), None if array[2] < 0 else bool(array[2]))


def _kept(array: NDArray[Any] | None, member: Member, round_: int) -> Kept | None:
    """Return the part of a checkpoint that a shard wrote, if it did; its SHA-256 came as bytes."""
    if array is None:
        return None
    if array.dtype != np.uint8 or array.shape != (32,):
        raise FedbertError("kept must be 32 bytes")
    return Kept(round_, member.first, member.count, array.tobytes().hex())


def _release_arrays(state: RunState, first: int) -> Arrays:
    """Return the releases from number `first` on, as they travel."""
    return {
        f"release.{release.number}": blob_to_array(pack(release.artefact))
        for release in state.server.releases[first:]
    }


def _to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return unit vectors as the phones store them, `round(127 v)`."""
    return np.rint(np.asarray(vectors, np.float64) * 127).astype(np.int8)
