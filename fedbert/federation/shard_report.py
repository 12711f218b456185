"""What a shard answers: integer arrays that add up exactly, whatever the split of the fleet.

A report has two parts that never mix. `SERVER` arrays are what a deployed server would see: the masked
sum of the cohort's signals, how many reports it holds, and the downloads it served. `TRUTH` arrays are the
simulator's own bookkeeping for the report a person reads; `federation/server.py` is never handed them.

A shard may be broken or hostile, so a report is checked before anything is added: names, types, shapes, and
values that its number of devices cannot reach. What stays within these bounds cannot be told from the truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.federation.group_sums import empty_groups
from fedbert.federation.protocol import Arrays
from fedbert.federation.sums_apart import SumsApart
from fedbert.recommendation.clusters import Places
from fedbert.recommendation.sessions import MAX_SLOTS
from fedbert.results import CANDIDATES, OUTCOMES, ROUND_ENDS, ROUND_PARTS, TAKING_PART, TIERS
from fedbert.scenario import MAX_DEVICES

TIER_COUNT, OUTCOME_COUNT = len(TIERS), len(OUTCOMES)
ARM_COUNT = 2
TREATED, CONTROL = 0, 1
SCORED = OUTCOMES.index("scored")

MICRO = 1_000
"""Times and energies are summed as integers in microseconds and microjoules (from ms and mJ)."""

ENERGY_KEYS = ("session_uj", "install_uj", "signal_uj", "download_uj")
"""What phones spend energy on, as keys of the truth; also the last axis of `participant_uj`."""

LATENCY_BINS = 460
MEMORY_BINS = 400
# 2 % wide: a percentile read off the bins is far nearer than the device model's own errors.
_BIN_RATIO = 1.02

COHORT_KEYS = (
    *TAKING_PART,
    "downloads",
    "clicks",
    "learning_sessions",
    "upload_attempts",
    "upload_bytes",
    "uploads_failed",
    "download_attempts",
    "download_bytes",
    "downloads_failed",
)
"""Counts of a round; bytes are those moved, repeated ones included."""


def latency_edges_ms() -> NDArray[np.float64]:
    """Return the upper edges of the latency bins: 2 % wide, from 1 ms to about 9 s."""
    return np.asarray(_BIN_RATIO ** np.arange(LATENCY_BINS), np.float64)


def memory_edges_bytes() -> NDArray[np.float64]:
    """Return the upper edges of the memory bins: 2 % wide, from 100 kB to about 270 MB."""
    return np.asarray(1e5 * _BIN_RATIO ** np.arange(MEMORY_BINS), np.float64)


def empty_truth(places: Places) -> Arrays:
    """Return the truth part of a report with nothing in it; the shapes are its documentation."""
    return {
        # evaluation sessions by [tier, arm, outcome, rank - 1 of the target item as the user saw it]; where
        # nothing is ranked (timing_only) all stand at the first rank, here and in the arrays by cluster
        "ranks": np.zeros((TIER_COUNT, ARM_COUNT, OUTCOME_COUNT, CANDIDATES), np.int64),
        # learning sessions by [tier, outcome]
        "learning_outcomes": np.zeros((TIER_COUNT, OUTCOME_COUNT), np.int64),
        # answered sessions of both kinds
        "latency": np.zeros((TIER_COUNT, LATENCY_BINS), np.int64),
        "memory": np.zeros((TIER_COUNT, MEMORY_BINS), np.int64),
        # [tier]: device time (microseconds) and energy (microjoules) of sessions, installs, signals,
        # downloads
        "session_us": np.zeros(TIER_COUNT, np.int64),
        "session_uj": np.zeros(TIER_COUNT, np.int64),
        "install_us": np.zeros(TIER_COUNT, np.int64),
        "install_uj": np.zeros(TIER_COUNT, np.int64),
        "signal_uj": np.zeros(TIER_COUNT, np.int64),
        "download_uj": np.zeros(TIER_COUNT, np.int64),
        # [tier]: device-rounds in which a device tried to send a signal; [tier, ENERGY_KEYS]: all the energy
        # (microjoules) that these devices spent in those rounds
        "participants": np.zeros(TIER_COUNT, np.int64),
        "participant_uj": np.zeros((TIER_COUNT, len(ENERGY_KEYS)), np.int64),
        # devices by [tier, TAKING_PART], once a round
        "taking_part": np.zeros((TIER_COUNT, len(TAKING_PART)), np.int64),
        # of rounds that close by the clock: asked devices by [tier, ROUND_ENDS]; [tier, ROUND_PARTS]: time
        # (microseconds) of those whose reports were taken
        "round_ends": np.zeros((TIER_COUNT, len(ROUND_ENDS)), np.int64),
        "round_us": np.zeros((TIER_COUNT, len(ROUND_PARTS)), np.int64),
        "installs": np.zeros(TIER_COUNT, np.int64),
        "devices": np.zeros(TIER_COUNT, np.int64),
        # the same by [tier, group of devices, GROUP_SUMS]
        "groups": empty_groups(TIER_COUNT),
        # evaluation sessions by [cluster, rank - 1 of the target item as the user saw it]
        "cluster_ranks": np.zeros((places.clusters, CANDIDATES), np.int64),
        # of these the scored ones, by [cluster, arm, rank - 1]
        "arm_ranks": np.zeros((places.clusters, ARM_COUNT, CANDIDATES), np.int64),
        # evaluation sessions by [evaluation text] and by [user], empty where each device has its own
        "text_sessions": np.zeros(places.texts, np.int64),
        "user_sessions": np.zeros(places.users, np.int64),
        # see COHORT_KEYS
        "counts": np.zeros(len(COHORT_KEYS), np.int64),
    }


SERVER_PART: dict[str, tuple[type, int]] = {
    "signal": (np.uint32, 1),
    "reported": (np.int64, 1),
    "completed": (np.int64, 1),
    "installed": (np.int64, 1),
}
"""Type and dimensions of each array of the server part."""

_MOST_EACH = {
    "devices": 1,
    "participants": 1,
    "round_ends": 1,
    "installs": 1,
    "ranks": MAX_SLOTS,
    "cluster_ranks": MAX_SLOTS,
    "arm_ranks": MAX_SLOTS,
    "text_sessions": MAX_SLOTS,
    "user_sessions": MAX_SLOTS,
    "learning_outcomes": MAX_SLOTS,
    "taking_part": len(TAKING_PART),
    "latency": 2 * MAX_SLOTS,
    "memory": 2 * MAX_SLOTS,
}
"""Most that one device can add to the sum of an array of the truth in one round."""

_MOST_OTHERWISE = 10**12
"""The same for microseconds, microjoules, bytes and attempts: a million seconds or joules, a terabyte."""

_COHORT_AT_MOST_ONE = COHORT_KEYS.index("downloads") + 1
"""The counts before this place are of devices: none can count twice in a round."""


def _refused(name: str, rule: str) -> FedbertError:
    return FedbertError(f"{name} must {rule}")


def _check_values(name: str, array: NDArray[Any], devices: int) -> None:
    """Raise FedbertError unless an array of the truth is what `devices` phones can add up to."""
    if array.size and array.min() < 0:
        raise _refused(name, f"be >= 0 (has {int(array.min())})")
    most = devices * _MOST_EACH.get(name.removeprefix("truth."), _MOST_OTHERWISE)
    # Summed as floats: hostile integers may wrap.
    if float(array.sum(dtype=np.float64)) > most:
        raise _refused(name, f"add up to at most {most:,} for {devices:,} devices")


def _check_sessions(truth: Arrays) -> None:
    """Raise FedbertError unless evaluation sessions are counted alike by all that they are counted by."""
    ranks = truth["ranks"].sum(axis=(0, 1, 2))
    if not np.array_equal(truth["cluster_ranks"].sum(axis=0), ranks):
        raise _refused("truth.cluster_ranks", "count the sessions of truth.ranks")
    scored = truth["ranks"][:, :, SCORED].sum(axis=0)
    if not np.array_equal(truth["arm_ranks"].sum(axis=0), scored):
        raise _refused("truth.arm_ranks", "count the scored sessions of truth.ranks")
    for name in ("text_sessions", "user_sessions"):
        if truth[name].size and int(truth[name].sum()) != int(ranks.sum()):
            raise _refused(f"truth.{name}", "count the sessions of truth.ranks")


def count(total: NDArray[Any], *places: NDArray[np.integer]) -> None:
    """Add one to `total` for each row of `places`, an index [n] for each axis; a place may come twice."""
    # One flat index: numpy adds by several of them an order of magnitude slower.
    flat = places[0].astype(np.intp)
    for size, place in zip(total.shape[1:], places[1:], strict=True):
        flat = flat * size + place
    np.add.at(total.reshape(-1), flat, 1)


def add(total: Arrays | None, part: Arrays) -> Arrays:
    """Return the sum of two sets of arrays, key by key; uint32 sums wrap mod 2^32, as masks need.

    Raises FedbertError, and adds nothing, if they differ in names, types or shapes.
    """
    if total is None:
        return {name: array.copy() for name, array in part.items()}
    if total.keys() != part.keys():
        raise _refused("arrays", f"have the names of the others ({', '.join(sorted(total))})")
    for name, array in part.items():
        if array.dtype != total[name].dtype or array.shape != total[name].shape:
            raise _refused(
                name, f"be {total[name].dtype}{list(total[name].shape)}, not {array.dtype}{list(array.shape)}"
            )
    for name, array in part.items():
        total[name] += array
    return total


def add_all(parts: Iterable[Arrays]) -> Arrays:
    """Return the sum of several sets of arrays with the same keys."""
    total: Arrays | None = None
    for part in parts:
        total = add(total, part)
    return total or {}


@dataclass(frozen=True)
class SparseArrays:
    """Arrays that are mostly zeros: by name the places of the others in row-major order, and their values."""

    parts: dict[str, tuple[NDArray[np.intp], NDArray[Any]]]


def sparse(arrays: Arrays) -> SparseArrays:
    """Return what is not zero of some arrays."""
    parts = {}
    for name, array in arrays.items():
        flat = array.ravel()
        places = np.flatnonzero(flat)
        parts[name] = places, flat[places]
    return SparseArrays(parts)


def add_sparse(total: Arrays, part: SparseArrays) -> None:
    """Add to `total`, in place, arrays of the same names and shapes."""
    for name, (places, values) in part.parts.items():
        total[name].reshape(-1)[places] += values


@dataclass(frozen=True)
class ShardReport:
    """One shard's answer to one round."""

    server: Arrays
    truth: Arrays
    apart: SumsApart | None = None
    """More of the truth, in rounds in which poisoned phones may send."""
    selection: NDArray[np.int64] | None = None
    """The sums of a selection that learns; they travel beside `arrays` (`shard_work.py`)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all parts under prefixed names, for the wire."""
        apart = {} if self.apart is None else self.apart.arrays()
        return {
            **{f"server.{name}": array for name, array in self.server.items()},
            **{f"truth.{name}": array for name, array in self.truth.items()},
            **apart,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "ShardReport":
        """Return the report that `arrays()` wrote.

        Raises FedbertError if one is missing, unknown, of another type or shape, or holds a value that no
        fleet can reach.
        """
        arrays = dict(arrays)
        apart = SumsApart.taken_from(arrays)
        sizes = [arrays.get(f"truth.{name}_sessions") for name in ("text", "user")]
        places = Places(*(len(each) if each is not None and each.ndim else 0 for each in sizes))
        # Before anything is made in that size: a short answer must not ask for much memory.
        for name in ("cluster_ranks", "arm_ranks"):
            each = arrays.get(f"truth.{name}")
            if each is not None and each.ndim and len(each) != places.clusters:
                raise _refused(f"truth.{name}", f"have {places.clusters} clusters")
        truth = empty_truth(places)
        known = {f"server.{name}" for name in SERVER_PART} | {f"truth.{name}" for name in truth}
        if missing := known - arrays.keys():
            raise _refused(min(missing), "be there")
        if unknown := arrays.keys() - known:
            raise _refused(min(unknown), "not be there")
        for name, (dtype, dimensions) in SERVER_PART.items():
            array = arrays[f"server.{name}"]
            if array.dtype != dtype or array.ndim != dimensions:
                raise _refused(f"server.{name}", f"be {np.dtype(dtype)} with {dimensions} dimension")
            if name != "signal" and array.size and (array.min() < 0 or array.max() > MAX_DEVICES):
                raise _refused(f"server.{name}", f"be counts from 0 to {MAX_DEVICES:,}")
        for name, empty in truth.items():
            array = arrays[f"truth.{name}"]
            if array.dtype != empty.dtype or array.shape != empty.shape:
                raise _refused(f"truth.{name}", f"be {empty.dtype}{list(empty.shape)}")
            _check_values(f"truth.{name}", array, MAX_DEVICES)
        return cls(
            {name: arrays[f"server.{name}"] for name in SERVER_PART},
            {name: arrays[f"truth.{name}"] for name in truth},
            apart,
        )

    def check(self, devices: int, size: int, releases: int, places: Places, sums: int = 1) -> None:
        """Raise FedbertError unless this can be the report of a shard of `devices` devices.

        `size` is the coordinates of a device's vector, `releases` how many there are, `places` the world's;
        `sums` is how many the round's reports go to.
        """
        server, truth = self.server, self.truth
        if server["signal"].shape != (sums * size,):
            raise _refused("server.signal", f"have {sums * size} coordinates, not {len(server['signal'])}")
        for name, wanted in (("reported", sums), ("completed", 1)):
            if server[name].shape != (wanted,):
                raise _refused(f"server.{name}", f"be {'one number' if wanted == 1 else f'{wanted} numbers'}")
        reported, completed = int(server["reported"].sum()), int(server["completed"][0])
        if not reported <= completed <= devices:
            raise _refused(
                "server.reported", f"be <= completed (= {completed}) and that <= devices (= {devices})"
            )
        if server["installed"].shape != (releases + 1,) or int(server["installed"].sum()) != devices:
            raise _refused(
                "server.installed", f"count each of {devices} devices once, by {releases} releases"
            )
        for name, wanted in (("text", places.texts), ("user", places.users)):
            if len(truth[f"{name}_sessions"]) != wanted:
                raise _refused(f"truth.{name}_sessions", f"have {wanted} {name}s")
        for name, array in truth.items():
            _check_values(f"truth.{name}", array, devices)
        if int(truth["devices"].sum()) != devices:
            raise _refused("truth.devices", f"add up to {devices}")
        _check_sessions(truth)
        counts = truth["counts"][:_COHORT_AT_MOST_ONE]
        if counts.max() > devices or int(truth["counts"][COHORT_KEYS.index("reported")]) != reported:
            raise _refused("truth.counts", f"be of {devices} devices, {reported} of which reported")
        if self.apart is not None:
            self.apart.check(reported, size)
