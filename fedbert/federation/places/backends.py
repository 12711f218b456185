"""Where the shards of a simulation run: threads of this process, or the workers of a Ray cluster."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fedbert.machine import cores
from fedbert.scenario import Execution

if TYPE_CHECKING:
    from fedbert.federation.places.grid import SimulationGrid

SHARDS_PER_CPU = 4
"""Most shards for each CPU of a Ray cluster, so that none waits long for the last ones of a round."""

DEVICES_AN_ANSWER = 700
"""Devices whose round takes as long as the driver needs for the answer of a shard, which it takes one by one
(`benchmarks/cluster_scaling.py`): some 15 us each with their part of the comparison, and 10 ms."""


@contextmanager
def opened(
    execution: Execution, devices: int, note: Callable[[str], None] = lambda text: None
) -> Iterator["SimulationGrid"]:
    """Give a grid with a node for each shard of a fleet of `devices` devices.

    What cannot be used fails here, before anything is loaded: raises FedbertError. `note` is told in one line
    of machines that are lost later.
    """
    if execution.backend == "inprocess":
        with inprocess(min(execution.shards or cores(), devices)) as grid:
            yield grid
        return
    from fedbert.federation.places.ray_cluster import connected

    with connected(execution.ray_address) as cluster:
        from fedbert.federation.places.ray_grid import RayGrid

        on_ray = RayGrid(min(execution.shards or shards_for(cluster.cpus, devices), devices), note)
        try:
            yield on_ray
        finally:
            on_ray.close()


def shards_for(cpus: int, devices: int) -> int:
    """Return the shards of a run on `cpus` CPUs: a multiple of these, if the fleet is large enough.

    With k shards on k CPUs a round takes the time of `devices` / k devices and of k answers. Beyond the
    square root of `devices` / `DEVICES_AN_ANSWER` more shards make it longer.
    """
    most = max(math.isqrt(devices // DEVICES_AN_ANSWER), 1)
    return min(most // cpus, SHARDS_PER_CPU) * cpus or most


@contextmanager
def inprocess(shards: int) -> Iterator["SimulationGrid"]:
    """Give a grid of `shards` nodes in this process."""
    from fedbert.federation.places.client_app import app
    from fedbert.federation.places.inprocess import InProcessGrid

    grid = InProcessGrid(app, shards)
    try:
        yield grid
    finally:
        grid.close()


def run_inprocess(main: Callable[[Any], None], shards: int) -> None:
    """Run the ServerApp's body on `shards` shards of this process."""
    with inprocess(shards) as grid:
        main(grid)
