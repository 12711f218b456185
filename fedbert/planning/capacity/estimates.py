"""Arithmetic of estimates whose ends move together: a sum's interval is the sum of its parts' ends."""

from collections.abc import Callable, Iterable

from fedbert.intervals import Estimate


def mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """Return a function that never falls, of an estimate; one without an interval has its value as ends."""
    value = estimate.value
    low = value if estimate.low is None else estimate.low
    high = value if estimate.high is None else estimate.high
    return Estimate(function(value), function(low), function(high))


def times(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate times a factor of 0 or more."""
    return mapped(estimate, lambda each: each * factor)


def added(parts: Iterable[Estimate]) -> Estimate:
    """Return the sum of estimates, as wide as if they moved as one."""
    found = [times(part, 1.0) for part in parts]
    return Estimate(
        sum(part.value for part in found),
        sum(part.low or 0.0 for part in found),
        sum(part.high or 0.0 for part in found),
    )
