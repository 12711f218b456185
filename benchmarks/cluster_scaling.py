"""How a run scales over CPUs: python benchmarks/cluster_scaling.py [--measure].

Without a flag it measures on one core what a round is made of (a shard's task, a device in it, an answer at
the driver, a text) and simulates the schedule of larger clusters from that: *modelled*. With --measure it
runs the rounds on Ray here, on one CPU and on two, beside one process: *measured*.
All times are processor time unless a column says wall, so that other work on the machine changes them little.
"""

import argparse
import heapq
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from flwr.app import Message

from fedbert.ei_bert.artefact.known_texts import KnownTexts
from fedbert.federation.encoded import EncodedRelease
from fedbert.federation.places.backends import inprocess, opened, shards_for
from fedbert.federation.places.grid import SimulationGrid
from fedbert.federation.protocol import RoundOrder, from_records, to_records
from fedbert.federation.round_step import answers, step
from fedbert.federation.session import Session
from fedbert.federation.shard import Shard
from fedbert.federation.shard_work import round_worked
from fedbert.federation.signing import content_sha256
from fedbert.machine import limit_cores
from fedbert.scenario import Execution, Scenario

CPUS = (1, 2, 8, 32, 128, 512, 2048)
FLEET = 8_400_000
SIZES = (4_096, 16_384, 65_536)
"""Devices of the shards that are measured."""
TASKS = 200

SPREAD = 0.05
"""Standard deviation of a task's time, of its mean: nodes and shards differ a little."""


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time, each on one core."""

    task_s: float
    """A shard's task without any device."""
    device_s: float
    """One device in one round."""
    text_s: float
    """A text to be encoded."""
    take_s: float
    """A worker takes the vectors of all texts of a release."""
    answer_s: float
    """The driver checks an answer and adds it up."""
    dispatch_s: float
    """The driver gives Ray a task, and gets the answer."""
    texts: int


def main() -> None:
    """Print the table of what was measured, or that of what was modelled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="run on Ray here, on one CPU and on two")
    parser.add_argument("--devices", type=int, default=100_000, help="of the measured runs")
    parser.add_argument("--rounds", type=int, default=3, help="of the measured runs")
    arguments = parser.parse_args()
    if arguments.measure:
        measured(arguments.devices, arguments.rounds)
    else:
        modelled(costs())


def scenario(devices: int, rounds: int) -> Scenario:
    """Return what is run: defaults, with as little training as there can be."""
    return Scenario(devices=devices, rounds=rounds, mechanism="poisson", epsilon=None, update_steps=1)


# -- measured ---------------------------------------------------------------------------------------------


def measured(devices: int, rounds: int) -> None:
    """Run the rounds in one process, and on Ray with one CPU and with two."""
    import ray

    loaded = Session.open(scenario(devices, rounds))
    print(f"{devices:,} devices, mean of rounds 2 to {rounds}, the phones' part of a round:\n")
    print("| where | wall, s | core-seconds |")
    print("|---|---|---|")
    _row("one process, two threads", loaded, inprocess(2))
    for cpus in (1, 2):
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        try:
            place = opened(Execution(backend="ray"), devices)
            _row("Ray, one CPU" if cpus == 1 else "Ray, two CPUs", loaded, place)
        finally:
            ray.shutdown()


@dataclass
class Metered(Session):
    """A session that also counts the processor time of this process and of all below it."""

    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add time and processor time spent inside to a stage's totals."""
        before = _cpu_s()
        with super().timed(stage):
            yield
        self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + _cpu_s() - before


def _cpu_s() -> float:
    """Return the processor time of this process and of those below it that are still there."""
    total = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _row(name: str, loaded: Session, place: AbstractContextManager[Any]) -> None:
    session = Metered(loaded.scenario, loaded.environment, loaded.server)
    with place as grid:
        state = session.start(grid)
        for _ in range(2):  # in these most texts are met first
            state = step(session, state)[0]
        wall_s, cpu_s = session.timing_s["devices"], session.cpu_s["devices"]
        count = session.scenario.rounds - 1
        for _ in range(count):
            state = step(session, state)[0]
    wall_s, cpu_s = session.timing_s["devices"] - wall_s, session.cpu_s["devices"] - cpu_s
    print(f"| {name} | {wall_s / count:.2f} | {cpu_s / count:.2f} |", flush=True)


# -- modelled ---------------------------------------------------------------------------------------------


