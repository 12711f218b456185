"""What a trade-off grid is asked for, beside the scenario that its cells share."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from fedbert.planning.tradeoff.epsilons import parse_epsilons
from fedbert.settings import Settings

MAX_SEEDS = 1_000

COMPARED = ("daily", "poisson")
"""Mechanisms of a grid whose scenario names none: the default, whose bound holds when participation is seen,
and the one that counts on its not being seen."""


class GridSettings(Settings):
    """The arms and seeds of a grid, and how it is computed."""

    epsilons: tuple[float | None, ...] = Field(
        default=(1.0, 2.0, 8.0, None),
        description="privacy budgets, several after one flag; 'none' is not private",
        json_schema_extra={"metavar": "EPSILON..."},
    )
    signals: tuple[str, ...] = Field(
        default=(),
        description="what devices send, several after one flag; default: the scenario's own",
        json_schema_extra={"metavar": "NAME..."},
    )
    mechanisms: tuple[str, ...] = Field(
        default=(),
        description="how sums are made private, several after one flag; default: the scenario's own if it "
        f"names one, else {' '.join(COMPARED)}",
        json_schema_extra={"metavar": "NAME..."},
    )
    seeds: int = Field(
        default=3, ge=1, le=MAX_SEEDS, description="runs per arm: the first seed and those after it"
    )
    jobs: int | None = Field(default=None, ge=1, description="runs at a time; default: one per core")
    output: Path | None = Field(
        default=None, description="folder, taken up again if stopped; default runs/tradeoff-<world>-<devices>"
    )
    overwrite: bool = Field(default=False, description="drop the finished cells there")

    @field_validator("signals", "mechanisms", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        return tuple(dict.fromkeys(word for text in texts for word in re.split(r"[,\s]+", text) if word))

    @field_validator("epsilons", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        return parse_epsilons(["none" if each is None else str(each) for each in texts])
