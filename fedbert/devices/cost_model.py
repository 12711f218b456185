"""What a session and an installation cost a phone: time, memory and energy.

Time of encoding a text of t tokens on n threads of the big core:

    compute  = (integer_macs(t) / int8_rate + float_macs(t) / float_rate + float_ops(t) / element_rate)
               x (1 - p + p / n)                                            p: share that threads divide
    memory   = traffic_bytes(t) / memory_rate x (1 - p + p / n)
    overhead = run + operators x overhead + products x (extra + wake, if n > 1)
    latency  = (load, if cold, + max(compute, memory) + overhead + scoring) x variation / speed_factor

All rates are the profile's. A session encodes its own text at once; the vectors of history and catalogue
were made when the release was installed, and are only read. Everything is elementwise over sessions.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.energy import energy_mj
from fedbert.devices.fleet import Flags, FleetColumns, Floats, Integers, standard_normal
from fedbert.devices.memory import peak_bytes
from fedbert.devices.operations import ModelOperations, count_operations
from fedbert.devices.profiles import Core, DeviceProfile
from fedbert.errors import FedbertError
from fedbert.results import OUTCOMES
from fedbert.scenario import DEFAULTS
from fedbert.units import MS_PER_S

__all__ = [
    "CostModel",
    "Encoding",
    "InstallCosts",
    "Outcome",
    "SessionCosts",
    "count_operations",
    "encoding",
]

SCORING_OPERATORS = 3
"""Operators of ranking: the dot products, the sum over the history, the sort."""
VARIATION_SIGMA = 0.20
"""Log-normal spread of one session's time around the model: clock, caches (assumed)."""
BUSY_PROBABILITY, BUSY_LOW, BUSY_HIGH = 0.05, 1.5, 4.0
"""Chance that other apps or heat slow a session down, and by how much, log-uniform (assumed)."""


class Outcome(IntEnum):
    """What came of a session: its place in `results.OUTCOMES`."""

    SCORED = OUTCOMES.index("scored")
    TOO_SLOW = OUTCOMES.index("too_slow")
    OUT_OF_MEMORY = OUTCOMES.index("out_of_memory")
    NO_RELEASE = OUTCOMES.index("no_release")

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.SCORED: "The phone ranked the candidates in time.",
    Outcome.TOO_SLOW: "The ranking came after the deadline, so the user saw the default order.",
    Outcome.OUT_OF_MEMORY: "The model did not fit into the memory left, so the user saw the default order.",
    Outcome.NO_RELEASE: "No release was installed yet, so the user saw the default order.",
}


class SessionCosts(NamedTuple):
    """Costs [session]; `latency_ms` = load + the larger of compute and memory + overhead + scoring.

    `memory_bound` says where memory is the larger. All times include the session's variation.
    """

    load_ms: Floats
    compute_ms: Floats
    memory_ms: Floats
    memory_bound: Flags
    overhead_ms: Floats
    scoring_ms: Floats
    latency_ms: Floats
    peak_memory_bytes: Integers
    energy_mj: Floats


class InstallCosts(NamedTuple):
    """Costs [device] of installing a release, once, in the background."""

    time_ms: Floats
    energy_mj: Floats
    storage_bytes: Integers


@dataclass(frozen=True)
class _Rates:
    """Columns over profiles [profile] for one kind of core."""

    int8_macs_per_ms: Floats
    float_macs_per_ms: Floats
    element_ops_per_ms: Floats
    memory_bytes_per_ms: Floats
    overhead_ms: Floats
    product_ms: Floats
    run_ms: Floats
    power_mw: Floats

    def encoding_overhead_ms(self, ops: ModelOperations) -> Floats:
        """Return what one text costs beside arithmetic and memory [profile]."""
        return self.run_ms + ops.operator_calls * self.overhead_ms + ops.product_calls * self.product_ms


