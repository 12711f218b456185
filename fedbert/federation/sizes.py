"""The sizes of a run's model: what each costs, and which of them a phone takes.

A phone takes the largest size whose largest session fits into the memory that the feature may use, by the
cost model. That follows from its hardware alone, says nothing of clicks, and stays as it is all run long.
Where a run has one size, all phones have it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedbert.devices.cost_model import CostModel
from fedbert.devices.fleet import Integers
from fedbert.devices.profiles import DeviceProfile
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.ei_bert.model.tokenizer import MAX_TOKENS
from fedbert.results import CANDIDATES


@dataclass(frozen=True, eq=False)
class Size:
    """One size of release 0: its files, its cost, and how it cuts the world's texts.

    `text_tokens` `[text]` of the private texts, `catalogue_tokens` of the whole catalogue. All releases of a
    size share one vocabulary.
    """

    artefact: Artefact
    cost: CostModel
    text_tokens: Integers
    catalogue_tokens: int

    @cached_property
    def mean_text_tokens(self) -> float:
        """Mean tokens of a private text."""
        return float(self.text_tokens.mean())

    @cached_property
    def peak_bytes(self) -> int:
        """Most memory that any session can need (modelled): that of the longest text that the model reads."""
        return int(self.cost.peak_memory_bytes(np.array([MAX_TOKENS], np.float64), CANDIDATES)[0])


def largest_that_fits(peaks_bytes: Sequence[int], limit_bytes: Integers) -> NDArray[np.int8]:
    """Return the size that each phone takes `[device]`, an index into `peaks_bytes`, from large to small.

    `limit_bytes` `[device]` is the memory that the feature may use. A phone that fits none takes the last.
    """
    fits = limit_bytes[:, None] >= np.asarray(peaks_bytes)
    return np.where(fits.any(axis=1), fits.argmax(axis=1), len(peaks_bytes) - 1).astype(np.int8)


def expected_shares(
    peaks_bytes: Sequence[int], profiles: Sequence[DeviceProfile], budget_bytes: int
) -> tuple[float, ...]:
    """Return the share of the fleet of `profiles` that takes each size, adding up to 1: a public number.

    It is the expectation of `largest_that_fits`, by the distributions of free memory.
    """
    reached, shares = 0.0, []
    for peak in peaks_bytes[:-1]:
        holding = sum(each.share * _holding(each, peak) for each in profiles) if peak <= budget_bytes else 0.0
        shares.append(holding - reached)
        reached = holding
    return (*shares, 1.0 - reached)


def _holding(profile: DeviceProfile, peak: int) -> float:
    """Return the chance that a phone of `profile` has `peak` bytes for the feature."""
    memory = profile.free_memory
    if peak > profile.ram_bytes:
        return 0.0
    return float(ndtr(np.log(memory.p50_bytes / peak) / memory.sigma))


def by_size(size: NDArray[np.integer], sizes: int) -> Iterator[tuple[int, Integers]]:
    """Yield each of `sizes` sizes with the places of `size` [n] that have it, none of them too."""
    for number in range(sizes):
        yield number, np.flatnonzero(size == number)
