"""The round on pfl, in two processes: ``python benchmarks/peers/run_pfl.py --work DIR``.

Runs in an environment of its own (`requirements-pfl.txt`) and imports nothing of fedbert. Each process
simulates its half of the phones by pfl's `SimulatedBackend`; sums are added over processes by
torch.distributed (gloo). There is no model, no central step and no metric.
"""

import argparse
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

RANK, ADDRESSES = "PFL_WORKER_RANK", "PFL_WORKER_ADDRESSES"
"""By these pfl knows which of the processes it is."""


def worker(folder: Path, as_dense: bool, output: Path) -> None:
    """Be one of the processes: work its share of the phones, and write what was measured to `output`."""
    begun = time.perf_counter()
    import numpy as np
    import torch
    from pfl.aggregate.base import SumAggregator
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import FederatedAlgorithm
    from pfl.common_types import Population
    from pfl.context import CentralContext
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.hyperparam.base import AlgorithmHyperParams, ModelHyperParams
    from pfl.internal.ops import pytorch_ops
    from pfl.internal.ops.selector import set_framework_module
    from pfl.metrics import Metrics
    from pfl.stats import MappedVectorStatistics, TrainingStatistics
    from phone import Clock, dense, digest, phone, read_work

    torch.set_num_threads(1)  # a process has a core
    set_framework_module(pytorch_ops)
    np.random.seed(0)  # noqa: NPY002  # of pfl's own generator: the same in each process
    work = read_work(folder)
    size = work.size
    worked = dict.fromkeys(("sessions", "clicks", "reports"), 0)

    class Sum(TrainingStatistics):  # type: ignore[misc]
        """Reports that are added where they are not 0; the first becomes the sum."""

        def __init__(self, parts: Any, total: Any = None) -> None:
            self.parts, self.total = parts, total

        @property
        def num_parameters(self) -> int:
            return size

        def get_weights(self) -> Any:
            return {}, [self.total]

        def from_weights(self, metadata: Any, weights: Any) -> Any:
            return Sum(None, weights[0])

        def __add__(self, other: Any) -> Any:
            raise NotImplementedError("`Added` adds")

        def __repr__(self) -> str:
            return f"Sum of {size} coordinates"

        def apply_elementwise(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
            return self  # pfl copies what may be overwritten; a report is added to a sum of its own

    class Added(SumAggregator):  # type: ignore[misc]
        """As pfl's, but for sums that stay exact over processes: pfl's own reduce in float32."""

        def accumulate(self, *, accumulated: Any, user_stats: Any) -> Any:
            if as_dense:
                return super().accumulate(accumulated=accumulated, user_stats=user_stats)
            if accumulated is None:
                accumulated = Sum(None, np.zeros(size, np.int64))
            accumulated.total[user_stats.parts[0]] += user_stats.parts[1]
            return accumulated

        def worker_reduce(
            self, *, aggregated_worker_stats: Any, central_context: Any, aggregated_worker_metrics: Any
        ) -> Any:
            own = aggregated_worker_stats
            whole = own["report"] if as_dense else torch.from_numpy(own.total)
            torch.distributed.all_reduce(whole)
            return Sum(None, whole.numpy()), aggregated_worker_metrics

    class Round(FederatedAlgorithm):  # type: ignore[misc]
        """One user is one phone."""

        def simulate_one_user(self, model: Any, user_dataset: Any, central_context: Any) -> Any:
            sessions, clicks, report = phone(work, user_dataset.raw_data[0])
            worked["sessions"] += sessions
            worked["clicks"] += clicks
            if report is None:
                return None, Metrics()
            worked["reports"] += 1
            if not as_dense:
                return Sum(report), Metrics()
            # Fixed point needs whole numbers: sums of float32 would not be exact.
            whole = torch.from_numpy(dense(work, report).astype(np.int64))
            return MappedVectorStatistics({"report": whole}), Metrics()

        def get_next_central_contexts(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError("the round is asked for directly")

        def process_aggregated_statistics(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError("there is no server's step")

    class Phone(Dataset):  # type: ignore[misc]
        """A user's data: its number in the work."""

        def __len__(self) -> int:
            return 1

    # Each phone once, in its order: the cheapest sampler there is.
    data = FederatedDataset(lambda number: Phone((number,)), count().__next__)
    backend = SimulatedBackend(training_data=data, val_data=data, aggregator=Added())
    context = CentralContext(
        current_central_iteration=0,
        do_evaluation=False,
        cohort_size=work.devices,
        population=Population.TRAIN,
        algorithm_params=AlgorithmHyperParams(),
        model_train_params=ModelHyperParams(),
        model_eval_params=ModelHyperParams(),
        seed=0,
    )
    phone(work, 0)
    torch.distributed.barrier()
    start_s, clock = time.perf_counter() - begun, Clock()
    total, _ = backend.gather_results(None, Round(), central_context=context)
    wall_s, cpu_s = clock.read()
    found = worked | {"devices": work.devices, "start_s": start_s, "wall_s": wall_s, "cpu_s": cpu_s}
    found["sum_sha256"] = digest(total.total)
    output.write_text(json.dumps(found), encoding="utf-8")
    # The first process is where the others meet: it must not be gone before they have left.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def main() -> None:
    """Run the command."""
    from phone import tell

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that run_fedbert.py wrote")
    parser.add_argument("--dense", action="store_true", help="add whole vectors, as pfl's own statistics are")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    if RANK in os.environ:
        worker(given.work, given.dense, given.output)
        return
    addresses = ",".join(f"127.0.0.1:{free_port()}" for _ in range(given.processes))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"{rank}.json" for rank in range(given.processes)]
        kinds = ["--dense"] if given.dense else []
        running = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", str(given.work), *kinds, "--output", str(output)],
                env=os.environ | {RANK: str(rank), ADDRESSES: addresses},
            )
            for rank, output in enumerate(outputs)
        ]
        codes = [process.wait() for process in running]
        if any(codes):
            raise SystemExit(f"a process of pfl failed: {codes}")
        parts = [json.loads(output.read_text(encoding="utf-8")) for output in outputs]
    if len({part["sum_sha256"] for part in parts}) > 1:
        raise SystemExit("the processes have different sums")
    found = {
        "system": "pfl, dense reports" if given.dense else "pfl",
        "version": f"{importlib.metadata.version('pfl')}, torch {importlib.metadata.version('torch')}",
        "how": f"{given.processes} processes",
        "devices": parts[0]["devices"],
        **{name: sum(part[name] for part in parts) for name in ("sessions", "clicks", "reports")},
        "start_s": max(part["start_s"] for part in parts),
        "wall_s": max(part["wall_s"] for part in parts),
        "cpu_s": sum(part["cpu_s"] for part in parts),
        "sum_sha256": parts[0]["sum_sha256"],
    }
    tell(found, given.output)


if __name__ == "__main__":
    main()
