"""What was measured at a noise: interpolation between arms of a frontier, never beyond them."""

import math
from collections.abc import Callable, Sequence

from fedbert.planning.budget.plan import FreeFleet, MeasuredArm, Reading
from fedbert.planning.tradeoff.paired import verdict

Figure = Callable[[MeasuredArm], tuple[float, float, float]]
"""Which difference of an arm is read: value, low, high."""

LARGEST_FLEET = 10**10
"""More phones than there are people: a fleet beyond it is no answer."""

CALIBRATION_SLACK = 2e-3
"""Two noises that differ by so much (relative) are of one budget: each is found to a thousandth."""


def read(arms: Sequence[MeasuredArm], noise: float | None, figure: Figure) -> Reading:
    """Return a difference at `noise`, linear in it between the two nearest of one mechanism's `arms`.

    The interval is that of both together: from the lower low to the higher high. Outside of what was measured
    there is no value, but why.
    """
    known = sorted((arm for arm in arms if not math.isnan(figure(arm)[0])), key=lambda arm: arm.noise)
    if not known:
        return Reading(why="no private arm of this signal and mechanism")
    if noise is None:
        return Reading(why="nothing is opened by the end of the frontier's runs")
    for end in (known[0], known[-1]):
        noise = end.noise if abs(noise - end.noise) <= CALIBRATION_SLACK * end.noise else noise
    if not known[0].noise <= noise <= known[-1].noise:
        side, end = ("less", known[0]) if noise < known[0].noise else ("more", known[-1])
        return Reading(why=f"{side} noise than any arm ({noise:.3g}, measured {_said(end, figure)})")
    above = next(arm for arm in known if arm.noise >= noise)
    below = [arm for arm in known if arm.noise <= noise][-1]
    lows, highs = zip(*(figure(arm)[1:] for arm in (below, above)), strict=True)
    width = above.noise - below.noise
    part = (noise - below.noise) / width if width else 0.0
    value = figure(below)[0] + part * (figure(above)[0] - figure(below)[0])
    seeds = min(below.seeds, above.seeds)
    return Reading(value, _known(min(lows), lows), _known(max(highs), highs), seeds)


def _known(end: float, ends: Sequence[float]) -> float | None:
    return None if any(math.isnan(each) for each in ends) else end


def _said(arm: MeasuredArm, figure: Figure) -> str:
    return f"{figure(arm)[0]:+.3f} nDCG@10 at {arm.noise:.3g}"


def free_arm(arms: Sequence[MeasuredArm]) -> MeasuredArm | str:
    """Return the arm with the most noise that costs nothing its seeds resolve, as none with less noise does.

    Without one, the reason.
    """
    known = sorted((arm for arm in arms if not math.isnan(arm.loss[0])), key=lambda arm: arm.noise)
    if not known:
        return "no private arm of this signal and mechanism"
    if any(math.isnan(end) for arm in known for end in arm.loss):
        return "one seed resolves nothing; add --seeds 3 to the grid"
    found: MeasuredArm | None = None
    for arm in known:
        if verdict(*arm.loss) == "less":
            break
        found = arm
    if found is None:
        least = known[0]
        return f"even the least noise measured is resolved: {_said(least, lambda each: each.loss)}"
    return found


def free_fleet(
    arms: Sequence[MeasuredArm], noise_of: Callable[[int], float | None], start: int, most: int
) -> FreeFleet:
    """Return the smallest fleet whose noise of the mean is no more than that of `free_arm`.

    It is never smaller than the phones that were run.

    Args:
        arms: those of one signal and mechanism.
        noise_of: noise of the mean of a fleet of so many devices; falls as it grows.
        start: any fleet, from which the search begins.
        most: the largest fleet that the plan's delta allows.
    """
    arm = free_arm(arms)
    if isinstance(arm, str):
        return FreeFleet(why=arm)
    devices, most = start, min(most, LARGEST_FLEET)
    # Noise falls almost as one over the fleet, but for delta, which may fall with it: a few steps do.
    for _ in range(20):
        noise = noise_of(devices)
        if noise is None:
            return FreeFleet(why="nothing is opened by the end of the frontier's runs")
        wanted = max(1, math.ceil(devices * noise / arm.noise))
        if wanted > most:
            return FreeFleet(why=f"more than {most:,} phones")
        if abs(wanted - devices) <= 1e-3 * devices:
            devices = max(wanted, devices)
            break
        devices = wanted
    # Fewer phones than were run would teach less, which no arm says anything of.
    return FreeFleet(max(devices, arm.devices), *arm.loss, seeds=arm.seeds)
