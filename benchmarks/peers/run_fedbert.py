"""fedbert's round, without the server's step: ``python benchmarks/peers/run_fedbert.py --devices 10000``.

Runs one round of all phones by fedbert's own engine (`Shard.run_round`) on a thread for each core, and writes
what it measured as JSON. With --work it also writes the sessions that the round had, for the others to work.
"""

import argparse
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fedbert
from fedbert.devices.cost_model import Outcome
from fedbert.federation.block_round import BlockRound
from fedbert.federation.environment import Environment, share
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.protocol import RoundOrder
from fedbert.federation.round_clock import whole_round
from fedbert.federation.server import starting_artefact
from fedbert.federation.shard import Shard
from fedbert.federation.shard_report import COHORT_KEYS, empty_truth
from fedbert.machine import cores
from fedbert.randomness import Purpose
from fedbert.recommendation.clicks import DRAWS, ClickModel
from fedbert.recommendation.sessions import Kind, session_uniforms
from fedbert.scenario import Scenario
from fedbert.signals.prototypes.contribution import PrototypeLayout, centres_of
from fedbert.signals.ranks import RANK_BINS
from fedbert.signals.signal import UNIT

sys.path.insert(0, str(Path(__file__).parent))
from phone import Clock, Rules, Work, digest, tell, write_work  # beside this file, for peers too

SESSIONS_PER_PHONE = 2.0
LEAST_SHARE = 1e-9
"""Share of evaluation sessions, which the scenario wants to be above 0: here next to none are wanted."""

ORDER = RoundOrder(1, 0, 0)
WARM = 500
"""Devices that are worked on first, so that loops are compiled."""


def scenario_of(devices: int, model: str = "default") -> Scenario:
    """Return a round of a day in which every phone takes part and has release 0."""
    return Scenario(
        model=model,
        devices=devices,
        rounds=1,
        round_hours=24,
        sessions_per_day=SESSIONS_PER_PHONE,
        evaluation_share=LEAST_SHARE,
        availability="always",
        mechanism="poisson",
        sampling_probability=1.0,
        epsilon=None,
        control_share=0.0,
        verify_masks=0,
        deadline_ms=60_000.0,
        memory_budget_bytes=2**31,
    )


def made(devices: int) -> Environment:
    """Return the environment of `scenario_of`, with every text encoded."""
    scenario = scenario_of(devices)
    environment = Environment.create(scenario, starting_artefact(scenario.model))
    share(environment)
    environment.encoded_0.ensure(np.arange(len(environment.world.texts)))
    return environment


def state_of(environment: Environment, devices: int) -> PhoneState:
    """Return the memory of phones that have release 0 and no history: text alone then ranks."""
    items, dim = environment.encoded_0.items.shape
    state = PhoneState.empty(devices, environment.scenario.history_length, items, dim)
    state.installed[:] = 0
    return state


def round_of(environment: Environment, devices: int, shards: int) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the sum of reports `[size]` and the counts of a round of the first `devices`."""
    edges = [devices * place // shards for place in range(shards + 1)]
    parts = [Shard(environment, low, high - low) for low, high in pairwise(edges)]
    releases = {0: environment.encoded_0}

    def one(shard: Shard) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        report, _ = shard.run_round(state_of(environment, shard.devices.count), ORDER, releases)
        sent = int(report.server["reported"][0])
        return report.server["signal"].astype(np.int64), report.truth["counts"], sent

    with ThreadPoolExecutor(shards) as pool:
        answers = list(pool.map(one, parts))
    counts = dict(zip(COHORT_KEYS, sum(counts for _, counts, _ in answers).tolist(), strict=True))
    found = {"sessions": counts["learning_sessions"], "clicks": counts["clicks"]}
    return sum(total for total, _, _ in answers), found | {"reports": sum(sent for *_, sent in answers)}


def work_of(environment: Environment, devices: int) -> Work:
    """Return the sessions that the round of the first `devices` has, as numbers that any system can work."""
    release, layout = environment.encoded_0, environment.layout
    signal = layout.signal
    assert isinstance(signal, PrototypeLayout) and signal.rows == signal.items
    model, catalogue = ClickModel(), environment.world.public.catalogue
    rules = Rules(
        clicks_per_report=environment.scenario.clicks_per_report,
        unit=UNIT,
        scale=layout.scale,
        clip_norm=layout.clip_norm,
        click_weight=signal.beta_units,
        rank_weight=round(layout.gamma / UNIT),
        rank_bins=RANK_BINS,
        continue_=model.continue_,
        attract_target=model.attract_target,
        attract_other=model.attract_other,
    )
    state, truth = state_of(environment, devices), empty_truth(environment.places)
    per_device, sends, parts = [], [], []
    for rows, phones in Shard(environment, 0, devices).blocks():
        here = environment.world.sessions(phones.block, ORDER.round, Kind.LEARNING)
        draws = session_uniforms(phones.block, Purpose.CLICK, ORDER.round, here.device, here.slot, DRAWS)
        per_device.append(np.bincount(here.device, minlength=rows.stop - rows.start))
        nobody = np.zeros(rows.stop - rows.start, np.bool_)
        sends.append(whole_round(phones, nobody, ORDER.round).completed)
        block = BlockRound(phones, rows, state, ORDER, {0: release}, truth)
        outcome = block._outcomes(Kind.LEARNING, here, state.installed[rows][here.device])
        parts.append((here.text, here.item, here.candidates, draws, outcome == Outcome.SCORED))
    text, item, candidates, draws, scored = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Work(
        rules,
        release.vectors,
        release.items,
        centres_of(signal, release.items),
        catalogue.default_rank.astype(np.int32),
        np.concatenate([[0], np.cumsum(np.concatenate(per_device))]),
        text,
        item,
        candidates,
        draws,
        scored,
        np.concatenate(sends),
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are measured; medians count")
    parser.add_argument("--shards", type=int, default=cores())
    parser.add_argument("--work", type=Path, help="folder to write the sessions to")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    begun = time.perf_counter()
    environment = made(given.devices)
    round_of(environment, min(WARM, given.devices), given.shards)
    start_s = time.perf_counter() - begun
    walls, cpus = [], []
    for _ in range(given.repeats):
        clock = Clock()
        total, counts = round_of(environment, given.devices, given.shards)
        wall_s, cpu_s = clock.read()
        walls.append(wall_s)
        cpus.append(cpu_s)
    found = {
        "system": "fedbert",
        "version": fedbert.__version__,
        "how": f"{given.shards} shards on threads, median of {given.repeats}",
        "devices": given.devices,
        **counts,
        "start_s": start_s,
        "wall_s": statistics.median(walls),
        "cpu_s": statistics.median(cpus),
        "sum_sha256": digest(total),
    }
    if given.work is not None:
        write_work(given.work, work_of(environment, given.devices))
    tell(found, given.output)


if __name__ == "__main__":
    main()