def costs() -> Costs:
    """Measure what a round is made of, on one core."""
    limit_cores(1)
    session = Session.open(scenario(SIZES[-1], 3))
    environment = session.environment
    release = environment.encoded_0
    started = time.process_time()
    release.ensure(np.arange(len(environment.world.texts)))
    text_s = (time.process_time() - started) / len(environment.world.texts)
    items = KnownTexts(environment.world.public.catalogue.texts, "item")
    again = EncodedRelease(environment.release_0, KnownTexts(environment.world.texts), items)
    started = time.process_time()
    again.take(release.vectors)
    take_s = time.process_time() - started
    spent = []
    for size in SIZES:
        shard = Shard(environment, 0, size)
        state = shard.start()
        header = {"round": 0, "signal_release": 0, "newest_release": 0, "index": 0, "closing": None}
        times = []
        for round_ in (1, 2, 3):
            started = time.process_time()
            shard.run_round(state, RoundOrder(round_, 0, 0), {0: release})
            times.append(time.process_time() - started)
        spent.append(min(times))
    device_s, task_s = np.polyfit(SIZES, spent, 1)
    answer = round_worked(shard, state, header, {}, {0: release})
    return Costs(
        max(float(task_s), 0.0),
        float(device_s),
        text_s,
        take_s,
        _answer_s(session, answer),
        _dispatch_s(answer),
        len(environment.world.texts),
    )


class _Ready(SimulationGrid):
    """Gives every node's answer at once, always the same."""

    def __init__(self, nodes: int, answer: dict[str, Any]) -> None:
        super().__init__(nodes)
        self._answer = answer

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Iterator[Message]:
        """Answer each message."""
        for message in messages:
            header, _ = from_records(message.content)
            echo = {name: header[name] for name in ("round", "first", "count")}
            echo["sha256"] = content_sha256("", self._answer).hex()
            yield Message(to_records(echo, self._answer), reply_to=message)

    def push_messages(self, messages: Any) -> list[str]:
        """Not used."""
        raise NotImplementedError

    pull_messages = push_messages

    def close(self) -> None:
        """Nothing was started."""


def _answer_s(session: Session, answer: dict[str, Any]) -> float:
    """Return what the driver spends on an answer: message, hash, checks, sum."""
    shards = 64
    session.scenario = session.scenario.model_copy(update={"devices": shards * SIZES[-1]})
    session.connect(_Ready(shards, answer))
    first = session._first()
    session.has = dict.fromkeys(range(shards), 0)
    started = time.process_time()
    found = list(answers(session, first, RoundOrder(0, 0, 0), None))
    assert len(found) == shards
    return (time.process_time() - started) / shards


def _dispatch_s(answer: dict[str, Any]) -> float:
    """Return what the driver spends on handing Ray a task, and on getting its answer."""
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        give = ray.remote(num_cpus=1)(lambda given: dict(given))
        there = ray.put(answer)
        ray.get([give.remote(there) for _ in range(3)])
        started = time.process_time()
        ray.get([give.remote(there) for _ in range(TASKS)])
        return (time.process_time() - started) / TASKS
    finally:
        ray.shutdown()


def round_s(cpus: int, devices: int, cost: Costs, released: bool) -> float:
    """Return the modelled length of the phones' part of a round, in seconds.

    `released`: a release is met for the first time, so that its texts are encoded by all CPUs.
    """
    random = np.random.default_rng(cpus)
    shards = min(shards_for(cpus, devices), devices)
    tasks = cost.task_s + cost.device_s * devices / shards * random.normal(1, SPREAD, shards)
    begin = cost.texts * cost.text_s / cpus + cost.take_s if released else 0.0
    free = [begin] * cpus
    done = []
    for number, task_s in enumerate(sorted(tasks, reverse=True)):
        start = max(heapq.heappop(free), (number + 1) * cost.dispatch_s)
        heapq.heappush(free, start + task_s)
        done.append(start + task_s)
    driver = shards * cost.dispatch_s
    for each in sorted(done):
        driver = max(driver, each) + cost.answer_s
    return float(driver)


def modelled(cost: Costs) -> None:
    """Print the costs and the two tables of the schedule."""
    print(
        f"a task {1e3 * cost.task_s:.0f} ms, a device {1e6 * cost.device_s:.1f} us, a text "
        f"{1e6 * cost.text_s:.0f} us ({cost.texts:,} texts), to take a release's vectors "
        f"{1e3 * cost.take_s:.0f} ms, an answer {1e3 * cost.answer_s:.1f} ms, to hand out a task "
        f"{1e3 * cost.dispatch_s:.2f} ms\n"
    )
    print(
        "| CPUs | 8,400,000 devices: s a round | with a new release | efficiency | 100,000 devices a CPU: s |"
    )
    print("|---|---|---|---|---|")
    alone = round_s(1, FLEET, cost, False)
    for cpus in CPUS:
        strong, fresh = (round_s(cpus, FLEET, cost, released) for released in (False, True))
        weak = round_s(cpus, 100_000 * cpus, cost, False)
        share = alone / cpus / strong
        print(f"| {cpus:,} | {strong:.2f} | {fresh:.2f} | {share:.0%} | {weak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
