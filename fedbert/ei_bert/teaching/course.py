"""How a training goes, whatever it teaches: its length, batches and learning rates, and who follows it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.teaching.progress import TaskProgress

WEIGHT_DECAY = 0.01
"""AdamW's usual decay."""
CLIP_NORM = 1.0
"""Largest norm of a step's gradient: one odd batch moves the weights no further than the others do."""
SHOWN_EVERY, SAVED_EVERY = 20, 500
"""Steps between two lines of progress, and between two checkpoints: what a stopped run may lose."""
# Adam's second moments are means over some hundred steps: a full rate before they settle would be too large.
_WARM_STEPS = 100
# The rate ends small, not at 0: the last steps still count.
_LAST_SHARE = 0.02


@dataclass(frozen=True)
class Course:
    """The `steps` of a training, the `seed` of its batches, and its `precision` (that of `fast_math`)."""

    steps: int
    seed: int
    precision: str = "auto"


@dataclass(frozen=True)
class Hooks:
    """Who follows a training.

    `progress` is told how far it is. `save` gets the step and all that the training needs to go on, every
    `every` steps (default: `SAVED_EVERY`) and after the last; `load` is such a state, from which it goes on.
    """

    progress: TaskProgress | None = None
    save: Callable[[int, Mapping[str, Any]], None] | None = None
    load: Mapping[str, Any] | None = None
    every: int | None = None

    @property
    def begun(self) -> int:
        """The steps that are done already."""
        return int(self.load["step"]) if self.load else 0

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Give `parts`, whatever the steps change (modules and optimisers by name), the state of `load`."""
        if self.load:
            for name, part in parts.items():
                part.load_state_dict(self.load[name])

    def keep(self, step: int, steps: int, parts: Mapping[str, Any]) -> None:
        """Save the state of `parts` after `step` of `steps` if it is due; `restore` takes it."""
        if self.save is not None and (step % (self.every or SAVED_EVERY) == 0 or step == steps):
            self.save(step, {"step": step, **{name: part.state_dict() for name, part in parts.items()}})


UNWATCHED = Hooks()
"""Nobody follows, and nothing is saved."""


def batches(
    rows: Sequence[Sequence[int]], batch_tokens: int, draw: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Yield shuffled batches of rows of like length, once over all rows."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    # Rows of one length in a new order each time: batches differ, and little is padded.
    order = np.lexsort((draw.random(len(rows)), lengths))
    starts, position = [], 0
    while position < len(order):
        size = max(1, batch_tokens // int(lengths[order[position]]))
        starts.append((position, position + size))
        position += size
    for index in draw.permutation(len(starts)).tolist():
        low, high = starts[index]
        yield order[low:high]


def rate(step: int, steps: int, top: float, warm: int = _WARM_STEPS) -> float:
    """Return the learning rate at `step`: a short linear rise to `top`, then a cosine down to a fiftieth."""
    if step < warm:
        return top * (step + 1) / warm
    fallen = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
    return top * (_LAST_SHARE + (1 - _LAST_SHARE) * fallen)


def set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set one learning rate for all parameters of `optimiser`, times each group's own `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = value * group.get("factor", 1.0)
