"""Three Ray nodes on this machine, one of which can be killed in the middle of a round.

Used by tests and by ``benchmarks/ray_kill.py``.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fedbert.federation as federation

assert federation  # imported first: it keeps Ray from reporting on its use
# A node has 30 s to start, else, which a busy machine may need. Ray reads both when it is imported.
os.environ |= {"RAY_raylet_start_wait_time_s": "120", "RAY_agent_register_timeout_ms": "120000"}

from ray.cluster_utils import Cluster  # noqa: E402

STORE_BYTES = 100_000_000
"""A node's object store; Ray takes no less than 75 MB."""

SOON = {"health_check_period_ms": 500, "health_check_timeout_ms": 20_000, "health_check_failure_threshold": 3}
"""Ray's settings by which a node that refuses connections counts as dead after some two seconds. One that is
only slow, as on a busy machine, has a minute."""

TRIES = 4
"""Times that a node is started: Ray gives up after 30 s, which a busy machine may need."""

HOLDING_SIGNAL = """
import time
from pathlib import Path

from fedbert.signals.prototypes.signal import Prototypes

PLACE = Path({place!r})


class Holding(Prototypes):
    '''Prototypes that say on which Ray node they are at work, and stay there as long as they are held.'''

    def reports(self, layout, clicks):
        if (PLACE / "hold").exists():
            import ray

            (PLACE / ray.get_runtime_context().get_node_id()).touch()
            while (PLACE / "hold").exists():
                time.sleep(0.01)
        return super().reports(layout, clicks)
"""
"""A user's own signal: it is `Prototypes`, so it changes no figure."""


@contextmanager
def nodes(count: int = 3, **system: Any) -> Iterator[Cluster]:
    """Give a cluster of nodes with one CPU each; the first holds the driver. `system` is Ray's own."""
    cluster = Cluster()
    try:
        add_node(cluster, include_dashboard=False, _system_config=system)
        for _ in range(count - 1):
            add_node(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Cluster, **given: Any) -> Any:
    """Start one more node, and return it when it has joined."""
    for left in reversed(range(TRIES)):
        try:
            return cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, **given)
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
    raise AssertionError("not reached")


def hold(place: Path) -> None:
    """Hold the shards that come to their signal from now on."""
    (place / "hold").touch()


def kill_one_at_work(cluster: Cluster, place: Path, patience_s: float = 120.0) -> str:
    """Kill a node that holds a shard, as a power cut does, let the others go on, and return its id."""
    deadline = time.monotonic() + patience_s
    try:
        while time.monotonic() < deadline:
            for node in cluster.worker_nodes:
                if (place / node.node_id).exists():
                    cluster.remove_node(node, allow_graceful=False)
                    return str(node.node_id)
            time.sleep(0.01)
        raise TimeoutError("no node came to work")
    finally:
        (place / "hold").unlink()