def _rates(cores: list[Core], threads: Integers | int) -> _Rates:
    """Return the columns of `cores` [profile] on `threads` [profile] threads."""
    share = np.array([core.parallel_share or 0.0 for core in cores])
    faster = 1e6 / (1 - share + share / threads)
    wake = np.array([core.wake_us_per_product or 0.0 for core in cores])
    product = np.array([core.overhead_us_per_product or 0.0 for core in cores]) + (threads > 1) * wake
    return _Rates(
        faster * [core.int8_gmacs_per_s for core in cores],
        faster * [core.float_gmacs_per_s for core in cores],
        faster * [core.element_gops_per_s or core.float_gmacs_per_s for core in cores],
        faster * [core.memory_bytes_per_s / 1e6 / MS_PER_S for core in cores],
        np.array([core.overhead_us_per_operator / 1e3 for core in cores]),
        product / 1e3,
        np.array([(core.overhead_us_per_run or 0.0) / 1e3 for core in cores]),
        np.array([core.power_mw for core in cores]),
    )


@dataclass(frozen=True, eq=False)
class CostModel:
    """The cost of one model on the phones of `profiles`.

    `operations` of the model's graph; `artefact_bytes` of all its files; `memory_budget_bytes` the most the
    feature may use on any phone; `deadline_ms` the time to answer; `threads` those of a session, at most as
    many as the fastest cluster has cores (releases are installed on one); `history_vectors` those of the
    device's history that scoring reads, beside the text's own.
    """

    profiles: tuple[DeviceProfile, ...]
    operations: ModelOperations
    artefact_bytes: int
    memory_budget_bytes: int = DEFAULTS.memory_budget_bytes
    deadline_ms: float = DEFAULTS.deadline_ms
    threads: int = DEFAULTS.threads
    history_vectors: int = DEFAULTS.history_length

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise FedbertError(f"threads(={self.threads}) must be at least 1; use 1 for a single thread")

    @cached_property
    def _big(self) -> _Rates:
        # Threads beyond the fastest cluster would wait for slower cores: they are not used.
        room = np.array([profile.clusters[0].count for profile in self.profiles])
        return _rates([profile.big_core for profile in self.profiles], np.minimum(self.threads, room))

    @cached_property
    def _little(self) -> _Rates:
        return _rates([profile.little_core for profile in self.profiles], 1)

    @cached_property
    def _load_ms(self) -> Floats:
        """A cold start by profile: making the session, reading the flash, writing the weights."""
        fixed = np.array([profile.load.fixed_ms for profile in self.profiles])
        flash = np.array([profile.load.flash_bytes_per_s for profile in self.profiles])
        memory = np.array([profile.big_core.memory_bytes_per_s for profile in self.profiles])
        return np.asarray(fixed + self.artefact_bytes * MS_PER_S * (1 / flash + 1 / memory))

    def session(
        self,
        fleet: FleetColumns,
        rows: Integers,
        tokens: Integers,
        candidates: int,
        uniform: Floats,
        cold: Flags,
    ) -> SessionCosts:
        """Return what sessions cost.

        `rows` [session] index into `fleet`; `tokens` [session] of the session's text, special tokens
        included; `candidates` a session scores; `uniform` [session, 2] in (0, 1) gives the variation; `cold`
        [session] says that the model must first be loaded.
        """
        ops, rates = self.operations, self._big
        profile = fleet.profile[rows]
        slow = variation(uniform) / fleet.speed_factor[rows]
        length = np.asarray(tokens, np.float64)
        compute, memory, overhead = (part * slow for part in _encoding(ops, rates, profile, length))
        products = float(candidates * ops.output_width * (1 + self.history_vectors))
        by_profile = products / rates.int8_macs_per_ms + SCORING_OPERATORS * rates.overhead_ms
        scoring = by_profile[profile] * slow
        load = np.where(cold, self._load_ms[profile] * slow, 0.0)
        latency = load + np.maximum(compute, memory) + overhead + scoring
        return SessionCosts(
            load_ms=load,
            compute_ms=compute,
            memory_ms=memory,
            memory_bound=memory > compute,
            overhead_ms=overhead,
            scoring_ms=scoring,
            latency_ms=latency,
            peak_memory_bytes=self.peak_memory_bytes(length, candidates),
            energy_mj=np.asarray(energy_mj(rates.power_mw[profile], latency)),
        )

    def peak_memory_bytes(self, tokens: Floats, candidates: int) -> Integers:
        """Return the most bytes [session] held, to load the model or to encode; `memory` has the parts."""
        vectors = self.vectors_bytes(candidates)
        beside = self.artefact_bytes - self.operations.storage.file_bytes
        return peak_bytes(self.operations, np.asarray(tokens, np.float64), beside, vectors).astype(np.int64)

    def vectors_bytes(self, candidates: int) -> int:
        """Return the bytes of the int8 vectors a session reads: candidates, history, its own text."""
        return (candidates + self.history_vectors + 1) * self.operations.output_width

    def outcomes(
        self, latency_ms: Floats, peak_memory_bytes: Integers, free_memory_bytes: Integers, has_release: Flags
    ) -> NDArray[np.int8]:
        """Return the `Outcome` [session]: no release, then out of memory, then too slow, else scored.

        Memory is out above the smaller of the budget and what is free; the deadline itself is in time.
        """
        limit = np.minimum(free_memory_bytes, self.memory_budget_bytes)
        result = np.where(latency_ms > self.deadline_ms, Outcome.TOO_SLOW, Outcome.SCORED)
        result = np.where(peak_memory_bytes > limit, Outcome.OUT_OF_MEMORY, result)
        return np.where(has_release, result, Outcome.NO_RELEASE).astype(np.int8)

    def install(
        self, fleet: FleetColumns, rows: Integers, tokens_total: Integers, texts: Integers | int
    ) -> InstallCosts:
        """Return what installing a release costs the devices `rows` [device].

        In the background, on one little core, a phone loads the model and encodes `texts` [device] texts of
        its history and the catalogue, `tokens_total` [device] tokens together (each text taken at the mean
        length). It stores the artefact and one int8 vector a text.
        """
        ops, rates = self.operations, self._little
        profile = fleet.profile[rows]
        count = np.broadcast_to(np.asarray(texts, np.float64), profile.shape)
        length = np.asarray(tokens_total, np.float64) / np.maximum(count, 1.0)
        one = _encoding(ops, rates, profile, length).total_ms
        time_ms = (self._load_ms[profile] + count * one) / fleet.speed_factor[rows]
        storage = self.artefact_bytes + count.astype(np.int64) * ops.output_width
        return InstallCosts(time_ms, np.asarray(energy_mj(rates.power_mw[profile], time_ms)), storage)


