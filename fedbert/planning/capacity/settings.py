"""What a capacity plan is asked for: the flags of ``fedbert capacity``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedbert.errors import FedbertError
from fedbert.planning.capacity.assumed import (
    CHECK_IN_BYTES,
    CONNECTION_BYTES,
    DOWNLOAD_S,
    RECORDS_DAYS,
    UTILISATION,
)
from fedbert.planning.capacity.goal_text import RULE, parse_goal
from fedbert.planning.capacity.world_settings import OF_A_STEADY_PLAN, WorldSettings
from fedbert.settings import folders_of

if TYPE_CHECKING:
    from fedbert.planning.capacity.base_run import BaseRun
    from fedbert.planning.capacity.capacity import Plan

MAX_DEVICES = 10_000_000_000
REPORTS_PER_ROUND = 10_000
"""Reports wanted in a round of a large fleet; a small one wants a hundredth of its devices."""


_FOUND = {"rounds-fill": "over_selection", "updated": "release_mbit_per_s", "epsilon": "rounds_per_day"}
"""The flag that each goal finds."""


class CapacitySettings(WorldSettings):
    """The large fleet that is planned for, and the run that the forecast starts from."""

    devices: int = Field(default=8_400_000, ge=1, le=MAX_DEVICES, description="phones to plan for")
    base: Path | None = Field(
        default=None, description="folder of a finished run; default: a run of 10000 devices"
    )
    release_mbit_per_s: float = Field(
        default=1500.0,
        ge=0.001,
        le=1e9,
        description="bandwidth cap of release downloads; 1485 serve 8.4 million phones in 24 h",
    )
    reports_per_round: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DEVICES,
        description="reports that a round wants; default 10000, at most 1 % of the devices",
    )
    rounds_per_day: float | None = Field(
        default=None, ge=0.01, le=1_440, description="rounds in 24 hours; default: as in the run"
    )
    schedule: Literal["steady", "run"] = Field(
        default="steady",
        description="releases at even times, or cohort, rounds and releases as they were due in the run; how "
        "many of those are made is then an outcome",
    )
    releases_per_day: float | None = Field(
        default=None, ge=0.03, le=24, description="releases offered to the fleet per day; default 1"
    )
    release_hour: float | None = Field(
        default=None, ge=0, le=23.999, description="hour of the first release of a day; default 0"
    )
    download_bytes: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="size of a release as it is downloaded, as of one that is entropy coded; default: the "
        "run's",
    )
    downloads: Literal["plain", "coded"] = Field(
        default="plain",
        description="whether phones fetch releases as in the run or entropy coded, which is smaller: as many "
        "bytes as the run's last release coded",
    )
    check_in_bytes: float = Field(
        default=CHECK_IN_BYTES, ge=0, le=1e9, description="bytes of a check-in each way, with TLS: assumed"
    )
    connection_bytes: float = Field(
        default=CONNECTION_BYTES,
        ge=0,
        le=1e9,
        description="bytes that TLS and headers add to a transfer, each way: assumed",
    )
    sessions_per_day: float | None = Field(
        default=None, gt=0, le=1_000, description="sessions of a phone in a day; default: as in the run"
    )
    over_selection: float = Field(
        default=1.3, ge=0.1, le=100, description="reports expected at a mean hour over reports wanted"
    )
    model_spread: float = Field(
        default=0.2, ge=0, le=10, description="95 % spread of modelled odds and costs, as in / 1.2 to x 1.2"
    )
    goals: tuple[str, ...] = Field(
        default=(),
        description="what the plan must meet, several after one flag each: rounds-fill=0.99 finds the "
        "over-selection, updated-24h=0.95 the bandwidth cap, epsilon=2/day rounds and cohort",
        json_schema_extra={"metavar": "GOAL"},
    )
    prices: str = Field(
        default="shipped",
        min_length=1,
        description="TOML file of prices and carbon, each with date and source (docs/capacity.md), or "
        "'shipped', or 'none' for no money",
        json_schema_extra={"metavar": "FILE"},
    )
    region: str | None = Field(
        default=None,
        min_length=1,
        description="region of the prices; shipped: world, germany, india; default: the first of the file",
    )
    servers: Path | None = Field(
        default=None,
        description="file of what servers spend, as `fedbert capacity measure` writes it; default: the "
        "shipped one, of two x86 cores",
    )
    utilisation: float = Field(
        default=UTILISATION, gt=0, le=1, description="share of their cores that servers use at their busiest"
    )
    download_s: float = Field(
        default=DOWNLOAD_S,
        ge=0,
        le=86_400,
        description="for how long a download is open at the server: assumed; it takes memory",
    )
    releases_kept: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="releases that are stored, the newest; default: every one of a year",
    )
    records_days: float = Field(
        default=RECORDS_DAYS, gt=0, le=36_500, description="days for which the figures of rounds are stored"
    )
    frontiers: tuple[Path, ...] = Field(
        default=(),
        description="folder of a finished trade-off grid, from which it is read what privacy costs at the "
        "plan's noise; can be given several times",
        json_schema_extra={"metavar": "PATH"},
    )
    output: Path | None = Field(default=None, description="folder; default runs/capacity-<devices>")
    overwrite: bool = Field(default=False, description="replace an earlier forecast there")

    @field_validator("frontiers", mode="before")
    @classmethod
    def _folders(cls, value: Any) -> Any:
        return folders_of(value)

    @field_validator("goals", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        texts = tuple([value] if isinstance(value, str) else value)
        kinds = [parse_goal(str(text)).kind for text in texts]
        if twice := next((kind for kind in kinds if kinds.count(kind) > 1), None):
            raise ValueError(f"{RULE} ({twice} stands there twice)")
        return texts

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reports_per_round is not None and self.reports_per_round > self.devices:
            raise ValueError(
                f"reports_per_round(={self.reports_per_round}) must be <= devices (= {self.devices}); "
                "lower it"
            )
        if self.goals and self.schedule == "run":
            raise ValueError(
                f"goals(={list(self.goals)}) must be left out with schedule 'run', which is given"
            )
        if (last := self.devices * self.growth_in_all()) > MAX_DEVICES:
            raise ValueError(
                f"growth_percent_per_month(={self.growth_percent_per_month:g}) must keep the fleet within "
                f"{MAX_DEVICES:,} phones, and makes it {last:.3g}; lower it or --days"
            )
        if self.downloads == "coded" and self.download_bytes is not None:
            raise ValueError(
                f"download_bytes(={self.download_bytes:g}) must be left out with downloads 'coded', which "
                "has the run's size"
            )
        for goal in map(parse_goal, self.goals):
            if (name := _FOUND[goal.kind]) in self.model_fields_set:
                raise ValueError(
                    f"{name}(={getattr(self, name):g}) must be left out with the goal {goal.text!r}, which "
                    "finds it"
                )
        if self.schedule == "run":
            for name in ("rounds_per_day", "releases_per_day", "release_hour", *OF_A_STEADY_PLAN):
                if (value := getattr(self, name)) is not None:
                    shown = f"{value:g}" if isinstance(value, float) else repr(value)
                    raise ValueError(
                        f"{name}(={shown}) must be left out with schedule 'run', which has the run's own"
                    )
        return self

    def plan(self, base: "BaseRun") -> "Plan":
        """Return the plan, with the run's own rates where none was asked for."""
        from fedbert.planning.capacity.capacity import Plan

        return Plan(
            devices=self.devices,
            release_bits_per_s=self.release_mbit_per_s * 1e6,
            reports_per_round=self.reports_per_round or self._reports(base),
            rounds_per_day=self.rounds_per_day or base.rounds_per_day,
            releases_per_day=self._releases(base),
            release_hour=self.release_hour or 0.0,
            over_selection=self.over_selection,
            model_spread=self.model_spread,
            seed=base.seed,
            schedule=self.schedule,
            sessions_per_day=self.sessions_per_day or base.sessions_per_day,
            download_bytes=self._download_bytes(base),
            check_in_bytes=self.check_in_bytes,
            connection_bytes=self.connection_bytes,
            releases_kept=self.releases_kept,
            records_days=self.records_days,
            download_s=self.download_s,
            world=self.world(base),
        )

    def _download_bytes(self, base: "BaseRun") -> float:
        if self.downloads == "plain":
            return self.download_bytes or base.release_bytes
        if base.coded_bytes is None:
            raise FedbertError(
                f"downloads(='coded') must have a run that kept the coded size, and {base.name!r} did not; "
                "run it again, or give --download-bytes"
            )
        return base.coded_bytes

    def _releases(self, base: "BaseRun") -> float:
        return base.releases_per_day if self.schedule == "run" else self.releases_per_day or 1.0

    def _reports(self, base: "BaseRun") -> int:
        """Return the reports that a round wants: with the run's schedule as many as its cohort gives."""
        if self.schedule == "run":
            mean = self.devices * base.sampling_probability * float(base.report_share.mean())
            return min(self.devices, max(1, round(mean / self.over_selection)))
        return min(REPORTS_PER_ROUND, -(-self.devices // 100))
