"""The committed excerpts of measured tables in device_profiles/sources/, as arrays for the fits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedbert.devices.fitting.fitting import FLOAT, INT8, NEWEST_BUILD, CoreFacts, Floats, Timings
from fedbert.table_files import rows_of

INT8_SUFFIX = "_int8"

BUILD_MARKERS = (("FastestDet",), ("nanodet_m", "efficientnetv2_b0"))
"""Networks that ncnn's benchmark got in time, newest first: a board's table with one is of that age."""


def build_age(networks: set[str]) -> int:
    """Return the age of the build a board was timed with, from the networks it was timed on."""
    for age, markers in enumerate(BUILD_MARKERS):
        if any(name in networks for name in markers):
            return NEWEST_BUILD - age
    return 0


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind: how many, which, and their clock."""

    count: int
    core: str
    clock_ghz: float


def parse_clusters(text: str) -> tuple[Cluster, ...]:
    """Return the clusters written like ``2x Cortex-A76 2.0 + 6x Cortex-A55 1.7``."""
    parts = [part.split() for part in text.split(" + ")]
    return tuple(Cluster(int(count.removesuffix("x")), core, float(clock)) for count, core, clock in parts)


def used_clusters(clusters: tuple[Cluster, ...], powersave: int) -> tuple[Cluster, ...]:
    """Return the clusters ncnn's `powersave` mode runs on (0 all, 1 little, 2 big), fastest first.

    As in ncnn, big cores are those at or above the middle of the highest and the lowest clock.
    """
    ordered = sorted(clusters, key=lambda cluster: -cluster.clock_ghz)
    middle = (ordered[0].clock_ghz + ordered[-1].clock_ghz) / 2
    if powersave == 1:
        return (ordered[-1],)
    if powersave == 2:
        return tuple(cluster for cluster in ordered if cluster.clock_ghz >= middle)
    return tuple(ordered)


def read_cores(sources: Path) -> dict[str, CoreFacts]:
    """Return what is known of each kind of core."""
    return {
        row["core"]: CoreFacts(
            float(row["vector_pipes"]),
            int(row["half_precision"]),
            int(row["dot_product"]),
            int(row["matrix_int8"]),
            int(row["in_order"]),
            int(row["armv7"]),
        )
        for row in rows_of(sources / "cores.csv")
    }


@dataclass(frozen=True)
class ThreadedTimings:
    """Measured times with any number of threads: `timings` of the core that does most, `threads` [row] asked
    for, and the `clusters` [row] they ran on."""

    timings: Timings
    threads: NDArray[np.int64]
    clusters: tuple[tuple[Cluster, ...], ...]


def read_ncnn(sources: Path) -> ThreadedTimings:
    """Return the excerpt of ncnn's table with the facts about its boards and networks."""
    boards = {row["board"]: row for row in rows_of(sources / "boards.csv")}
    networks = {row["network"]: row for row in rows_of(sources / "networks.csv")}
    rows = rows_of(sources / "ncnn_timings.csv")
    bare = [row["network"].removesuffix(INT8_SUFFIX) for row in rows]
    used = [
        used_clusters(parse_clusters(boards[row["board"]]["clusters"]), int(row["powersave"])) for row in rows
    ]

    def fact(name: str, scale: float) -> Floats:
        return np.array([scale * float(networks[network][name]) for network in bare])

    timings = Timings(
        board=tuple(row["board"] for row in rows),
        soc=tuple(boards[row["board"]]["soc"] for row in rows),
        core=tuple(clusters[0].core for clusters in used),
        network=tuple(bare),
        shapes=tuple(networks[network]["shapes"] for network in bare),
        family=tuple(networks[network]["family"] for network in bare),
        precision=np.array([INT8 if row["network"].endswith(INT8_SUFFIX) else FLOAT for row in rows]),
        build=np.array([int(row["build"]) for row in rows]),
        clock_hz=np.array([1e9 * clusters[0].clock_ghz for clusters in used]),
        conv_macs=fact("conv_gmacs", 1e9),
        activations=fact("activations_m", 1e6),
        dense_params=fact("dense_mparams", 1e6),
        layers=fact("layers", 1.0),
        seconds=np.array([float(row["avg_ms"]) / 1000 for row in rows]),
    )
    return ThreadedTimings(timings, np.array([int(row["threads"]) for row in rows]), tuple(used))


def published_networks(sources: Path) -> frozenset[str]:
    """Return the networks whose multiply-adds are stated in a paper."""
    return frozenset(row["network"] for row in rows_of(sources / "networks.csv") if row["published"] == "1")
