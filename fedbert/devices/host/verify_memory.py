"""Really runs a sample of devices under a hard memory limit, and compares *fits* with the prediction.

Each device is a fresh process (`memory_process`). Its limit is the interpreter's and the runtime's own
measured baseline plus the device's budget: the smaller of its free memory and the scenario's budget. Drawn
are the devices whose budget is nearest to the predicted peak, half of them (rounded up) from those that fit
and half from those that do not. Nearer than `memory.relative_error` none is drawn: there the prediction's
own error decides.

A side on which the fleet has too few is filled up with budgets from the free memory of the profiles:
quantiles of their log-normals, at even steps of the quantile, that are next to the boundary. They have no
device number. The scenario's budget does not cut them: where it is below the peak, or next to it, no
device's own budget is above.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedbert.devices.cost_model import CostModel
from fedbert.devices.fleet import FleetColumns, Floats, Integers, standard_normal
from fedbert.devices.host.memory_process import fits
from fedbert.devices.memory import relative_error

# Near the median budgets then lie half a per cent apart, closer than the least distance from the boundary.
_QUANTILES = 400


@dataclass(frozen=True)
class MemoryCase:
    """A device to be verified; `device` is None for a budget drawn from a profile. `text` are token ids."""

    device: int | None
    profile: str
    text: tuple[int, ...]
    budget_bytes: int
    predicted_bytes: int

    @property
    def predicted_fit(self) -> bool:
        """Whether the cost model says that the model fits."""
        return self.predicted_bytes <= self.budget_bytes


@dataclass(frozen=True)
class VerifiedDevice:
    """A case and what was seen: `seen_fit` is whether the process loaded the model and encoded the text."""

    case: MemoryCase
    seen_fit: bool

    @property
    def agrees(self) -> bool:
        """Whether verdict and prediction are the same."""
        return self.seen_fit == self.case.predicted_fit


def draw_cases(
    cost: CostModel,
    fleet: FleetColumns,
    texts: Sequence[Sequence[int]],
    candidates: int,
    count: int,
    first_device: int = 0,
) -> list[MemoryCase]:
    """Return `count` devices of `fleet` near the boundary, those that fit first; see the module.

    Device i has the text ``texts[i % len(texts)]`` (token ids). Sessions score `candidates`.
    """
    lengths = np.array([len(text) for text in texts])[(first_device + np.arange(len(fleet))) % len(texts)]
    budget = np.minimum(fleet.free_memory_bytes, cost.memory_budget_bytes)
    peak = cost.peak_memory_bytes(lengths.astype(np.float64), candidates)
    distance, margin = budget / peak - 1.0, relative_error(cost.operations, lengths.astype(np.float64))
    middle = texts[len(texts) // 2]
    tokens = np.array([float(len(middle))])
    typical = int(cost.peak_memory_bytes(tokens, candidates)[0])
    typical_margin = float(relative_error(cost.operations, tokens)[0])
    cases: list[MemoryCase] = []
    for side, wanted in ((1.0, (count + 1) // 2), (-1.0, count // 2)):
        rows = _nearest(side * distance, margin, wanted)
        cases += [
            MemoryCase(
                device=first_device + int(row),
                profile=cost.profiles[fleet.profile[row]].name,
                text=tuple(texts[(first_device + int(row)) % len(texts)]),
                budget_bytes=int(budget[row]),
                predicted_bytes=int(peak[row]),
            )
            for row in rows
        ]
        names, budgets = _free_memory(cost)
        drawn = _nearest(side * (budgets / typical - 1.0), typical_margin, wanted - len(rows))
        cases += [MemoryCase(None, names[row], tuple(middle), int(budgets[row]), typical) for row in drawn]
    return cases


def _nearest(distance: Floats, margin: Floats | float, wanted: int) -> Integers:
    """Return the indices of the `wanted` least values of at least `margin`, by value and then by index."""
    allowed = np.flatnonzero(distance >= margin)
    return allowed[np.argsort(distance[allowed], kind="stable")[:wanted]]


def _free_memory(cost: CostModel) -> tuple[list[str], Floats]:
    """Return quantiles of the free memory of all profiles [profile x quantile], and whose they are."""
    normal = standard_normal((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    names, free = [], []
    for profile in cost.profiles:
        memory = profile.free_memory
        free.append(memory.p50_bytes * np.exp(memory.sigma * normal))
        names += [profile.name] * _QUANTILES
    return names, np.concatenate(free)


def verify(
    cost: CostModel, files: Mapping[str, bytes], cases: Sequence[MemoryCase], candidates: int
) -> list[VerifiedDevice]:
    """Return what came of each case, really run, one after the other; `files` are the artefact's by name.

    Raises FedbertError where memory cannot be limited, or if a process fails for another reason than memory.
    """
    vectors = cost.vectors_bytes(candidates)
    return [VerifiedDevice(case, fits(files, case.text, vectors, case.budget_bytes)) for case in cases]


VERDICTS = {True: "fits", False: "out of memory"}
