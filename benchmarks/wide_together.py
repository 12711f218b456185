"""Whether a wide part learns more beside the deep one: python benchmarks/wide_together.py [--model NAME ...].

Shipped wide parts learn labels by themselves. Here each learns CLINC150's with the deep part's logits, times
a share, added to its own: at 0 it learns alone, at 1 what both say together is held to the label. The deep
part stays as it is. Prints a Markdown table of accuracy on validation texts, by which a share would be
chosen, at the best weight of the wide part's logits, and on test texts at that weight.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fedbert.ei_bert.artefact.artefact import deep_alone, load_artefact
from fedbert.ei_bert.artefact.n_grams import n_grams
from fedbert.ei_bert.artefact.wide import quantise_wide, read_wide
from fedbert.ei_bert.compression.rival_models import hard, learn, pooled
from fedbert.ei_bert.compression.widening import WEIGHTS, chosen_weight
from fedbert.ei_bert.model import streams
from fedbert.ei_bert.pretrained import EiBert, model_folder
from fedbert.ei_bert.teaching.tasks import Task, load_task
from fedbert.paths import data_folder
from fedbert.randomness import Purpose, generator

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
# As the shipped wide parts: rate and passes, and the share of n-grams that a step does not see.
_COURSE, _UNSEEN = (0.03, 14), 0.2


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
            wide = quantise_wide(*_layer(task, buckets, share * said), task.name)
            validation = task.validation.labels
            weight, tried = chosen_weight([judged], [wide.logits(task.validation.texts)], [validation])
            right = (asked + weight * wide.logits(task.test.texts)).argmax(1) == task.test.labels
            figures = f"{100 * tried[weight]:.2f} | {100 * right.mean():.2f}"
            print(f"| `{name}` | {share:g} | {weight:g} | {figures} |", flush=True)
    print(f"\nWeights tried: {WEIGHTS[0]:g} to {WEIGHTS[-1]:g}.")


def _layer(
    task: Task, buckets: int, beside: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias, as `widening.wide_layer` does; `beside` `[text, class]` was added."""
    texts, wanted = hard(task)
    bags, goal, given = n_grams(texts, buckets), torch.from_numpy(wanted), torch.from_numpy(beside)
    weight = torch.zeros(buckets, wanted.shape[1], requires_grad=True)
    bias = torch.zeros(wanted.shape[1], requires_grad=True)
    draw = generator(0, Purpose.TRAINING, streams.WIDE_UNSEEN)

    def loss(rows: NDArray[np.intp]) -> torch.Tensor:
        some = bags[rows]
        seen = draw.random(len(some.data)) >= _UNSEEN
        some.data = (some.data * seen / (1 - _UNSEEN)).astype(np.float32)
        return functional.cross_entropy(pooled(some, weight) + bias + given[rows], goal[rows])

    learn([weight, bias], loss, len(texts), _COURSE, 0)
    return weight.detach().numpy(), bias.detach().numpy()


if __name__ == "__main__":
    main()
