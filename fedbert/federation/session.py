"""One run of the federation on any Flower Grid: start the shards, run the rounds, replay the comparison.

This is the body of the ServerApp. `Server` decides, `Observer` takes notes; the two meet only here, and the
server is handed nothing but the server part of each report.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.availability_trace import Trace, load_trace
from fedbert.devices.fleet_shares import load_fleet
from fedbert.devices.links import load_links
from fedbert.ei_bert.artefact import pack
from fedbert.errors import FedbertError
from fedbert.federation import report as r
from fedbert.federation import wire
from fedbert.federation.observer import Observer, RoundTruth
from fedbert.federation.pooled import pooled_bound
from fedbert.federation.server import RoundUpdate, Server
from fedbert.federation.wire import Arrays
from fedbert.privacy.secure_sum import masked_vector, modular_sum, neighbour_graph, unmask
from fedbert.recommendation.world import World, load_public, load_world
from fedbert.scenario import Scenario

_CHECK_TIME = 1_000_000
"""Round number offset of the masks of the check, apart from those between shards."""


class RoundListener(Protocol):
    """Hears of each finished round."""

    def __call__(self, truth: RoundTruth, update: RoundUpdate, wall_s: float) -> None:
        """Take note."""


@dataclass
class System:
    """One row of the comparison: how it ranks, and on which vectors."""

    name: str
    inputs: str
    header: dict[str, Any]


@dataclass
class MaskCheck:
    """What really running the pairwise masks on a small cohort showed."""

    devices: int = 0
    dropped: int = 0
    equal: bool | None = None


@dataclass
class Session:
    """The state of a run that can be read while it goes on, also after Ctrl-C."""

    scenario: Scenario
    server: Server
    world: World
    trace: Trace | None = None
    observer: Observer = field(default_factory=Observer)
    updates: list[RoundUpdate] = field(default_factory=list)
    walls_s: list[float] = field(default_factory=list)
    timing_s: dict[str, float] = field(default_factory=dict)
    mask_check: MaskCheck = field(default_factory=MaskCheck)
    oracle: Arrays = field(default_factory=dict)
    systems: list[System] = field(default_factory=list)
    replayed: NDArray[np.int32] | None = None  # [system, evaluation text, rank - 1]
    replayed_tiers: NDArray[np.int64] | None = None  # [system, tier, rank - 1]

    @classmethod
    def open(cls, scenario: Scenario) -> "Session":
        """Load public data, teacher and student for a run; what the user named comes first, to fail early."""
        started = time.perf_counter()
        load_fleet(scenario.profiles, scenario.fleet)
        trace = load_trace(scenario.availability_trace)
        load_links(scenario.profiles)
        files = (scenario.world, scenario.items, scenario.interactions)
        world = load_world(*files)
        session = cls(scenario, Server(scenario, load_public(*files)), world, trace)
        session.timing_s["load"] = time.perf_counter() - started
        return session

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage's total."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timing_s[stage] = self.timing_s.get(stage, 0.0) + time.perf_counter() - started

    # -- messages -----------------------------------------------------------------------------------------

    def _ask(self, grid: Any, kind: str, header: dict[str, Any], arrays: Arrays) -> Iterator[Arrays]:
        """Send one message to every shard and yield the answers' arrays as they come."""
        messages = [
            grid.create_message(
                content=wire.to_records(header | extra, arrays),
                message_type=kind,
                dst_node_id=node,
                group_id=str(header.get("round", "")),
            )
            for node, extra in self._shards(grid, kind)
        ]
        answered = 0
        for reply in grid.send_and_receive(messages):
            if reply.has_error():
                raise FedbertError(f"a shard failed in {kind!r}: {reply.error.reason}")
            answered += 1
            yield wire.from_records(reply.content)[1]
        if answered != len(messages):
            raise FedbertError(f"{len(messages) - answered} of {len(messages)} shards gave no answer")

    def _shards(self, grid: Any, kind: str) -> list[tuple[int, dict[str, Any]]]:
        nodes = sorted(grid.get_node_ids())
        count = min(len(nodes), self.scenario.devices)
        if kind != wire.START:
            return [(node, {}) for node in nodes[:count]]
        edges = [self.scenario.devices * index // count for index in range(count + 1)]
        return [
            (node, {"first": edges[i], "count": edges[i + 1] - edges[i], "index": i, "shards": count})
            for i, node in enumerate(nodes[:count])
        ]

    # -- the run ------------------------------------------------------------------------------------------

    def run(self, grid: Any, listener: RoundListener, stage: Any) -> None:
        """Run all rounds, then the comparison."""
        self.start(grid, stage)
        for round_ in range(self.scenario.rounds + 1):
            stage(f"round {round_} of {self.scenario.rounds}")
            started = time.perf_counter()
            truth, update = self.one_round(grid, round_)
            self.updates.append(update)
            self.walls_s.append(time.perf_counter() - started)
            listener(truth, update, self.walls_s[-1])
        self.compare(grid, stage)

    def start(self, grid: Any, stage: Any) -> None:
        """Give each shard its devices and release 0."""
        stage("starting the phones")
        with self.timed("start"):
            installed: NDArray[np.int64] | None = None
            header = {"scenario": self.scenario.model_dump_json()}
            release = wire.blob_to_array(pack(self.server.releases[0].artefact))
            for answer in self._ask(grid, wire.START, header, {"release": release}):
                part = answer["installed"]
                installed = part if installed is None else installed + part
        if installed is None:
            raise FedbertError("no shard answered; start at least one SuperNode")
        self.server.installed = installed

    def compare(self, grid: Any, stage: Any) -> None:
        """Train the pooled-data bound and rank all evaluation sessions by each system."""
        stage("training the pooled-data bound")
        with self.timed("pooled bound"):
            self.oracle = r.add_all(self._ask(grid, wire.REPLAY, {"oracle": True}, {}))
            pooled = pooled_bound(self.server, self.oracle["oracle"], self.oracle["oracle_clicks"])
        stage("comparing the systems")
        with self.timed("comparison vectors"):
            arrays = self._comparison(pack(pooled))
        with self.timed("comparison"):
            systems = {"systems": [system.header for system in self.systems]}
            answer = r.add_all(self._ask(grid, wire.REPLAY, systems, arrays))
            self.replayed, self.replayed_tiers = answer["ranks"], answer["tier_ranks"]

    def one_round(self, grid: Any, round_: int) -> tuple[RoundTruth, RoundUpdate]:
        """Run one round on all shards and let the server finish it."""
        order, blob = self.server.order(round_)
        header = {
            "round": order.round,
            "signal_release": order.signal_release,
            "newest_release": order.newest_release,
            "sample_contributions": self.scenario.verify_masks if round_ == 1 else 0,
        }
        arrays = {"release": wire.blob_to_array(blob)} if blob is not None else {}
        server_part: Arrays | None = None
        truth_part: Arrays | None = None
        samples: list[NDArray[np.int64]] = []
        with self.timed("devices"):
            for answer in self._ask(grid, wire.ROUND, header, arrays):
                sample = answer.pop("sample.dense", None)
                if sample is not None:
                    samples.append(sample)
                report = r.ShardReport.from_arrays(answer)
                server_part = r.add(server_part, report.server)
                truth_part = r.add(truth_part, report.truth)
        if server_part is None or truth_part is None:
            raise FedbertError("no shard answered; start at least one SuperNode")
        truth = self.observer.add(round_, truth_part, server_part["installed"])
        if any(len(sample) for sample in samples):
            self._check_masks(np.concatenate(samples))
        with self.timed("server"):
            shards = len(self._shards(grid, wire.START))
            return truth, self.server.finish(order, server_part, shards)

    def _check_masks(self, dense: NDArray[np.int64]) -> None:
        """Really run the masks of a small cohort, one device in eight dropping out, against the plain sum."""
        # Shards answer in any order, and which devices are first must not depend on it: sort by content.
        chosen = dense[np.lexsort(dense.T[::-1])][: self.scenario.verify_masks]
        parties = range(len(chosen))
        survivors = [party for party in parties if party % 8 != 7]
        seed, time_ = self.scenario.seed, _CHECK_TIME
        graph = neighbour_graph(seed, time_, parties)
        vectors = chosen.astype(np.uint32)
        masked = [masked_vector(vectors[p], p, graph[p], seed, time_) for p in survivors]
        total = unmask(modular_sum(masked), survivors, graph, seed, time_)
        plain = modular_sum([vectors[party] for party in survivors])
        self.mask_check = MaskCheck(
            len(chosen), len(chosen) - len(survivors), bool(np.array_equal(total, plain))
        )

    def _met_texts(self, texts: int) -> NDArray[np.bool_]:
        """Return which evaluation texts a session of rounds 1 .. N has, `[text]`; others need no vector."""
        if self.observer.totals is None:
            return np.zeros(texts, np.bool_)
        return np.asarray(self.observer.totals["text_ranks"].sum(axis=1) > 0)

    # -- the comparison -----------------------------------------------------------------------------------

    def _comparison(self, pooled: bytes) -> Arrays:
        """Name the systems and return the arrays that they rank by."""
        final = self.server.current
        arrays: Arrays = {
            "release_0": wire.blob_to_array(pack(self.server.releases[0].artefact)),
            "final": wire.blob_to_array(pack(final)),
            "pooled": wire.blob_to_array(pooled),
        }
        ids = np.flatnonzero(self.world.evaluation_text)
        met = np.flatnonzero(self._met_texts(len(ids)))
        texts = [self.world.texts[i] for i in ids[met]]
        items = self.world.public.catalogue.texts
        for name, encode in (
            ("student", self.server.models.student_vectors),
            ("teacher", self.server.models.teacher_vectors),
        ):
            vectors = np.zeros((len(ids), final.dim), np.int8)
            vectors[met] = _to_int8(encode(texts, "text"))
            arrays[f"{name}_texts"] = vectors
            arrays[f"{name}_items"] = _to_int8(encode(items, "item"))
        self.systems = [System("popularity", "popularity of the item", {"kind": "popularity"})]
        self.systems.append(System("TF-IDF", "text of the session, name of the item", {"kind": "tfidf"}))
        self.systems.append(
            System(
                "user model only",
                "what this phone clicked before",
                {"kind": "release", "artefact": "release_0", "inputs": "user model only"},
            )
        )
        for name, inputs in (
            ("unquantised student", "text only; final student before int8"),
            ("teacher", "text only; final teacher on the server"),
        ):
            key = name.rpartition(" ")[2]
            header = {"kind": "vectors", "texts": f"{key}_texts", "items": f"{key}_items"}
            self.systems.append(System(name, inputs, header | {"inputs": "text only"}))
        for label, artefact in (
            ("int8 student, release 0", "release_0"),
            ("int8 student, final", "final"),
            ("int8 student, pooled-data bound", "pooled"),
        ):
            for inputs in ("text only", "full"):
                shown = "text, history and user model" if inputs == "full" else inputs
                self.systems.append(
                    System(label, shown, {"kind": "release", "artefact": artefact, "inputs": inputs})
                )
        return arrays


def _to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return unit vectors as the phones store them, `round(127 v)`."""
    return np.rint(np.asarray(vectors, np.float64) * 127).astype(np.int8)
