"""What a device costs: ``python benchmarks/device_rounds.py --devices 100000``.

CPU time of one core, by stage, of all that is done where the phones' data are: their start (histories,
release 0), a day's rounds (one release throughout, no training), and the comparison of eleven systems, which
runs over a million devices at most. What is made once in a run is made before. Vectors of the student are
real, those of the server's models random: they cost the same.
"""

import argparse
import time
from typing import Any

import numpy as np

from fedbert import comparison
from fedbert.ei_bert.artefact.artefact import pack
from fedbert.federation.environment import Environment, share
from fedbert.federation.protocol import Arrays, RoundOrder, blob_to_array
from fedbert.federation.replay import replay
from fedbert.federation.server import starting_artefact
from fedbert.federation.shard import Shard
from fedbert.scenario import Scenario

WARM = 500
"""Devices that are worked on first, so that loops are compiled and tables made."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    devices = parser.parse_args().devices
    print("| run | stage | us of one core a device and day |")
    print("|---|---|---|")
    runs: dict[str, dict[str, Any]] = {"whole": {}, "timing only": {"timing_only": True}}
    for name, flags in runs.items():
        if not flags.keys() <= Scenario.model_fields.keys():
            continue  # an older version, to compare with
        environment = made(Scenario(devices=devices, rounds=12, mechanism="poisson", epsilon=None, **flags))
        stages(environment, WARM)
        for stage, seconds in stages(environment, devices).items():
            print(f"| {name} | {stage} | {1e6 * seconds / devices:.1f} |", flush=True)


def made(scenario: Scenario) -> Environment:
    """Return the environment of a scenario, with every text encoded."""
    artefact = starting_artefact(scenario.model)
    environment = Environment.create(scenario, artefact)
    share(environment)
    environment.encoded_0.ensure(np.arange(len(environment.world.texts)))
    return environment


def stages(environment: Environment, devices: int) -> dict[str, float]:
    """Return the CPU seconds of each stage for the first `devices`."""
    shard, found = Shard(environment, 0, devices), dict[str, float]()
    begun = time.process_time()
    state = shard.start()
    found["start"] = time.process_time() - begun
    begun = time.process_time()
    for round_ in range(13):
        shard.run_round(state, RoundOrder(round_, 0, 0), {0: environment.encoded_0})
    found["rounds"] = time.process_time() - begun
    if not getattr(environment.scenario, "timing_only", False):
        headers, arrays = systems(environment)
        begun = time.process_time()
        replay(environment, shard, headers, 12, arrays)
        found["comparison"] = time.process_time() - begun
    return found


def systems(environment: Environment) -> tuple[list[comparison.SystemHeader], Arrays]:
    """Return the systems of a run whose last release is what the server has, and what they rank by."""
    artefact, catalogue = environment.release_0, environment.world.public.catalogue
    found = comparison.systems(unreleased=False, pooled=True, popularity=catalogue.has_popularity)
    random, texts = np.random.default_rng(0), int(environment.world.evaluation_text.sum())
    names = (comparison.RELEASE_0, comparison.FINAL, comparison.POOLED)
    arrays: dict[str, Any] = {name: blob_to_array(pack(artefact)) for name in names}
    for name in ("student", "teacher"):
        for what, rows in (("texts", texts), ("items", catalogue.items)):
            arrays[f"{name}_{what}"] = random.integers(-30, 30, (rows, artefact.dim)).astype(np.int8)
    return [system.header for system in found], arrays


if __name__ == "__main__":
    main()
