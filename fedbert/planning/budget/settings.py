"""What a privacy plan is asked for: the flags of ``fedbert budget``."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from fedbert.budget import LARGEST_EPSILON, LONGEST_DAYS
from fedbert.parts import MECHANISMS
from fedbert.scenario import DEFAULTS
from fedbert.settings import Settings, folders_of
from fedbert.units import HOURS_PER_DAY

MAX_DEVICES = 10_000_000_000


class BudgetSettings(Settings):
    """The epsilon that may be spent, the fleet and its rounds, and what was measured before."""

    epsilon: float = Field(
        default=2.0, gt=0, le=LARGEST_EPSILON, description="privacy budget of all the days together"
    )
    days: int = Field(default=365, ge=1, le=LONGEST_DAYS, description="days that the budget is for")
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance the guarantee fails; default 1e-6 or less"
    )
    devices: int = Field(
        default=DEFAULTS.devices, ge=1, le=MAX_DEVICES, description="phones in the fleet to plan for"
    )
    round_hours: float | None = Field(
        default=None,
        gt=0,
        le=HOURS_PER_DAY,
        description="hours between two rounds; default: the frontier's, or 2",
    )
    sampling_probability: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="chance that a device joins a round, over-selection included; default: the frontier's, "
        "or 0.1",
    )
    release_every: int | None = Field(
        default=None, ge=1, description="rounds between two releases; default: the frontier's, or 3"
    )
    availability: Literal["default", "always"] | None = Field(
        default=None, description="when phones can take part; default: as in the frontier"
    )
    signal: str = Field(default=DEFAULTS.signal, description="the signal whose loss is read")
    mechanisms: tuple[str, ...] = Field(
        default=tuple(MECHANISMS),
        description="mechanisms to plan with, several after one flag; default: all",
        json_schema_extra={"metavar": "NAME..."},
    )
    frontiers: tuple[Path, ...] = Field(
        default=(),
        description="folder of a finished trade-off grid to read the loss from; can be given several times",
        json_schema_extra={"metavar": "PATH"},
    )
    output: Path | None = Field(
        default=None, description="folder for budget.json and report.html; default: none is written"
    )
    overwrite: bool = Field(default=False, description="replace an earlier plan there")

    @field_validator("mechanisms", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        names = tuple(
            dict.fromkeys(word for text in texts for word in re.split(r"[,\s]+", str(text)) if word)
        )
        if wrong := [name for name in names if name not in MECHANISMS]:
            raise ValueError(f"one of {', '.join(MECHANISMS)} (not {wrong[0]!r})")
        return names or tuple(MECHANISMS)

    @field_validator("frontiers", mode="before")
    @classmethod
    def _folders(cls, value: Any) -> Any:
        return folders_of(value)
