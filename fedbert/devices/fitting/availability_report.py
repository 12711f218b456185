"""The published shapes of availability beside the model's: figures, and the tables of docs/devices.md."""

from typing import NamedTuple

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import availability, hourly_shares, interruption_causes
from fedbert.devices.fitting.participation import SESSIONS, SessionParameters, round_endings
from fedbert.devices.fleet import Floats
from fedbert.devices.habits import PARAMETERS, Parameters

TOP = 0.3
ROUND_HOURS = 2.0
_SECOND_DAY = 13
_ROUNDS_PER_DAY = 12


class Shapes(NamedTuple):
    """What of the model has been published of real fleets."""

    eligible: float  # mean over the day
    swing: float  # most over least eligible hour
    peak_hour: int
    top_share: float  # of the eligible rounds, done by the top 30 % of devices
    hours: dict[str, Floats]  # {state: [24]}


def shapes(
    parameters: Parameters = PARAMETERS, devices: int = 20_000, days: int = 7, seed: int = 0
) -> Shapes:
    """Return the shapes of a fleet of `devices` over `days` of 2-hour rounds."""
    hours = hourly_shares(seed=seed, devices=devices, parameters=parameters)
    sample, work = DeviceRange(seed, 0, devices), np.zeros(devices, np.int64)
    for round_ in range(_SECOND_DAY, _SECOND_DAY + _ROUNDS_PER_DAY * days):
        work += availability(sample, ROUND_HOURS, round_, parameters=parameters).eligible
    eligible = hours["eligible"]
    return Shapes(
        eligible=float(eligible.mean()),
        swing=float(eligible.max() / eligible.min()),
        peak_hour=int(eligible.argmax()),
        top_share=float(np.sort(work)[-round(TOP * devices) :].sum() / work.sum()),
        hours=hours,
    )


def availability_table(
    parameters: Parameters = PARAMETERS, sessions: SessionParameters = SESSIONS, devices: int = 20_000
) -> list[str]:
    """Return the published shapes beside those of the model, and the states by local hour: Markdown lines."""
    found = shapes(parameters, devices)
    sample = DeviceRange(0, 0, devices)
    causes = [interruption_causes(sample, round_, parameters=parameters) for round_ in range(1, 31)]
    ends = round_endings(parameters=sessions)
    low, high = np.quantile(ends.closed_s / 60, [0.1, 0.9])
    lines = [
        "| shape | published | here |",
        "|---|---|---|",
        f"| eligible under strict rules, mean over the day | 22 % (FLINT) | {found.eligible:.1%} |",
        f"| most over least eligible hour | 4 (Bonawitz et al.) | {found.swing:.1f} |",
        f"| work done by the top 30 % of devices in a week | 86 % (FLASH) | {found.top_share:.0%} |",
        f"| drop out of a round | 6-10 % (Bonawitz et al.) | {np.mean([c.dropped for c in causes]):.1%} |",
        f"| fail for any cause | over 10 % (FLASH) | {np.mean([c.dropped | c.late for c in causes]):.1%} |",
        f"| sessions done, 130 % selected | 75 % (Bonawitz et al.) | {ends.done:.1%} |",
        f"| sessions rejected as late | 22 % (Bonawitz et al.) | {ends.late:.1%} |",
        f"| sessions interrupted | 2 % (Bonawitz et al.) | {ends.interrupted:.1%} |",
        f"| length of a round, tenth and ninetieth percentile | 2-3 min (Bonawitz et al.) "
        f"| {low:.1f}-{high:.1f} min |",
        "",
        "| local hour | in use | idle | charging | unmetered | eligible |",
        "|---|---|---|---|---|---|",
    ]
    for hour in range(0, 24, 2):
        idle, *others = (found.hours[name][hour] for name in ("idle", "charging", "unmetered", "eligible"))
        row = " | ".join(f"{share:.0%}" for share in (1 - idle, idle, *others))
        lines.append(f"| {hour:02d}-{hour + 1:02d} | {row} |")
    return lines
