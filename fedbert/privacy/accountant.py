"""The epsilon of any mechanism's event, by dp-accounting; what it cannot account for is refused by type."""

import math
from typing import TYPE_CHECKING

from fedbert.errors import FedbertError
from fedbert.privacy.allocation import allocation_epsilon
from fedbert.privacy.curves import LEAST_LOSS_DELTA, gaussian_epsilon

if TYPE_CHECKING:
    from dp_accounting import DpEvent

# Steps of the loss. The fine ones cost as much as they are finer, so they are for few and small losses.
_INTERVAL, _FINE_INTERVAL = 1e-4, 1e-5
_SMALL_EPSILON = 0.02


def epsilon_of(event: "DpEvent", delta: float) -> float:
    """Return epsilon at `delta` (0 < delta < 1) of adding or removing one device; inf for no privacy.

    Composed as a privacy loss distribution, on a finer grid for a small epsilon; by Renyi divergences at a
    delta that it does not resolve, and for what is described by divergences alone (zCDP). Raises
    FedbertError that names the type of an event, or of a part of one, for which no accountant stands behind
    the figure.
    """
    import dp_accounting
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    if isinstance(event, dp_accounting.NonPrivateDpEvent):
        return math.inf
    relation = dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE

    def by_loss(interval: float) -> float:
        accountant = PLDAccountant(relation, value_discretization_interval=interval)
        accountant.compose(event)
        return float(accountant.get_epsilon(delta)) if delta >= LEAST_LOSS_DELTA else math.inf

    allocated = _allocation(event, delta)
    if allocated is not None:
        return allocated
    divergences = RdpAccountant(neighboring_relation=relation)
    found = math.inf
    try:
        found = by_loss(_INTERVAL)
        if found < _SMALL_EPSILON:
            found = min(found, by_loss(_FINE_INTERVAL))
    except dp_accounting.UnsupportedEventError as error:
        if not divergences.supports(event):
            raise FedbertError(
                f"mechanism: no accountant covers {_innermost(event)} ({_reason(error)}); "
                "describe it by other events"
            ) from None
    if math.isinf(found) and divergences.supports(event):
        found = float(divergences.compose(event).get_epsilon(delta))
    return found


def _allocation(event: "DpEvent", delta: float) -> float | None:
    """Return epsilon of days of one Gaussian in a random round each; None for any other event."""
    from dp_accounting import GaussianDpEvent, SelfComposedDpEvent

    from fedbert.privacy.allocation_event import RandomAllocationDpEvent

    if not (isinstance(event, SelfComposedDpEvent) and isinstance(event.event, RandomAllocationDpEvent)):
        return None
    inner = event.event.event
    if not isinstance(inner, GaussianDpEvent) or event.count == 0:
        return None
    z, days = inner.noise_multiplier, event.count
    return min(
        allocation_epsilon(z, event.event.slots, days, delta), gaussian_epsilon(z / math.sqrt(days), delta)
    )


def _innermost(event: "DpEvent") -> str:
    """Return the names of the event's types, outermost first."""
    names = [type(event).__name__]
    inner = getattr(event, "event", None)
    while inner is not None:
        names.append(type(inner).__name__)
        inner = getattr(inner, "event", None)
    return " of ".join(names)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__
