"""The epsilon of any mechanism's event, by dp-accounting; what it cannot account for is refused by type."""

import math
from typing import TYPE_CHECKING

from fedbert.errors import FedbertError

if TYPE_CHECKING:
    from dp_accounting import DpEvent


def epsilon_of(event: "DpEvent", delta: float) -> float:
    """Return epsilon at `delta` (0 < delta < 1) of adding or removing one device; inf for no privacy.

    Composed as a privacy loss distribution. Raises FedbertError that names the type of an event, or of a part
    of one, for which no accountant stands behind the figure.
    """
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    if isinstance(event, dp_accounting.NonPrivateDpEvent):
        return math.inf
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    try:
        accountant.compose(event)
    except dp_accounting.UnsupportedEventError as error:
        raise FedbertError(
            f"mechanism: no accountant covers {_innermost(event)} ({_reason(error)}); "
            "describe it by other events"
        ) from None
    return float(accountant.get_epsilon(delta))


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
