"""Processor time of the server's work: python benchmarks/server_step.py [--updates N] [--exports N].

Loads teacher and student for the default world, updates towards random unit vectors, and exports. Prints the
processor seconds of each, of all threads together, and the SHA-256 of the last export and of the loss: two
states of the code that print the same ones compute the same bits. On a machine with other work, processor
time is the truer figure; to see what waiting threads burn, run two at once.
"""

import argparse
import hashlib
import time

import numpy as np

from fedbert.ei_bert.teaching.server_models import ServerModels, ServerTexts
from fedbert.federation.environment import load_scenario_world
from fedbert.federation.server import TRAINING_THREADS, server_folder, starting_artefact
from fedbert.federation.session import training_draws_of
from fedbert.scenario import Scenario


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=4, help="updates after a first one")
    parser.add_argument("--exports", type=int, default=4, help="exports after a first one")
    arguments = parser.parse_args()
    scenario = Scenario()
    public = load_scenario_world(scenario).public
    started = time.process_time()
    models = ServerModels.load(
        starting_artefact("default"),
        server_folder("default"),
        None,
        ServerTexts(public.catalogue.texts, public.texts, public.item),
        training_draws_of(scenario),
        threads=TRAINING_THREADS,
    )
    print(f"load    {time.process_time() - started:.2f} s")
    draw = np.random.default_rng(1)
    targets = draw.normal(size=(len(public.catalogue.texts), models.dim)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    weights = draw.uniform(0, 1, len(targets)).astype(np.float32)
    # The first of each makes what the others share.
    state, loss = models.update(models.start, 1, targets, weights, scenario.update_steps)
    started = time.process_time()
    for round_ in range(2, 2 + arguments.updates):
        state, loss = models.update(state, round_, targets, weights, scenario.update_steps)
    print(f"update  {(time.process_time() - started) / arguments.updates:.3f} s")
    made = models.export(state)
    started = time.process_time()
    for _ in range(arguments.exports):
        made = models.export(state)
    print(f"export  {(time.process_time() - started) / arguments.exports:.3f} s")
    print(f"artefact {made.sha256[:16]}, loss {hashlib.sha256(repr(loss).encode()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
