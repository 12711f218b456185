"""The round on Flower: ``python benchmarks/peers/run_flower.py --work DIR``, one SuperNode per phone.

Runs in an environment of its own (`requirements-flower.txt`) and imports nothing of fedbert. The ServerApp
sends each node a message that says where its work lies, and no model; a node answers with its report.
"""

import os

# Before either is loaded: no word home.
os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}

import argparse
import importlib.metadata
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

sys.path.insert(0, str(Path(__file__).parent))
from flower_phone import app as client_app
from phone import Clock, descendants, digest, read_work, tell

WARM = 8
"""Nodes that are asked first, so that actors are up and have read their phones' work."""


def asked(nodes: list[int], folder: str, as_dense: bool) -> list[Message]:
    """Return a message to each of `nodes`."""
    content = RecordDict({"asked": ConfigRecord({"work": folder, "dense": as_dense})})
    return [Message(content, dst_node_id=node, message_type="train") for node in nodes]


def server_of(folder: str, as_dense: bool, devices: int, found: dict[str, Any]) -> ServerApp:
    """Return the ServerApp of one round; what it measured goes into `found`."""
    app = ServerApp()
    begun, size = time.perf_counter(), read_work(Path(folder)).size

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid: Grid, context: Context) -> None:
        while len(nodes := list(grid.get_node_ids())) < devices:
            time.sleep(0.05)
        list(grid.send_and_receive(asked(nodes[:WARM], folder, as_dense)))
        found["start_s"] = time.perf_counter() - begun
        clock = Clock(lambda: descendants(os.getpid()))
        total, counts = np.zeros(size, np.int64), dict.fromkeys(("sessions", "clicks"), 0)
        reports = answers = 0
        for reply in grid.send_and_receive(asked(nodes, folder, as_dense)):
            if reply.has_error():
                raise SystemExit(f"a node failed: {reply.error.reason}")
            answers += 1
            for name in counts:
                counts[name] += int(reply.content["counts"][name])
            if "report" in reply.content:
                report = reply.content["report"]["report"].numpy()
                reports += 1
                if report.ndim == 1:
                    total += report
                else:
                    total[report[0]] += report[1]
        wall_s, cpu_s = clock.read()
        if answers != devices:
            raise SystemExit(f"{answers} of {devices} nodes answered")
        found.update(
            counts | {"reports": reports, "wall_s": wall_s, "cpu_s": cpu_s, "sum_sha256": digest(total)}
        )

    return app


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", required=True, help="folder that run_fedbert.py wrote")
    parser.add_argument(
        "--dense", action="store_true", help="send whole vectors, as a phone must that hides its clicks"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    folder = str(Path(given.work).absolute())
    devices = read_work(Path(folder)).devices
    found: dict[str, Any] = {
        "system": "Flower, dense reports" if given.dense else "Flower",
        "version": f"{importlib.metadata.version('flwr')}, ray {importlib.metadata.version('ray')}",
        "how": f"one SuperNode per phone, {given.processes} Ray actors",
        "devices": devices,
    }
    run_simulation(
        server_of(folder, given.dense, devices, found),
        client_app,
        num_supernodes=devices,
        backend_config={
            "init_args": {"num_cpus": given.processes},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    if "wall_s" not in found:
        raise SystemExit("the simulation ended before its round had")
    tell(found, given.output)


if __name__ == "__main__":
    main()
