"""Whether a wide part learns more beside the deep one: python benchmarks/wide_together.py [--model NAME ...].

Shipped wide parts learn labels by themselves. Here each learns CLINC150's with the deep part's logits, times
a share, added to its own: at 0 it learns alone, at 1 what both say together is held to the label. The deep
part stays as it is. Prints a Markdown table of accuracy on validation texts, by which a share would be
chosen, at the best weight of the wide part's logits, and on test texts at that weight.
"""

import argparse

import torch

from fedbert.ei_bert.artefact.artefact import deep_alone, load_artefact
from fedbert.ei_bert.artefact.wide import quantise_wide, read_wide
from fedbert.ei_bert.compression.rival_models import hard
from fedbert.ei_bert.compression.widening import WEIGHTS, chosen_weight, wide_layer
from fedbert.ei_bert.pretrained import EiBert, model_folder
from fedbert.ei_bert.teaching.tasks import load_task
from fedbert.paths import data_folder

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["intents-small", "intents-default"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task(data_folder() / "intents" / "clinc150.parquet")
    print(
        "| model | share of the deep logits | weight | validation, % | test, % |\n|---|---:|---:|---:|---:|"
    )
    for name in arguments.model:
        artefact = load_artefact(model_folder(name))
        buckets = read_wide(artefact.wide[task.name], task.name).buckets
        deep = EiBert(deep_alone(artefact))
        said, judged, asked = (
            deep.logits(part.texts, task.name) for part in (task.train, task.validation, task.test)
        )
        for share in SHARES:
            wide = quantise_wide(*wide_layer(hard(task), buckets, 0, share * said), task.name)
            validation = task.validation.labels
            weight, tried = chosen_weight([judged], [wide.logits(task.validation.texts)], [validation])
            right = (asked + weight * wide.logits(task.test.texts)).argmax(1) == task.test.labels
            figures = f"{100 * tried[weight]:.2f} | {100 * right.mean():.2f}"
            print(f"| `{name}` | {share:g} | {weight:g} | {figures} |", flush=True)
    print(f"\nWeights tried: {WEIGHTS[0]:g} to {WEIGHTS[-1]:g}.")


if __name__ == "__main__":
    main()
