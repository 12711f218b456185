"""Each phone the largest size that fits, or one size for all: what each choice gives on the same sessions.

The evaluation sessions of the comparison are worked again as if every phone had its release: with the size
that it takes, and with each of the sizes. Who answers in time, and at what cost, is modelled, with the run's
own draws; what it ranks is measured. Nothing here is known to the server.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.cost_model import Outcome, SessionCosts
from fedbert.devices.network import download, transfer_uniforms
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation.block_round import latency_time
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment
from fedbert.federation.phones import Phones
from fedbert.federation.protocol import Arrays
from fedbert.randomness import Purpose
from fedbert.recommendation.clusters import Places
from fedbert.recommendation.scorer import FULL, default_scores, ranks
from fedbert.recommendation.sessions import Kind, Requests, Sessions, session_uniforms
from fedbert.results import CANDIDATES

RELEASES = ("release 0", "final release")
SCORED, SEEN = 0, 1
"""Every session scored, or as users see it: with the default order where the phone cannot answer in time."""

_TRANSFER_TIME = 0
"""Time index of the download that every choice is charged: no round fetches in it."""


def shapes(places: Places, sizes: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return shape and type of each array; a choice is the size that each phone takes, then each size.

    ``size_ranks`` counts sessions by [release, scored or seen, choice, cluster, rank - 1],
    ``size_outcomes``, ``size_latency`` and ``size_memory`` by choice and bin; ``size_spent`` has the
    microjoules [choice] of these sessions, and of a download and an install by every phone;
    ``size_bytes`` is what these downloads bring, and ``size_devices`` counts phones by their own size.
    """
    choices = 1 + sizes
    found: dict[str, tuple[int, ...]] = {
        "size_ranks": (len(RELEASES), 2, choices, places.clusters, CANDIDATES),
        "size_outcomes": (choices, r.OUTCOME_COUNT),
        "size_latency": (choices, r.LATENCY_BINS),
        "size_memory": (choices, r.MEMORY_BINS),
        "size_spent": (choices, 3),
        "size_bytes": (choices,),
        "size_devices": (sizes,),
    }
    return {name: (shape, np.int64) for name, shape in found.items()}


def check(answer: Arrays, sessions: int, devices: int) -> None:
    """Raise FedbertError unless an answer counts `sessions` and `devices` alike in each choice."""
    for name, counted in (
        ("size_ranks", answer["size_ranks"].sum(axis=(-2, -1))),
        ("size_outcomes", answer["size_outcomes"].sum(axis=-1)),
        ("size_memory", answer["size_memory"].sum(axis=-1)),
    ):
        if (counted != sessions).any():
            raise FedbertError(f"{name} must count the sessions of ranks")
    if int(answer["size_devices"].sum()) != devices:
        raise FedbertError(f"size_devices must count each of {devices} devices once")


@dataclass(frozen=True)
class SizeTally:
    """The counts of `shapes`, which sessions are added to; `releases` are those of `RELEASES`."""

    environment: Environment
    releases: tuple[EncodedRelease, ...]
    arrays: Arrays

    @classmethod
    def begin(cls, environment: Environment, releases: tuple[EncodedRelease, ...]) -> "SizeTally":
        """Return the counts of nothing."""
        made = shapes(environment.places, len(environment.sizes))
        return cls(environment, releases, {name: np.zeros(shape, of) for name, (shape, of) in made.items()})

    def add_phones(self, phones: Phones) -> list[Phones]:
        """Add a release's download and install by a block of phones; return the block with each size alone.

        They fetch by Wi-Fi, and install with a full history.
        """
        count, sizes = phones.devices.count, len(self.environment.sizes)
        alone = [phones.with_size(size) for size in range(sizes)]
        everyone, history = np.arange(count), phones.scenario.history_length
        uniform = transfer_uniforms(phones.devices, Purpose.TRANSFER, _TRANSFER_TIME)
        network = phones.network(everyone)
        for choice, each in enumerate([phones, *alone]):
            got = download(
                self.environment.links, network, np.ones(count, np.bool_), each.release_bytes, uniform
            )
            installed = each.install_costs(
                everyone, lambda size, _: round(history * size.mean_text_tokens), history
            )
            for column, energy_mj in ((1, got.energy_mj), (2, installed.energy_mj)):
                self.arrays["size_spent"][choice, column] += _micro(energy_mj)
            self.arrays["size_bytes"][choice] += int(each.release_bytes.sum())
        self.arrays["size_devices"] += np.bincount(phones.size, minlength=sizes)
        return alone

    def add_sessions(
        self,
        phones: Phones,
        alone: list[Phones],
        sessions: Sessions,
        history: Requests,
        round_: int,
        cluster: NDArray[np.int64],
    ) -> None:
        """Add the evaluation sessions of a round; `history` and `cluster` have a row for each."""
        catalogue = self.environment.world.public.catalogue
        draws = session_uniforms(
            phones.block,
            Purpose.LATENCY,
            latency_time(round_, Kind.EVALUATION),
            sessions.device,
            sessions.slot,
            2,
        )
        default = ranks(
            default_scores(catalogue, sessions.candidates),
            sessions.candidates,
            sessions.item,
            catalogue.default_rank,
        )
        scored = np.zeros((len(self.releases), 1 + len(alone), len(sessions)), np.int64)
        outcome = np.zeros((1 + len(alone), len(sessions)), np.int8)
        own = phones.size[sessions.device]
        for choice, each in enumerate([phones, *alone]):
            outcome[choice] = self._answered(choice, each, sessions, draws)
        for place, release in enumerate(self.releases):
            for size in range(len(alone)):
                scores = release.scores(np.full(len(sessions), size), sessions, history, FULL)
                scored[place, 1 + size] = ranks(
                    scores, sessions.candidates, sessions.item, catalogue.default_rank
                )
            scored[place, 0] = scored[place, 1 + own, np.arange(len(sessions))]
        seen = np.where(outcome == Outcome.SCORED, scored, default)
        for place in range(len(self.releases)):
            for choice in range(1 + len(alone)):
                for column, rank in ((SCORED, scored), (SEEN, seen)):
                    total = self.arrays["size_ranks"][place, column, choice]
                    r.count(total, cluster, rank[place, choice] - 1)

    def _answered(
        self, choice: int, phones: Phones, sessions: Sessions, draws: NDArray[np.float64]
    ) -> NDArray[np.int8]:
        """Add what a choice's answers cost, and return what came of each session."""
        costs: SessionCosts = phones.session_costs(sessions.device, sessions.text, draws, sessions.slot == 0)
        outcome = self.environment.cost.outcomes(
            costs.latency_ms,
            costs.peak_memory_bytes,
            phones.fleet.free_memory_bytes[sessions.device],
            np.ones(len(sessions), np.bool_),
        )
        ran = outcome != Outcome.OUT_OF_MEMORY
        r.count(self.arrays["size_outcomes"][choice], outcome)
        latency = np.searchsorted(r.latency_edges_ms(), costs.latency_ms[ran])
        r.count(self.arrays["size_latency"][choice], np.minimum(latency, r.LATENCY_BINS - 1))
        memory = np.searchsorted(r.memory_edges_bytes(), costs.peak_memory_bytes)
        r.count(self.arrays["size_memory"][choice], np.minimum(memory, r.MEMORY_BINS - 1))
        self.arrays["size_spent"][choice, 0] += _micro(costs.energy_mj[ran])
        return outcome


def _micro(energy_mj: NDArray[np.float64]) -> int:
    return int(np.rint(energy_mj * r.MICRO).astype(np.int64).sum())
