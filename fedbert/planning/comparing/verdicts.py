"""Whether a difference is an effect or chance, from the seeds or intervals behind it.

Runs of one seed share users, tastes and sessions, so differences are paired by seed: the mean with Student's
t interval. Seeds that are not shared give Welch's interval (Welch 1947, "The generalization of Student's
problem"). Of one run against one, only the intervals of the two runs are known: they are joined as if
independent (Zou and Donner 2008, "Construction of confidence limits about effect measures"), and what another
seed would change is in neither.

Many figures are looked at together, and of those that do not differ one in twenty leaves out 0 at 95 %. An
effect is what is left after Holm's correction (1979, "A simple sequentially rejective multiple test
procedure").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fedbert.evidence import Known
from fedbert.intervals import LEVEL, Array

Method = Literal["paired", "unpaired", "one run each", "same run", "none"]
"""How the interval came about: seeds in pairs, seeds that are not shared, the two runs' own intervals, those
of two forecasts from one run, or not at all."""

Verdict = Literal["effect", "unsure", "chance", "one seed", "no interval", "exact", "equal", "missing"]

MEANINGS: dict[Verdict, str] = {
    "effect": "the 95% interval leaves out 0, and does so after Holm's correction for all figures looked at; "
    "of two forecasts from one run, both intervals together leave out 0",
    "unsure": "the 95% interval leaves out 0, but among so many figures one may do so by chance",
    "chance": "the 95% interval holds 0: the difference is not told from chance, which does not prove that "
    "there is none",
    "one seed": "more than the sessions of the two runs explain; with one run each, what another seed would "
    "change is not known, so it is no effect yet",
    "no interval": "one run each, or a figure of the machine: nothing says how much of it is chance",
    "exact": "follows from the settings without chance: a size, or a proved bound",
    "equal": "the same to the last digit in every pair",
    "missing": "one side does not have it",
}
"""What each verdict promises, and no more."""

_SAME = 1e-12
"""Differences whose spread is below this share of their mean are one number, apart from rounding."""


@dataclass(frozen=True)
class Difference:
    """One figure of a variant minus that of the reference, in the figure's unit; None where not known.

    `p_value` is that of the test which belongs to the interval; None where there is none. `seeds` are the
    pairs or, unpaired, the runs of the side that has fewer. `why` says why something is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    seeds: int
    method: Method
    verdict: Verdict
    why: str = ""


def missing(why: str) -> Difference:
    """Return that there is no difference, and why."""
    return Difference(None, None, None, None, 0, "none", "missing", why)


def without_interval(value: float, seeds: int, why: str) -> Difference:
    """Return a difference of which nothing says how much is chance."""
    verdict: Verdict = "no interval" if value else "equal"
    return Difference(value, None, None, None, seeds, "none", verdict, "" if verdict == "equal" else why)


def exact(differences: Array) -> Difference | None:
    """Return the difference of a figure without chance from `[pair]`; None if its pairs do not agree."""
    value = float(differences[0])
    if not _constant(differences):
        return None
    return Difference(value, None, None, None, len(differences), "none", "exact" if value else "equal")


def _constant(values: Array) -> bool:
    return bool(np.ptp(values) <= _SAME * np.abs(values).max())


def paired(differences: Array) -> Difference:
    """Return the mean of `differences` `[seed]`, two or more, with Student's t interval.

    Where all seeds differ by the same there is no spread to make an interval of: the p-value is that of the
    sign test, 2^(1 - n).
    """
    count, value = len(differences), float(np.mean(differences))
    if _constant(differences):
        if not differences[0]:
            return Difference(0.0, None, None, None, count, "paired", "equal")
        why = "every seed differs by the same: a sign test, no interval"
        return _judged(
            Difference(value, None, None, 2.0 ** (1 - count), count, "paired", "chance", why), LEVEL
        )
    from scipy import stats

    found = stats.ttest_1samp(differences, 0.0)
    low, high = found.confidence_interval(LEVEL)
    made = Difference(value, float(low), float(high), float(found.pvalue), count, "paired", "chance")
    return _judged(made, LEVEL)


def unpaired(other: Array, reference: Array) -> Difference:
    """Return the difference of the means of `[run]` each, two or more, with Welch's interval."""
    value, count = float(np.mean(other) - np.mean(reference)), min(len(other), len(reference))
    if _constant(other) and _constant(reference):
        return without_interval(value, count, "no side has any spread to make an interval of")
    from scipy import stats

    found = stats.ttest_ind(other, reference, equal_var=False)
    low, high = found.confidence_interval(LEVEL)
    made = Difference(value, float(low), float(high), float(found.pvalue), count, "unpaired", "chance")
    return _judged(made, LEVEL)


def of_one(other: Known, reference: Known, method: Method, beyond: Verdict) -> Difference:
    """Return the difference of two figures with intervals of their own, taken as independent.

    Figures that share sessions differ by less than that, so the interval is rather too wide. `beyond` is the
    verdict where it leaves out 0.
    """
    value = other.value - reference.value
    ends = (other.low, other.high, reference.low, reference.high)
    if any(end is None for end in ends) or not value:
        return without_interval(value, 1, "one run each, and the figure has no interval of its own")
    low, high, reference_low, reference_high = (float(end) for end in ends if end is not None)
    below = math.hypot(other.value - low, reference_high - reference.value)
    above = math.hypot(high - other.value, reference.value - reference_low)
    held = value - below <= 0 <= value + above
    verdict: Verdict = "chance" if held else beyond
    return Difference(value, value - below, value + above, None, 1, method, verdict)


def _judged(difference: Difference, level: float) -> Difference:
    assert difference.p_value is not None
    return replace(difference, verdict="unsure" if difference.p_value < 1 - level else "chance")


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which of `p_values` hold together: at most 1 - `level` of families have a false one."""
    held = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        if p_values[index] * (len(p_values) - place) >= 1 - level:
            break
        held[index] = True
    return held


def judged_together(differences: Sequence[Difference]) -> list[Difference]:
    """Return `differences` with "effect" for those that hold after Holm's correction for all of them."""
    tested = [index for index, each in enumerate(differences) if each.p_value is not None]
    kept = holm([p for index in tested if (p := differences[index].p_value) is not None])
    found = list(differences)
    for index, effect in zip(tested, kept, strict=True):
        if effect:
            found[index] = replace(found[index], verdict="effect")
    return found
