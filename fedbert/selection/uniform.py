"""The selection `uniform`: the mechanism's coins alone."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fedbert.selection.selection import Known, Reveals, SelectionSettings


@dataclass(frozen=True)
class Uniform:
    """Every phone that the mechanism lets join is asked; see `Selection`."""

    name: str = "uniform"
    reveals: ClassVar[Reveals] = "nothing"
    looks_at: str = "nothing"

    @classmethod
    def make(cls, settings: SelectionSettings) -> Self:
        """Return the one that there is."""
        return cls()

    def chances(self, known: Known) -> NDArray[np.float64]:
        """Return ones `[device]`."""
        return np.ones(len(known.tier))
