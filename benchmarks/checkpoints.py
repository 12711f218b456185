"""Time and disk of one checkpoint: python benchmarks/checkpoints.py --devices 100000.

Two shards write their phones' memory one after the other, then the rest is written; the last two checkpoints
are kept. Prints a row per checkpoint. Times are wall seconds, flushes to the disk included.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from fedbert.federation import shard_report as r
from fedbert.federation.checkpoint import keep_phones, save_checkpoint
from fedbert.federation.phone_state import PhoneState
from fedbert.federation.run_state import RunState
from fedbert.federation.session import Session
from fedbert.recommendation.clusters import places_of
from fedbert.scenario import Scenario


def main() -> None:
    """Write four checkpoints and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    scenario = Scenario(devices=parser.parse_args().devices)
    session = Session.open(scenario)
    world, half = session.world, scenario.devices // 2
    totals = r.empty_truth(places_of(world))
    state = RunState(round=0, server=session.server.start(), totals=totals)
    items, dim = len(world.public.catalogue.texts), session.environment.release_0.dim
    phones = PhoneState.empty(half, scenario.history_length, items, dim)
    print("| checkpoint | phones, s | the rest, s | folder, MB |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for round_ in range(4):
            began = time.perf_counter()
            kept = [keep_phones(folder, round_, first, half, phones) for first in (0, half)]
            between = time.perf_counter()
            save_checkpoint(folder, replace(state, round=round_), kept, {})
            ended = time.perf_counter()
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            print(f"| {round_} | {between - began:.3f} | {ended - between:.3f} | {size / 1e6:.1f} |")


if __name__ == "__main__":
    main()
