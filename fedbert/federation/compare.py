"""The comparison at the end: the pooled-data bound, and every evaluation session ranked by each system."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert import comparison
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.artefact.family import pack
from fedbert.errors import FedbertError
from fedbert.federation import shard_report as r
from fedbert.federation import size_replay
from fedbert.federation.exchange import Question
from fedbert.federation.kept_parts import bound_key, keep_encodings, kept_or_trained, teacher_vectors
from fedbert.federation.pooled import Pooled, pooled_bound
from fedbert.federation.protocol import REPLAY, Arrays, Member, blob_to_array
from fedbert.federation.replay import compared_devices
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session, same_for_all
from fedbert.recommendation.sessions import MAX_SLOTS
from fedbert.results import CANDIDATES, TIERS
from fedbert.signals.signal import INT8_UNIT_LENGTH


def compare(run: Session, state: RunState, stage: Callable[[str], None]) -> None:
    """Train the pooled-data bound, if the scenario asks for it, and rank all evaluation sessions."""
    places, rounds = run.environment.places, state.round
    if run.kept_work is not None:
        keep_encodings(run.kept_work, run.environment)
    pooled = None
    if run.scenario.pooled_bound:
        stage("training the pooled-data bound")
        with run.timed("pooled bound"):
            pooled = pack(_pooled(run, rounds))
    stage("comparing the systems")
    with run.timed("comparison vectors"):
        arrays = _comparison(run, state, pooled)
    with run.timed("comparison"):
        count = len(run.systems)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "ranks": ((count, places.clusters, CANDIDATES), np.int64),
            "tier_ranks": ((count, len(TIERS), CANDIDATES), np.int64),
            "text_sessions": ((places.texts,), np.int64),
            "user_sessions": ((places.users,), np.int64),
        }
        sizes = len(run.environment.sizes)
        if sizes > 1:
            expected |= size_replay.shapes(places, sizes)
        parts = replayed_parts(run.exchange.members, run.scenario.devices)
        header = {"systems": [system.header for system in run.systems], "rounds": rounds}

        def question(member: Member) -> tuple[dict[str, Any], Arrays]:
            return header | {"replayed": parts[member.index]}, arrays

        possible = partial(_possible_ranks, rounds, parts)
        run.replayed = _replay(run, rounds + 2, question, expected, possible)


def replayed_parts(members: tuple[Member, ...], devices: int) -> list[tuple[int, int]]:
    """Return the first device and the count that each member replays, by its index.

    Together they are the compared devices. What a device does follows from the seed, so a member need not
    hold the devices that it replays, and all have the same work.
    """
    count, compared = len(members), compared_devices(devices)
    edges = [compared * index // count for index in range(count + 1)]
    return [(first, end - first) for first, end in pairwise(edges)]


def _pooled(run: Session, rounds: int) -> Artefact:
    items, dim = len(run.world.public.catalogue.texts), run.environment.release_0.dim
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "pooled_sums": ((items, dim), np.int64),
        "pooled_clicks": ((items,), np.int64),
    }
    question = same_for_all({"pooled": True}, {})
    sums = _replay(run, rounds + 1, question, expected, partial(_possible_clicks, run))
    clicks = Pooled(run.scenario.devices, rounds, sums["pooled_sums"], sums["pooled_clicks"])
    if run.kept_work is None:
        return pooled_bound(run.server, clicks)
    key = bound_key(run.kept_work, run.server, run.scenario, clicks)
    return kept_or_trained(run.kept_work, key, lambda: pooled_bound(run.server, clicks))


def _replay(
    run: Session,
    round_: int,
    question: Question,
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

    found = run.exchange.ask(REPLAY, round_, question, check)
    return r.add_all(answer for _, answer in found)


def _possible_clicks(run: Session, member: Member, answer: Arrays) -> None:
    """Raise FedbertError unless the member's devices can have these clicks, with these sums of texts."""
    clicks, sums = answer["pooled_clicks"].astype(np.float64), answer["pooled_sums"].astype(np.float64)
    most = member.count * (run.scenario.history_length + run.scenario.rounds * MAX_SLOTS)
    # An int8 coordinate is at most 128 in size.
    if clicks.sum() > most or (np.abs(sums) > 128 * clicks[:, None]).any():
        raise FedbertError(f"pooled_sums and pooled_clicks must be of at most {most:,} clicks")


def _comparison(run: Session, state: RunState, pooled: bytes | None) -> Arrays:
    """Choose the systems and return the arrays that they rank by; `pooled` is the bound, if there is one."""
    server = state.server
    final, current = server.newest.artefact, server.current
    arrays: Arrays = {
        comparison.RELEASE_0: blob_to_array(pack(server.releases[0].artefact)),
        comparison.FINAL: blob_to_array(pack(final)),
    }
    if pooled is not None:
        arrays[comparison.POOLED] = blob_to_array(pooled)
    unreleased = current.sha256 != final.sha256
    if unreleased:
        arrays[comparison.UNRELEASED] = blob_to_array(pack(current))
    ids = np.flatnonzero(run.world.evaluation_text)
    # Texts of no session of rounds 1 .. N need no vector.
    met = np.flatnonzero(state.totals["text_sessions"])
    texts = [run.world.texts[i] for i in ids[met]]
    items = run.world.public.catalogue.texts
    models = run.server.models
    for name, encode in (("student", models.student_vectors), ("teacher", models.teacher_vectors)):
        vectors = np.zeros((len(ids), final.dim), np.int8)

        def make(encode: Any = encode) -> NDArray[np.int8]:
            return _to_int8(encode(server.models, texts, "text"))

        kept = run.kept_work if name == "teacher" else None
        vectors[met] = make() if kept is None else teacher_vectors(kept, run.server, texts, make)
        arrays[f"{name}_texts"] = vectors
        arrays[f"{name}_items"] = _to_int8(encode(server.models, items, "item"))
    run.systems = comparison.systems(
        unreleased, pooled is not None, run.world.public.catalogue.has_popularity
    )
    return arrays


def _possible_ranks(rounds: int, parts: Sequence[tuple[int, int]], member: Member, answer: Arrays) -> None:
    """Raise FedbertError unless the devices that a member replayed can have had these sessions, counted alike
    by all."""
    by_cluster = answer["ranks"].sum(axis=1, dtype=np.float64)
    by_tier = answer["tier_ranks"].sum(axis=1, dtype=np.float64)
    if not np.array_equal(by_cluster, by_tier):
        raise FedbertError("tier_ranks must count the sessions of ranks")
    sessions = by_cluster.sum(axis=1)
    for name in ("text_sessions", "user_sessions"):
        if answer[name].size and (sessions != answer[name].sum(dtype=np.float64)).any():
            raise FedbertError(f"{name} must count the sessions of ranks")
    if (sessions > parts[member.index][1] * rounds * MAX_SLOTS).any():
        raise FedbertError(f"ranks must be of at most {MAX_SLOTS} sessions per device and round")
    if "size_ranks" in answer:
        size_replay.check(answer, int(sessions[0]), parts[member.index][1])


def _to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return unit vectors as the phones store them, `round(127 v)`."""
    return np.rint(np.asarray(vectors, np.float64) * INT8_UNIT_LENGTH).astype(np.int8)
