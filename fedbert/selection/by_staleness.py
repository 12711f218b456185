"""The selection `by-staleness`: the older a phone's release, the likelier the phone is asked.

A phone that has what it should is kept at a rate of 1/2, one release behind at 3/4, two at 7/8, and so on.
Which release a phone has follows from the downloads that it was served, which any server sees.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fedbert.selection.selection import Known, Reveals, SelectionSettings


@dataclass(frozen=True)
class ByStaleness:
    """Phones are kept with 1 - 2^-(1 + releases behind); see `Selection`."""

    name: str = "by-staleness"
    reveals: ClassVar[Reveals] = "public"
    looks_at: str = "the release that a phone has"

    @classmethod
    def make(cls, settings: SelectionSettings) -> Self:
        """Return the one that there is."""
        return cls()

    def chances(self, known: Known) -> NDArray[np.float64]:
        """Return 1 - 2^-(1 + releases behind) `[device]`."""
        return np.asarray(1.0 - 0.5 ** (1.0 + known.behind), np.float64)
