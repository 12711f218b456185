"""The world of a plan as ``capacity.json`` has it: zones, weekdays, stages, growth, links and sizes."""

from dataclasses import asdict
from typing import cast

from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on only

from fedbert.planning.capacity.world import Stage, TierBytes, World, Zone


class ZoneRow(TypedDict):
    """A time zone (`fedbert.planning.capacity.world.Zone`)."""

    offset_hours: float
    share: float


class StageRow(TypedDict):
    """A stage of a roll-out (`fedbert.planning.capacity.world.Stage`)."""

    share: float
    hours: float | None


class TierBytesRow(TypedDict):
    """Size of a release for one tier (`fedbert.planning.capacity.world.TierBytes`)."""

    tier: str
    bytes: float


class WorldRow(TypedDict):
    """What a plan says of its fleet beyond its size (`fedbert.planning.capacity.world.World`)."""

    zones: list[ZoneRow]
    weekday_factors: list[float]
    stages: list[StageRow]
    halt_after_stage: int | None
    roll_back_after_stage: int | None
    days: int | None
    growth_percent_per_month: float
    metered_share: float
    tier_bytes: list[TierBytesRow]


def world_row(world: World) -> WorldRow:
    """Return what is written of a world."""
    return cast(WorldRow, asdict(world))


def world_in(row: WorldRow) -> World:
    """Return the world that `world_row` wrote."""
    return World(
        zones=tuple(Zone(**zone) for zone in row["zones"]),
        weekday_factors=tuple(row["weekday_factors"]),
        stages=tuple(Stage(**stage) for stage in row["stages"]),
        halt_after_stage=row["halt_after_stage"],
        roll_back_after_stage=row["roll_back_after_stage"],
        days=row["days"],
        growth_percent_per_month=row["growth_percent_per_month"],
        metered_share=row["metered_share"],
        tier_bytes=tuple(TierBytes(**each) for each in row["tier_bytes"]),
    )
