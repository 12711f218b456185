"""The selection `by-tier`: a rate for each device tier.

Without rates of the user's own each tier is asked as often as the rarest one in the fleet: of a third each
the sums then hold as much of flagships as of entry phones, as far as their phones are equally available.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fedbert.selection.selection import Known, Reveals, SelectionSettings


@dataclass(frozen=True)
class ByTier:
    """Phones are kept at the rate of their tier; see `Selection`."""

    rates: tuple[float, ...]
    """[tier] from 0 to 1."""
    name: str = "by-tier"
    reveals: ClassVar[Reveals] = "public"
    looks_at: str = "the tier of a phone"

    @classmethod
    def make(cls, settings: SelectionSettings) -> Self:
        """Return it with the user's rates, or with those that balance the tiers of the fleet."""
        return cls(settings.tier_rates or balanced(settings.tier_shares))

    def chances(self, known: Known) -> NDArray[np.float64]:
        """Return the rate of each device's tier `[device]`."""
        return np.array(self.rates)[known.tier]


def balanced(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the rates `[tier]` that make as many of each tier, by their `shares` of the fleet.

    The rarest tier has rate 1; one that the fleet lacks has it too.
    """
    least = min(share for share in shares if share > 0)
    return tuple(least / share if share > 0 else 1.0 for share in shares)
