"""The comparison: every evaluation session of the run, ranked again by each system, none left unscored.

All systems see the same sessions, candidates and pre-clock histories, so their figures are paired. Systems
are given by name in a header; vectors that a phone could not make (teacher, unquantised student) come as
arrays.
"""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedbert.comparison import FINAL, RELEASE_0, Inputs, SystemHeader
from fedbert.ei_bert.artefact.family import unpack
from fedbert.federation import shard_report as r
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.environment import Environment
from fedbert.federation.protocol import Arrays
from fedbert.federation.shard import Shard
from fedbert.federation.size_replay import SizeTally
from fedbert.recommendation.baselines import TfidfScorer, fit_tfidf
from fedbert.recommendation.scorer import (
    FULL,
    TEXT_ONLY,
    USER_ONLY,
    ScoreWeights,
    TextScorer,
    default_scores,
    ranks,
)
from fedbert.recommendation.sessions import Kind, Requests, Sessions
from fedbert.results import CANDIDATES, TIERS
from fedbert.units import HOURS_PER_DAY

WEIGHTS: Mapping[Inputs, ScoreWeights] = {"full": FULL, "text only": TEXT_ONLY, "user model only": USER_ONLY}

COMPARED_DEVICES = 1_000_000
"""Most devices whose sessions are ranked again by every system: of a larger fleet the first so many.

What a device is and does follows from its number by independent draws, so they are a random sample. They have
two million sessions a day, which say far more of a system than the texts or users that they share.
"""


def compared_devices(devices: int) -> int:
    """Return how many devices of a fleet are in the comparison: its first ones."""
    return min(devices, COMPARED_DEVICES)


_LOCK = threading.Lock()
_TFIDF: dict[int, TfidfScorer] = {}


def _tfidf(environment: Environment) -> TfidfScorer:
    with _LOCK:
        key = id(environment)
        if key not in _TFIDF:
            _TFIDF.clear()
            scenario, world = environment.scenario, environment.world
            texts = [world.texts[index] for index in np.flatnonzero(world.evaluation_text).tolist()]
            days = scenario.rounds * scenario.round_hours / HOURS_PER_DAY
            sessions = compared_devices(scenario.devices) * scenario.evaluation_per_day * days
            _TFIDF[key] = fit_tfidf(world.public, texts, sessions)
        return _TFIDF[key]


class _System:
    """One ranking system: gives the scores of sessions."""

    def __init__(self, environment: Environment, system: SystemHeader, arrays: Arrays) -> None:
        self._environment = environment
        self._kind = system["kind"]
        self._weights: ScoreWeights = WEIGHTS[system.get("inputs", "full")]
        self._release: EncodedRelease | None = None
        self._scorer: TextScorer | None = None
        if self._kind == "release":
            self._release = _release(environment, arrays[system["artefact"]])
        elif self._kind == "vectors":
            # Vectors of the evaluation texts alone, in the order of their ids: text-only systems.
            texts = np.zeros((len(environment.world.texts), arrays[system["texts"]].shape[1]), np.int8)
            texts[environment.world.evaluation_text] = arrays[system["texts"]]
            self._scorer = TextScorer(texts, arrays[system["items"]])

    def scores(self, sessions: Sessions, history: Requests, size: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the scores `[session, candidate]`; `history` and `size` have a row for each session."""
        catalogue = self._environment.world.public.catalogue
        if self._kind == "popularity":
            return default_scores(catalogue, sessions.candidates)
        if self._kind == "tfidf":
            text = self._environment.evaluation_index[sessions.text]
            return _tfidf(self._environment).scores(text, sessions.candidates)
        if self._release is not None:
            return self._release.scores(size, sessions, history, self._weights)
        if self._scorer is None:
            raise ValueError(f"no such kind of system: {self._kind!r}")
        return self._scorer.scores(
            sessions.text, history.text, history.item, sessions.candidates, self._weights
        )


def replay(
    environment: Environment, shard: Shard, systems: Sequence[SystemHeader], rounds: int, arrays: Arrays
) -> Arrays:
    """Return counts of the target item's rank over the evaluation sessions of rounds 1 .. `rounds`.

    `shard` needs no memory of its phones: sessions and histories follow from the seed.
    ``ranks`` is int64 `[system, cluster, rank - 1]`, ``tier_ranks`` int64 `[system, tier, rank - 1]`;
    ``text_sessions`` int64 `[evaluation text]` and ``user_sessions`` int64 `[user]` count the sessions. Where
    phones have several sizes of the model, there is more (`size_replay`).

    The headers in `systems` name arrays of `arrays`.
    """
    made = [_System(environment, system, arrays) for system in systems]
    world, places = environment.world, environment.places
    total = np.zeros((len(made), places.clusters, CANDIDATES), np.int64)
    by_tier = np.zeros((len(made), len(TIERS), CANDIDATES), np.int64)
    by_text, by_user = np.zeros(places.texts, np.int64), np.zeros(places.users, np.int64)
    tally = None
    if len(environment.sizes) > 1:
        chosen = tuple(_release(environment, arrays[name]) for name in (RELEASE_0, FINAL))
        tally = SizeTally.begin(environment, chosen)
    for _, phones in shard.blocks():
        remembered = phones.remembered_before()
        alone = [] if tally is None else tally.add_phones(phones)
        for round_ in range(1, rounds + 1):
            sessions = world.sessions(phones.block, round_, Kind.EVALUATION)
            text = environment.evaluation_index[sessions.text]
            user = None if phones.user is None else phones.user[sessions.device]
            cluster, tier = places.cluster_of(text, user), phones.fleet.tier[sessions.device]
            history = Requests(remembered.text[sessions.device], remembered.item[sessions.device])
            size = phones.size[sessions.device]
            if tally is not None:
                tally.add_sessions(phones, alone, sessions, history, round_, cluster)
            r.count(by_text, text)
            if user is not None:
                r.count(by_user, user)
            for number, system in enumerate(made):
                rank = ranks(
                    system.scores(sessions, history, size),
                    sessions.candidates,
                    sessions.item,
                    world.public.catalogue.default_rank,
                )
                r.count(total[number], cluster, rank - 1)
                r.count(by_tier[number], tier, rank - 1)
    counted = {"ranks": total, "tier_ranks": by_tier, "text_sessions": by_text, "user_sessions": by_user}
    return counted | ({} if tally is None else tally.arrays)


def _release(environment: Environment, packed: NDArray[np.generic]) -> EncodedRelease:
    return environment.encoded(unpack(packed.tobytes()))
