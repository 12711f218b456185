"""What a back-test is asked for: the flags of ``fedbert capacity backtest``."""

import re
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from fedbert.settings import Settings

LEAST_DEVICES, MOST_DEVICES = 100, 10_000_000
MOST_SEEDS = 100


class BacktestSettings(Settings):
    """The small run that forecasts, and the large ones that are simulated to check it."""

    small: int = Field(
        default=3_000,
        ge=LEAST_DEVICES,
        le=MOST_DEVICES,
        description="phones of the run that the forecast starts from",
    )
    large: tuple[int, ...] = Field(
        default=(30_000, 100_000),
        description="phones of the fleets that are forecast and simulated, several after one flag",
        json_schema_extra={"metavar": "N..."},
    )
    seeds: int = Field(
        default=1, ge=1, le=MOST_SEEDS, description="pairs of a small and a large run, each of other seeds"
    )
    model_spread: float = Field(
        default=0.2,
        ge=0,
        le=10,
        description="95 % spread of modelled odds and costs in the wider intervals, which are not tested",
    )
    rounds: int = Field(default=24, ge=2, le=1_000, description="rounds of every run, two hours each")
    output: Path | None = Field(default=None, description="folder; default runs/backtest-<small>")
    overwrite: bool = Field(default=False, description="replace an earlier back-test there")

    @field_validator("large", mode="before")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str | int) else value
        words = [word for text in texts for word in re.split(r"[,\s]+", str(text)) if word]
        if not words or not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
            raise ValueError("whole numbers of phones, as in --large 30000 100000")
        return tuple(sorted({int(word) for word in words}))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for devices in self.large:
            if not self.small < devices <= MOST_DEVICES:
                raise ValueError(
                    f"large(={devices}) must be > small (= {self.small}) and <= {MOST_DEVICES}; choose a "
                    "larger fleet"
                )
        return self
