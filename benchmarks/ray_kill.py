"""Kills a Ray node in the middle of a round, again and again: python benchmarks/ray_kill.py --kills 20.

Three Ray nodes with one CPU each run on this machine. In every trial one of them is killed, as a power cut
does, at a random moment of a random round. Every state of the run, the phones' memory included, must be equal
to the bit to that of a run in one process. Prints a row for each trial, with the time lost: how much longer
the round took than in a run on Ray that nothing happened to. Exits with 1 if a bit differs.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "federation"))  # the nodes are those of the tests

from ray_nodes import SOON, add_node, nodes  # noqa: E402

from fedbert.federation.checkpoint import read_phones  # noqa: E402
from fedbert.federation.places.backends import inprocess, opened  # noqa: E402
from fedbert.federation.round_step import step  # noqa: E402
from fedbert.federation.session import Session  # noqa: E402
from fedbert.scenario import Execution, Scenario  # noqa: E402


@dataclass
class Trial:
    """One run: what its states are, and how long each round took; `said` is told of lost nodes."""

    states: list[str] = field(default_factory=list)
    arrays: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def equal(self, other: "Trial") -> bool:
        """Return whether every state is equal to the bit."""
        pairs = zip(self.arrays, other.arrays, strict=True)
        return self.states == other.states and all(
            one.keys() == two.keys() and all(np.array_equal(array, two[name]) for name, array in one.items())
            for one, two in pairs
        )


def main() -> int:
    """Do all trials and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0, help="seed of rounds and moments")
    parser.add_argument("--slow", action="store_true", help="with Ray's own patience with silent nodes")
    arguments = parser.parse_args()
    scenario = Scenario(
        model="tiny",
        devices=arguments.devices,
        rounds=arguments.rounds,
        mechanism="poisson",
        epsilon=None,
        update_steps=1,
        release_every=1,
        pooled_bound=False,
    )
    loaded = Session.open(scenario)
    moments = random.Random(arguments.seed)
    good = 0
    with tempfile.TemporaryDirectory(prefix="fedbert-ray-kill-") as place:
        expected = run(loaded, inprocess(arguments.shards), Path(place) / "plain")
        with nodes(3, **({} if arguments.slow else SOON)) as cluster:
            execution = Execution(backend="ray", ray_address=cluster.address, shards=arguments.shards)

            def on_ray(note: Any = lambda text: None) -> AbstractContextManager[Any]:
                return opened(execution, scenario.devices, note)

            quiet = run(loaded, on_ray(), Path(place) / "quiet")
            usual, equal = quiet.seconds, quiet.equal(expected)
            print(f"undisturbed on Ray: rounds of {' '.join(f'{s:.2f}' for s in usual)} s, equal: {equal}\n")
            print("| kill | round | after, s | round took, s | lost, s | noticed | equal |")
            print("|---|---|---|---|---|---|---|", flush=True)
            lost = []
            for number in range(1, arguments.kills + 1):
                round_ = moments.randint(1, arguments.rounds)
                after_s = usual[round_] * moments.random()
                killer = Killer(cluster, round_, after_s)
                folder = Path(place) / str(number)
                trial = run(loaded, on_ray(killer.said.append), folder, killer)
                killer.thread.join()
                add_node(cluster)
                same = trial.equal(expected)
                good += same
                lost.append(trial.seconds[round_] - usual[round_])
                took = f"{after_s:.2f} | {trial.seconds[round_]:.2f} | {lost[-1]:.2f}"
                print(f"| {number} | {round_} | {took} | {bool(killer.said)} | {same} |", flush=True)
    print(f"\n{good} of {arguments.kills} runs that lost a node equal the run in one process")
    if lost:
        print(f"time lost: median {median(lost):.2f} s, most {max(lost):.2f} s")
    return 0 if equal and good == arguments.kills else 1


class Killer:
    """Kills a node some seconds after a round has begun."""

    def __init__(self, cluster: Any, round_: int, after_s: float) -> None:
        self._cluster, self._round = cluster, round_
        self.thread = threading.Timer(after_s, self._kill)
        self.said: list[str] = []

    def __call__(self, round_: int) -> None:
        """Take note that a round begins."""
        if round_ == self._round:
            self.thread.start()

    def _kill(self) -> None:
        self._cluster.remove_node(next(iter(self._cluster.worker_nodes)), allow_graceful=False)


def run(loaded: Session, place: AbstractContextManager[Any], folder: Path, begins: Any = None) -> Trial:
    """Return a run on the grid that `place` gives; `begins` is told of each round."""
    session, trial = Session(loaded.scenario, loaded.environment, loaded.server), Trial()
    with place as grid:
        state = session.start(grid)
        for round_ in range(session.scenario.rounds + 1):
            if begins is not None:
                begins(round_)
            started = time.perf_counter()
            state, _ = step(session, state, str(folder))
            trial.seconds.append(time.perf_counter() - started)
            plain = state.plain()
            rows = [{name: value for name, value in row.items() if name != "wall_s"} for row in plain["rows"]]
            trial.states.append(json.dumps(dict(plain, rows=rows)))
            trial.arrays.append(dict(state.arrays()))
    trial.arrays.append(read_phones(folder, session.kept.values(), 0, session.scenario.devices).arrays())
    return trial


if __name__ == "__main__":
    sys.exit(main())
