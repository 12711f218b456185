"""How a planned fleet differs from one of equal days, in one time zone, that is offered a release at once.

A `World` is what `fedbert capacity` was asked for; without any of it the plan is that of the plain fleet.
Hours of a plan with time zones are of the server's clock, which is UTC.
"""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

DAYS_PER_MONTH = 365.0 / 12.0

LEAST_OFFSET_HOURS, MOST_OFFSET_HOURS = -12.0, 14.0
"""Offsets from UTC that clocks on earth have; all are whole quarters of an hour."""

LEAST_STAGE_HOURS, MOST_STAGED_HOURS = 0.25, 336.0
"""The shortest stage, and all stages together: two weeks."""

_SUM_SLACK = 1e-6

ZONES_RULE = (
    "offsets from UTC in hours and shares of the phones, as in 0:0.5,-5:0.3,9:0.2: offsets from -12 to 14 in "
    "quarters of an hour, each once, shares above 0 that sum to 1"
)
FACTORS_RULE = (
    "seven numbers above 0 and at most 7, Monday to Sunday, as in 1.1,1,1,1,1,0.95,0.95: their mean is 1"
)
STAGES_RULE = (
    "shares of the phones and hours until the next stage, as in 0.01:24,0.1:24,1: shares that grow to 1, "
    "hours of 0.25 at least and 336 together, none after the last"
)
SIZES_RULE = "TIER=BYTES, each tier once, with bytes above 0 and at most 1e12"


@dataclass(frozen=True)
class Zone:
    """A time zone: how far its clocks are ahead of UTC, and the share of the phones in it."""

    offset_hours: float
    share: float


@dataclass(frozen=True)
class Stage:
    """A stage of a roll-out: who is offered the release from it on, and how long until the next."""

    share: float  # of the phones, those of earlier stages included
    hours: float | None  # None: the last


@dataclass(frozen=True)
class TierBytes:
    """Size of a release as phones of one tier download it."""

    tier: str
    bytes: float


@dataclass(frozen=True)
class World:
    """What a plan says of the fleet beyond its size; the default says nothing."""

    zones: tuple[Zone, ...] = ()  # none: one, whose local hours are the plan's
    weekday_factors: tuple[float, ...] = ()  # Monday to Sunday, mean 1; none: equal days
    stages: tuple[Stage, ...] = ()  # none: one
    halt_after_stage: int | None = None  # from 1
    roll_back_after_stage: int | None = None
    days: int | None = None  # of the horizon; None: a mean day alone
    growth_percent_per_month: float = 0.0
    metered_share: float = 0.0  # of the phones off Wi-Fi, those that fetch there, too
    tier_bytes: tuple[TierBytes, ...] = ()  # none: one size

    @property
    def days_differ(self) -> bool:
        """Whether hours are those of a week instead of a day."""
        return bool(self.weekday_factors)

    @property
    def stage_hours(self) -> tuple[float, ...]:
        """Hours from the release to the beginning of each stage; of one stage if there are none."""
        begins = [0.0]
        for stage in self.stages[:-1]:
            begins.append(begins[-1] + (stage.hours or 0.0))
        return tuple(begins)


PLAIN = World()


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Return the zones that `text` names; raises ValueError with the rule."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        zones = tuple(Zone(_number(offset), _number(share)) for offset, share in pairs)
    except ValueError:
        raise ValueError(ZONES_RULE) from None
    offsets = [zone.offset_hours for zone in zones]
    right = (
        all(LEAST_OFFSET_HOURS <= offset <= MOST_OFFSET_HOURS for offset in offsets)
        and all((4 * offset).is_integer() for offset in offsets)
        and len(set(offsets)) == len(offsets)
        and all(zone.share > 0 for zone in zones)
        and abs(sum(zone.share for zone in zones) - 1) <= _SUM_SLACK
    )
    if not right:
        raise ValueError(ZONES_RULE)
    return zones


def parse_factors(text: str) -> tuple[float, ...]:
    """Return the seven factors of `text`; raises ValueError with the rule."""
    try:
        factors = tuple(_number(part) for part in text.split(","))
    except ValueError:
        raise ValueError(FACTORS_RULE) from None
    days = len(WEEKDAYS)
    if (
        len(factors) != days
        or not all(0 < factor <= days for factor in factors)
        or abs(sum(factors) / days - 1) > _SUM_SLACK
    ):
        raise ValueError(FACTORS_RULE)
    return factors


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Return the stages of `text`; raises ValueError with the rule."""
    *earlier, last = (part.split(":") for part in text.split(","))
    try:
        (whole,) = last
        stages = (
            *(Stage(_number(share), _number(hours)) for share, hours in earlier),
            Stage(_number(whole), None),
        )
    except ValueError:
        raise ValueError(STAGES_RULE) from None
    hours = [stage.hours for stage in stages if stage.hours is not None]
    shares = [0.0, *(stage.share for stage in stages)]
    right = (
        all(low < high for low, high in pairwise(shares))
        and shares[-1] == 1
        and all(each >= LEAST_STAGE_HOURS for each in hours)
        and sum(hours) <= MOST_STAGED_HOURS
    )
    if not right:
        raise ValueError(STAGES_RULE)
    return stages


def parse_sizes(texts: tuple[str, ...]) -> tuple[TierBytes, ...]:
    """Return the sizes by tier that `texts` name; raises ValueError with the rule."""
    found = []
    for text in texts:
        match = re.fullmatch(r"([^=]+)=(.+)", text.strip())
        try:
            found.append(TierBytes(match[1].strip(), _number(match[2])) if match else None)
        except ValueError:
            raise ValueError(SIZES_RULE) from None
    sizes = tuple(size for size in found if size is not None)
    names = [size.tier for size in sizes]
    if (
        len(sizes) < len(texts)
        or len(set(names)) < len(names)
        or not all(0 < size.bytes <= 1e12 for size in sizes)
    ):
        raise ValueError(SIZES_RULE)
    return sizes


def factor_on(day: float, growth_percent_per_month: float) -> float:
    """Return the phones of a day, from 0, over those of the first."""
    return float((1 + growth_percent_per_month / 100) ** (day / DAYS_PER_MONTH))


def said_of_hours(world: World) -> str:
    """Return what to know of a plan's hours, as part of an assumption."""
    clock = "hours of the server's clock, UTC" if world.zones else "one time zone"
    return f"{clock}; a mean day of the week" if world.days_differ else clock
