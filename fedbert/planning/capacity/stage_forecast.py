"""A staged roll-out: what each stage brings, and a release that is halted or rolled back after one."""

from dataclasses import dataclass

import numpy as np

from fedbert.intervals import Array, Estimate, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.fetch_fit import still_behind
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.rollout import (
    STEP_S,
    STEPS_PER_HOUR,
    Rollout,
    per_step,
    reached_by_group,
    roll_back,
    time_to_share,
)
from fedbert.planning.capacity.traffic_forecast import BEYOND_THE_RUN
from fedbert.units import BITS_PER_BYTE

BACK_SHARES = (0.5, 0.95)
"""Shares of those with a bad release, of which it is said when they have the former one again."""

_LONGEST, _TRIED = 600.0, 60_001
"""Exposures at which it is looked up how many have asked."""

_OFFERED = "plain arithmetic: the stage's share of the phones that fetch"
_HAVE = "phones of the stages so far fetch at the run's pace, under the cap"
_PEAK = f"{_HAVE}; busiest five minutes of the stage"
_STOPPED = (
    "whoever has the release when it is stopped keeps it, whoever waits for it gets nothing; phones of the "
    "stages so far fetch at the run's pace, under the cap"
)
_BACK = (
    "those with the release are offered the former one, of the same size, at once and fetch it as they "
    "fetched this one: they are the quicker phones; under the cap; for 7 days at least"
)


@dataclass(frozen=True)
class Stopped:
    """A release that is stopped: who has it by time."""

    stage: int
    hours: float  # since the release
    holding: Array  # [draw, step + 1] devices that have it, as `Rollout.reached`
    back: Rollout | None  # of those who had it, from then on; None: halted


def stopped(load: Load, release_hour: float, rollout: Rollout) -> Stopped | None:
    """Return what becomes of a release that the plan stops after a stage; None if it stops none."""
    world = load.plan.world
    stage = world.halt_after_stage or world.roll_back_after_stage
    if stage is None:
        return None
    hours = world.stage_hours[stage]
    at = round(hours * STEPS_PER_HOUR)
    had = rollout.reached[:, at : at + 1]
    after = rollout.reached.shape[1] - at - 1
    if world.halt_after_stage:
        holding = np.concatenate([rollout.reached[:, : at + 1], np.repeat(had, after, axis=1)], axis=1)
        return Stopped(stage, hours, holding, None)
    capacity = per_step(load.plan.release_bits_per_s, load.bytes_per_download)
    fetching = (capacity, load.draws.fetch_rate, load.draws.frailty, release_hour)
    by_group = reached_by_group(load.fetching, *fetching, hours, load.groups)
    end = hours + after / STEPS_PER_HOUR
    back = roll_back(by_group, *fetching, (hours, end), load.groups)
    holding = np.concatenate([rollout.reached[:, :at], had - back.reached], axis=1)
    return Stopped(stage, hours, np.maximum(holding, 0.0), back)


def stages(load: Load, rollout: Rollout, stop: Stopped | None) -> list[Forecast]:
    """Return phones, bytes and peak of each stage, and those of a release that is stopped."""
    world = load.plan.world
    if not world.stages:
        return []
    begins = [round(hours * STEPS_PER_HOUR) for hours in world.stage_hours]
    ends = [*begins[1:], rollout.served.shape[1]]
    rows = []
    for number, (stage, begin, end) in enumerate(zip(world.stages, begins, ends, strict=True), 1):
        offered = Estimate(load.fetching * stage.share, None, None)
        served = rollout.served[:, begin:end]
        last = "; until 7 days after it began" if stage.hours is None else ""
        rows += [
            Forecast(f"stage {number}: phones offered", "devices", offered, "modelled", _OFFERED),
            _row(f"stage {number}: phones at its end", "devices", rollout.reached[:, end], _HAVE + last),
            _row(f"stage {number}: egress", "bytes", _bytes(load, served.sum(axis=1)), _HAVE + last),
            _row(f"stage {number}: peak egress", "bit/s", _peak(load, served), _PEAK + last),
        ]
    return rows + (_stopped(load, stop) if stop else [])


def _stopped(load: Load, stop: Stopped) -> list[Forecast]:
    had = stop.holding[:, round(stop.hours * STEPS_PER_HOUR)]
    name = "roll-back" if stop.back else "halt"
    said = f"after stage {stop.stage}, {stop.hours:g} hours after the release: {_STOPPED}"
    rows = [
        _row(f"{name}: phones with the release", "devices", had, said),
        _row(f"{name}: egress until then", "bytes", _bytes(load, had), said),
    ]
    if stop.back is None:
        return rows
    served = stop.back.served
    return [
        *rows,
        _row("roll-back: egress of the former release", "bytes", _bytes(load, served.sum(axis=1)), _BACK),
        _row("roll-back: peak egress", "bit/s", _peak(load, served), _BACK),
        *(_back_to(load, stop, had, share) for share in BACK_SHARES),
    ]


def _back_to(load: Load, stop: Stopped, had: Array, share: float) -> Forecast:
    assert stop.back is not None
    name = f"roll-back: hours to {share:.0%} of them"
    needed, seen = _share_of_all(load, stop, share), load.base.seen_share
    if needed > seen:
        note = (
            f"{BEYOND_THE_RUN}: the exposure that brings a release to {100 * needed:.1f}%, and it reached "
            f"{100 * seen:.1f}% at most"
        )
        return Forecast(name, "hours", Estimate(np.nan, None, None), "modelled", _BACK, note=note)
    return _row(name, "hours", time_to_share(stop.back, had, share), _BACK)


def _share_of_all(load: Load, stop: Stopped, share: float) -> float:
    """Return what a release reaches of all phones in the exposure in which `share` ask for the former one.

    The best guess without a cap; exposures are what the run's fit rests on.
    """
    frailty = load.draws.frailty[0]
    rate = float(load.draws.fetch_rate[0].mean())
    past = rate * stop.hours
    exposure = np.linspace(0.0, _LONGEST, _TRIED)
    stay, later = still_behind(exposure, frailty), still_behind(past + exposure, frailty)
    asked = 1 - (stay - later) / (stay[0] - later[0])
    return float(1 - stay[min(int(np.searchsorted(asked, share)), len(stay) - 1)])


def _bytes(load: Load, devices: Array) -> Array:
    return np.asarray(devices * load.bytes_per_download)


def _peak(load: Load, served: Array) -> Array:
    return np.asarray(served.max(axis=1) / STEP_S * load.bytes_per_download * BITS_PER_BYTE)


def _row(name: str, unit: str, draws: Array, assumption: str) -> Forecast:
    return Forecast(name, unit, from_draws(draws), "modelled", assumption)