class Encoding(NamedTuple):
    """Parts [text] of encoding one text, warm; the whole is the larger of the first two and overhead."""

    compute_ms: Floats
    memory_ms: Floats
    overhead_ms: Floats

    @property
    def total_ms(self) -> Floats:
        """The time [text]."""
        return np.asarray(np.maximum(self.compute_ms, self.memory_ms) + self.overhead_ms)


def encoding(core: Core, ops: ModelOperations, tokens: Floats, threads: int = 1) -> Encoding:
    """Return the parts of encoding a text of `tokens` [text] tokens on `threads` of `core`."""
    return _encoding(ops, _rates([core], threads), np.zeros(len(tokens), np.int16), tokens)


def _encoding(ops: ModelOperations, rates: _Rates, profile: NDArray[np.int16], tokens: Floats) -> Encoding:
    """Return the parts of encoding texts of `tokens` [text] tokens on the cores of `profile` [text]."""
    integer = ops.integer_macs.at(tokens) / rates.int8_macs_per_ms[profile]
    floats = ops.float_macs.at(tokens) / rates.float_macs_per_ms[profile]
    elements = ops.float_ops.at(tokens) / rates.element_ops_per_ms[profile]
    return Encoding(
        compute_ms=np.asarray(integer + floats + elements),
        memory_ms=ops.traffic_bytes.at(tokens) / rates.memory_bytes_per_ms[profile],
        overhead_ms=rates.encoding_overhead_ms(ops)[profile],
    )


def variation(uniform: Floats) -> Floats:
    """Return the factor [session] on a session's time, from `uniform` [session, 2] in (0, 1).

    A log-normal with median 1 and sigma .20, times, in one session of twenty, a slow-down log-uniform
    between 1.5 and 4.
    """
    spread = np.exp(VARIATION_SIGMA * standard_normal(uniform[:, 0]))
    busy = np.minimum(np.ascontiguousarray(uniform[:, 1]) / BUSY_PROBABILITY, 1.0)
    slow = BUSY_LOW * np.exp(np.log(BUSY_HIGH / BUSY_LOW) * busy)
    return np.asarray(spread * np.where(busy < 1.0, slow, 1.0))
