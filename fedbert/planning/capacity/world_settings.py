"""Flags of ``fedbert capacity`` for a fleet over several zones, weekdays, days, stages, links and sizes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fedbert.errors import invalid
from fedbert.planning.capacity.world import (
    World,
    factor_on,
    parse_factors,
    parse_sizes,
    parse_stages,
    parse_zones,
)
from fedbert.settings import Settings

if TYPE_CHECKING:
    from fedbert.planning.capacity.base_run import BaseRun

OF_A_STEADY_PLAN = (
    "time_zones",
    "weekday_factors",
    "days",
    "growth_percent_per_month",
    "stages",
    "halt_after_stage",
    "roll_back_after_stage",
    "metered_share",
)
"""Settings that the run's own schedule has no place for."""

_STOPS = ("halt_after_stage", "roll_back_after_stage")

_PARSED: dict[str, Callable[[Any], Any]] = {
    "time_zones": parse_zones,
    "weekday_factors": parse_factors,
    "stages": parse_stages,
    "release_bytes_of": parse_sizes,
}
"""How a text is read: for its rule when it is given, for its content in the plan."""


class WorldSettings(Settings):
    """What is said of a fleet beyond its size; nothing of it by default."""

    time_zones: str | None = Field(
        default=None,
        description="UTC offset in hours:share of the phones, as in 0:0.5,-5:0.3,9:0.2; hours of the plan "
        "are then UTC; default: one zone, whose hours they are",
        json_schema_extra={"metavar": "ZONES"},
    )
    weekday_factors: str | None = Field(
        default=None,
        description="seven numbers of mean 1, Monday to Sunday: eligible and unmetered phones and reports "
        "over those of a mean day; default: equal days, as in the run",
        json_schema_extra={"metavar": "FACTORS"},
    )
    days: int | None = Field(
        default=None, ge=1, le=3_650, description="days to plan for, with totals; default: a mean day alone"
    )
    growth_percent_per_month: float | None = Field(
        default=None, ge=0, le=100, description="growth of the fleet over the horizon; default 0"
    )
    stages: str | None = Field(
        default=None,
        description="share of the phones:hours until the next stage, as in 0.01:24,0.1:24,1; default: a "
        "release is offered to all at once",
        json_schema_extra={"metavar": "STAGES"},
    )
    halt_after_stage: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="a bad release is halted when this stage ends: who has it keeps it",
    )
    roll_back_after_stage: int | None = Field(
        default=None, ge=1, le=1_000, description="a bad release is rolled back when this stage ends"
    )
    metered_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the phones off Wi-Fi that fetch releases there, too; default: as in the run",
    )
    release_bytes_of: tuple[str, ...] = Field(
        default=(),
        description="size of a release for the phones of one tier, as in entry=900000, several after one "
        "flag each; default: one size",
        json_schema_extra={"metavar": "TIER=BYTES"},
    )

    @field_validator("release_bytes_of", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator(*_PARSED)
    @classmethod
    def _readable_text(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            _PARSED[str(info.field_name)](value)
        return value

    @model_validator(mode="after")
    def _stops_after_a_stage(self) -> Self:
        asked = {name: getattr(self, name) for name in _STOPS if getattr(self, name) is not None}
        if len(asked) > 1:
            raise ValueError(
                f"halt_after_stage(={self.halt_after_stage}) must be left out with roll_back_after_stage, "
                "which halts the release, too"
            )
        for name, stage in asked.items():
            if self.stages is None:
                raise ValueError(
                    f"{name}(={stage}) must have stages to be after; add --stages 0.01:24,0.1:24,1"
                )
            if stage >= (count := len(parse_stages(self.stages))):
                raise ValueError(
                    f"{name}(={stage}) must be < {count}, the last stage, in which the release is offered to "
                    "all; lower it"
                )
        if self.growth_percent_per_month is not None and self.days is None:
            raise ValueError(
                f"growth_percent_per_month(={self.growth_percent_per_month:g}) must have a horizon to grow "
                "over; add --days 365"
            )
        return self

    def growth_in_all(self) -> float:
        """Return the phones of the horizon's last day over those of the first."""
        return factor_on((self.days or 1) - 1, self.growth_percent_per_month or 0.0)

    def world(self, base: "BaseRun") -> World:
        """Return what is said of the fleet; raises FedbertError for what does not go with the run."""
        sizes = parse_sizes(self.release_bytes_of)
        tiers = [tier.name for tier in base.tiers]
        if strange := next((size.tier for size in sizes if size.tier not in tiers), None):
            raise invalid("release_bytes_of", strange, f"name a tier of the run: {', '.join(tiers)}")
        if self.metered_share is not None and base.metered.fetching:
            raise invalid(
                "metered_share",
                self.metered_share,
                "be left out from a run whose phones fetch on metered links already",
                "start from one with --metered never or uploads",
            )
        return World(
            zones=parse_zones(self.time_zones) if self.time_zones else (),
            weekday_factors=parse_factors(self.weekday_factors) if self.weekday_factors else (),
            stages=parse_stages(self.stages) if self.stages else (),
            halt_after_stage=self.halt_after_stage,
            roll_back_after_stage=self.roll_back_after_stage,
            days=self.days,
            growth_percent_per_month=self.growth_percent_per_month or 0.0,
            metered_share=self.metered_share or 0.0,
            tier_bytes=sizes,
        )
