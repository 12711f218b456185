"""Whether a mechanism's event is made of Gaussians only, so that its trade-off may be taken for a Gaussian's.

A sampled Gaussian is not quite one. Through the same (epsilon, delta) its chances lie below those of the
Gaussian for every smaller epsilon, so that a bound for Gaussians asks less of it than it keeps
(`tests/privacy/test_audit_bounds.py` holds it against the loss distribution).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dp_accounting import DpEvent


def is_gaussian(event: "DpEvent", seen: bool = False) -> bool:
    """Return whether `event` composes and samples Gaussian events alone.

    Random allocation is no Gaussian, but to one who has `seen` in which round a device was: each is one then.
    """
    import dp_accounting

    from fedbert.privacy.allocation_event import RandomAllocationDpEvent

    if isinstance(event, dp_accounting.GaussianDpEvent):
        return True
    if isinstance(event, dp_accounting.ComposedDpEvent):
        return all(is_gaussian(part, seen) for part in event.events)
    if isinstance(event, dp_accounting.SelfComposedDpEvent | dp_accounting.PoissonSampledDpEvent):
        return is_gaussian(event.event, seen)
    if isinstance(event, RandomAllocationDpEvent):
        return seen and is_gaussian(event.event, seen)
    return False
