"""How many device-sessions per minute one core can cost: ``python benchmarks/device_sessions.py``.

A session: its time by parts, its peak memory and its outcome. Drawing the devices is timed beside it.
"""

import argparse
import time

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import CostModel, count_operations
from fedbert.devices.fleet import draw_fleet
from fedbert.devices.fleet_shares import load_fleet
from fedbert.paths import models_folder
from fedbert.randomness import ONCE, Purpose
from fedbert.results import CANDIDATES

BLOCK = 16_384


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2_000_000)
    blocks = -(-parser.parse_args().sessions // BLOCK)
    folder = models_folder() / "default"
    operations = count_operations((folder / "model.onnx").read_bytes())
    model = CostModel(load_fleet(), operations, sum(path.stat().st_size for path in folder.iterdir()))
    rows, tokens, yes = np.arange(BLOCK), 3 + np.arange(BLOCK) % 30, np.ones(BLOCK, np.bool_)
    everyone = DeviceRange(0, 0, blocks * BLOCK)
    drawing = costing = 0.0
    for block in everyone.blocks(BLOCK):
        devices = everyone.part(block)
        begin = time.process_time()
        fleet = draw_fleet(model.profiles, devices)
        drawn = time.process_time()
        uniform = devices.uniforms(Purpose.LATENCY, ONCE, 2)
        costs = model.session(fleet, rows, tokens, CANDIDATES, uniform, rows % 4 == 0)
        model.outcomes(costs.latency_ms, costs.peak_memory_bytes, fleet.free_memory_bytes, yes)
        drawing += drawn - begin
        costing += time.process_time() - drawn
    print(f"{60 * everyone.count / costing / 1e6:.0f} million device-sessions per minute on one core")
    print(f"{60 * everyone.count / drawing / 1e6:.0f} million devices drawn per minute on one core")


if __name__ == "__main__":
    main()
