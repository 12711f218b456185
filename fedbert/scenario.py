"""What is simulated: one frozen, validated settings object, read from flags and TOML, written back as TOML.

`Scenario` holds what can change a result; `Execution` what cannot (backend, shards, output). Every flag of
``simulations/run.py`` is a key of one of the two, with the same name.
"""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, field_validator, model_validator

from fedbert.budget import parse_budget
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile
from fedbert.files import read_toml as read_toml_file
from fedbert.machine import Precision
from fedbert.parts import (
    AUTO,
    DEFAULT_EPSILON,
    DEFAULT_MECHANISM,
    LEARNT_SELECTIONS,
    LOCAL_MECHANISMS,
    MECHANISMS,
    SELECTIONS,
    SIGNALS,
    WORLDS,
    no_account,
)
from fedbert.paths import models_folder
from fedbert.plugins import unknown
from fedbert.settings import Settings
from fedbert.tier_rates import parse_tier_rates
from fedbert.units import HOURS_PER_DAY, S_PER_HOUR

MAX_DEVICES = 100_000_000

NO_EPSILON = "none"
"""What stands in place of an epsilon for a run without privacy, in flags and files."""

Attack = Literal["boost", "flip", "random", "stuck"]
"""What poisoned phones send (`fedbert.signals.poisoning`)."""


class Scenario(Settings):
    """The simulated fleet, world, model, federation and privacy. The same scenario gives the same run."""

    devices: int = Field(default=10_000, ge=1, le=MAX_DEVICES, description="phones in the fleet")
    rounds: int = Field(default=24, ge=1, le=10_000, description="federation rounds")
    round_hours: float = Field(default=2.0, gt=0, le=HOURS_PER_DAY, description="hours between two rounds")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="seed of every random number but the noise")

    world: str = Field(
        default="services",
        min_length=1,
        description="which users, items and texts: services, movietweetings, interactions, or my.py:name",
    )
    items: Path | None = Field(
        default=None, description="catalogue file (item, text[, popularity]) of the interactions world"
    )
    interactions: Path | None = Field(
        default=None, description="file (user, item, timestamp[, rating][, candidates]) of that world"
    )
    split: Literal["date", "own-time"] = Field(
        default="date",
        description="where learning ends in the interactions world: at a date, or within each user's rows",
    )
    min_rating: float | None = Field(
        default=None,
        description="rating below which a row of interactions is no click; default: every row is one",
    )
    non_iid: float = Field(
        default=0.5, ge=0, le=100, description="how far tastes differ between devices; 0: all alike"
    )
    tier_correlation: float = Field(
        default=0.5, ge=0, le=5, description="how far tastes depend on the device tier"
    )
    sessions_per_day: float = Field(default=4.0, gt=0, le=48, description="sessions per device per day")
    evaluation_share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="share of sessions that are scored in reports and never learnt from",
    )
    history_length: int = Field(default=8, ge=1, le=64, description="clicks a phone remembers")

    profiles: Path | None = Field(default=None, description="folder of device profiles (TOML)")
    fleet: str = Field(
        default="global",
        min_length=1,
        description="shares of the classes: global, low_end or a .toml of your own",
    )
    availability: Literal["default", "always"] = Field(
        default="default", description="when phones can take part"
    )
    availability_trace: Path | None = Field(
        default=None,
        description="CSV or Parquet of your own phones' days (docs/how-to/phones.md)",
    )
    metered: Literal["never", "uploads", "always"] = Field(
        default="never",
        description="what phones do on metered links: nothing, send signals, or also fetch releases",
    )
    memory_budget_bytes: int = Field(
        default=4_000_000, ge=100_000, description="memory of the feature on a phone"
    )
    deadline_ms: float = Field(default=300.0, gt=0, le=60_000, description="time to answer a session")
    threads: int = Field(default=1, ge=1, le=16, description="threads of a session, at most the big cores")

    model: str = Field(
        default="default",
        min_length=1,
        description="shipped model or artefact folder; auto: each phone the largest of default, small and "
        "tiny that fits its memory",
    )
    teacher: str | None = Field(
        default=None, description="folder or hub name; default: the installed package"
    )

    signal: str = Field(
        default="prototypes",
        min_length=1,
        description="what a device sends: prototypes, delta, public (nothing), or my.py:Name of your own",
    )
    mechanism: str = Field(
        default=DEFAULT_MECHANISM,
        min_length=1,
        description="how sums are made private: poisson, allocated, correlated, tree, daily, or "
        "my.py:Name of your own",
    )
    mode: Literal["central", "local"] = Field(
        default="central",
        description="where the noise is added: by the aggregator to sums, or by each phone to its own report",
    )
    epsilon: float | None = Field(
        default=DEFAULT_EPSILON,
        gt=0,
        le=1000,
        description="privacy budget of the whole run, against one who sees who took part; with the mechanism "
        "poisson only against one who does not; in mode local that of each report; 'none' is not private",
    )
    budget: str | None = Field(
        default=None,
        description="EPSILON/DAYS, as 4/30: the run stops before a round that would take the epsilon of so "
        "many days above it, against one who sees who took part",
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance the guarantee fails; default 1e-6 or less"
    )
    sampling_probability: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="chance that a device joins a round, of the whole fleet; where it joins once a day, "
        "never more than one round of the day",
    )
    selection: str = Field(
        default="uniform",
        min_length=1,
        description="who of these is asked: uniform, by-tier, by-staleness, oort (not in a private run), or "
        "my.py:Name of your own",
    )
    tier_rates: str | None = Field(
        default=None,
        description="rates of the selection by-tier, as entry=1,mid=0.5,flagship=0.25; default: as many of "
        "each tier",
    )
    over_selection: float = Field(default=1.0, ge=1, le=10, description="factor on the sampling probability")
    round_deadline_s: float | None = Field(
        default=None,
        gt=0,
        description="seconds after which a round takes no more reports; default: the whole round",
    )
    target_reports: int | None = Field(
        default=None,
        ge=2,
        description="reports with which a round closes, the first that come; default: all are taken",
    )
    buffer_reports: int | None = Field(
        default=None,
        ge=2,
        description="reports with which the server takes a step, as they come (FedBuff); default: rounds are "
        "synchronous",
    )
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DEVICES,
        description="phones at work at once where reports fill buffers; default: 10 for each buffer_reports",
    )
    noise_cohort: int | None = Field(
        default=None,
        ge=1,
        le=10**10,
        description="phones whose noise this fleet gets: it shows what so many would reach, protects none",
    )
    clip_norm: float = Field(default=1.0, gt=0, le=1000, description="largest norm of one device's signal")
    clicks_per_report: int = Field(default=8, ge=1, le=64, description="newest clicks that make up a signal")
    min_reports: int = Field(
        default=10, ge=0, description="reports below which a round is held; a single one is never opened"
    )
    noise_seed: int | None = Field(
        default=None, ge=0, le=2**63 - 1, description="seed of the noise; default: follows from seed"
    )
    audit: Literal["quick", "full", "off"] = Field(
        default="quick", description="how a private run is attacked when it is over, to check its proof"
    )

    poisoned: float = Field(
        default=0.0, ge=0, le=1, description="share of the phones that lie or break in what they send"
    )
    attack: Attack | None = Field(
        default=None,
        description="what these send: their own report made longer (the default), the same with its sign "
        "turned, random signs, or one stuck value",
    )
    attack_factor: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="length of what these send, in clip norms; default: 30",
    )
    coordinate_bound: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="largest coordinate of a report that is taken as proved, honest or not; default: none is",
    )

    release_every: int = Field(default=3, ge=1, description="rounds between two releases to devices")
    control_share: float = Field(
        default=0.05, ge=0, le=0.5, description="share of devices that stay on release 0, for comparison"
    )
    update_steps: int = Field(
        default=4, ge=1, le=1000, description="cross-distillation steps after each round"
    )
    student_learning_rate: float = Field(default=3e-3, gt=0, le=1, description="step size of the student")
    teacher_learning_rate: float = Field(
        default=0.0, ge=0, le=1, description="step size of the teacher; with 0 it stays as it is"
    )
    precision: Precision = Field(
        default="auto",
        description="of the server's teacher: float32, bfloat16, or auto, as the processor multiplies",
    )
    pooled_bound: bool = Field(
        default=True, description="train the pooled-data bound too, which the gap is measured against"
    )
    timing_only: bool = Field(
        default=False,
        description="simulate everything but the model, for the sizes of rounds and roll-outs: nothing is "
        "scored or trained, and releases come on schedule",
    )
    verify_masks: int = Field(
        default=32,
        ge=0,
        le=256,
        description="devices per round whose pairwise masks are really run and compared",
    )

    @field_validator("items", "interactions", "profiles", "availability_trace", mode="before")
    @classmethod
    def _blank_path(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("epsilon", mode="before")
    @classmethod
    def _no_epsilon(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() == NO_EPSILON else value

    @field_validator("budget")
    @classmethod
    def _horizon(cls, value: str | None) -> str | None:
        if value is not None:
            parse_budget(value)
        return value

    @field_validator("tier_rates")
    @classmethod
    def _rates(cls, value: str | None) -> str | None:
        if value is not None:
            parse_tier_rates(value)
        return value

    @model_validator(mode="after")
    def _cohort_of_noise(self) -> Self:
        if self.noise_cohort is not None and self.noise_cohort < self.devices:
            raise ValueError(
                f"noise_cohort(={self.noise_cohort}) must be >= devices (={self.devices}): it is the larger "
                "fleet that these phones stand for; leave it out or raise it"
            )
        return self

    @model_validator(mode="after")
    def _closing(self) -> Self:
        window_s = self.round_hours * S_PER_HOUR
        if self.round_deadline_s is not None and self.round_deadline_s > window_s:
            raise ValueError(
                f"round_deadline_s(={self.round_deadline_s:g}) must be <= a round (= {window_s:g} s); lower "
                "it, or raise round_hours"
            )
        if self.target_reports is not None and self.noise_cohort is not None:
            raise ValueError(
                f"noise_cohort(={self.noise_cohort}) must be left out with target_reports: a round of "
                f"{self.target_reports} reports has no more of them in a larger fleet"
            )
        return self

    @model_validator(mode="after")
    def _buffered(self) -> Self:
        size = self.buffer_reports
        if size is None:
            if self.concurrency is not None:
                raise ValueError(
                    f"concurrency(={self.concurrency}) must come with reports that fill buffers; add "
                    "--buffer-reports"
                )
            return self
        for key in ("target_reports", "noise_cohort", "poisoned"):
            if value := getattr(self, key):
                raise ValueError(
                    f"{key}(={value}) must be left out with buffer_reports, which it is not simulated with; "
                    "leave out one of them"
                )
        if size < self.min_reports:
            raise ValueError(
                f"buffer_reports(={size}) must be >= min_reports (= {self.min_reports}): every buffer would "
                "be held; raise it, or lower --min-reports"
            )
        return self

    @model_validator(mode="after")
    def _known(self) -> Self:
        registries = (
            ("world", WORLDS),
            ("signal", SIGNALS),
            ("mechanism", MECHANISMS),
            ("selection", SELECTIONS),
        )
        for key, known in registries:
            value = getattr(self, key)
            if value not in known and ":" not in value:
                raise ValueError(str(unknown(value, known, key, key)))
        return self

    @model_validator(mode="after")
    def _selected(self) -> Self:
        if self.selection in LEARNT_SELECTIONS and self.epsilon is not None:
            raise ValueError(str(no_account(self.selection)))
        if self.tier_rates is not None and self.selection in SELECTIONS and self.selection != "by-tier":
            raise ValueError(
                f"tier_rates(={self.tier_rates!r}) must come with the selection by-tier, not "
                f"{self.selection!r}; add --selection by-tier"
            )
        return self

    @model_validator(mode="after")
    def _noised_where(self) -> Self:
        if self.mode == "local" and self.mechanism not in LOCAL_MECHANISMS:
            raise ValueError(
                f"mode(='local') must come with the mechanism {', '.join(LOCAL_MECHANISMS[:-1])} or "
                f"{LOCAL_MECHANISMS[-1]}, not {self.mechanism!r}: a phone has no other's noise; choose one"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        custom = self.world == "interactions"
        if custom and (self.items is None or self.interactions is None):
            raise ValueError("world(='interactions') must come with items and interactions; name both files")
        if not custom and (self.items or self.interactions):
            raise ValueError(
                f"items and interactions belong to world 'interactions', not to {self.world!r}; "
                "add --world interactions"
            )
        if not custom and (self.split != "date" or self.min_rating is not None):
            raise ValueError(
                f"split and min_rating belong to world 'interactions', not to {self.world!r}; leave them out"
            )
        if self.budget is not None and self.epsilon is None:
            raise ValueError(
                f"budget(={self.budget!r}) must come with an epsilon, from which the noise is made; "
                "add --epsilon"
            )
        for key in ("attack", "attack_factor"):
            if not self.poisoned and (value := getattr(self, key)) is not None:
                raise ValueError(
                    f"{key}(={value!r}) must come with the share of the phones that send it; add --poisoned"
                )
        if self.availability_trace is not None and self.availability != "default":
            raise ValueError(
                f"availability(={self.availability!r}) must be left out with an availability_trace; "
                "the trace says when phones can take part"
            )
        if self.delta is not None and self.delta >= 1 / self.devices:
            raise ValueError(
                f"delta(={self.delta!r}) must be < 1/devices (= {1 / self.devices:.3g}); "
                "choose a smaller delta"
            )
        if self.cohort_probability > 1:
            raise ValueError(
                f"over_selection(={self.over_selection!r}) times sampling_probability "
                f"(={self.sampling_probability!r}) must be <= 1; lower one of them"
            )
        if self.clicks_per_report > self.history_length:
            raise ValueError(
                f"clicks_per_report(={self.clicks_per_report}) must be <= history_length "
                f"(={self.history_length}); a phone reports from what it remembers"
            )
        return self

    @classmethod
    def quick(cls, **values: Any) -> Self:
        """Return the scenario of ``--quick``, `QUICK`, with `values` instead where they are given."""
        return cls(**(QUICK | values))

    @property
    def world_name(self) -> str:
        """The world's name as it may stand in a folder's: of ``my.py:name`` the name."""
        return re.sub(r"[^\w.-]+", "_", self.world.rpartition(":")[2])

    @property
    def cohort_probability(self) -> float:
        """The accounted sampling probability q of a round: over-selection raises it."""
        return self.sampling_probability * self.over_selection

    @property
    def clocked(self) -> bool:
        """Whether rounds close by the clock: at a deadline, with a number of reports, or buffer by buffer."""
        closing = (self.round_deadline_s, self.target_reports, self.buffer_reports)
        return any(value is not None for value in closing)

    @property
    def effective_deadline_s(self) -> float:
        """Seconds after which a round takes no more reports: at most the round."""
        return self.round_deadline_s or self.round_hours * S_PER_HOUR

    @property
    def effective_delta(self) -> float:
        """`delta`, or if it is not given the smaller of 1e-6 and a tenth of 1/devices."""
        return self.delta if self.delta is not None else min(1e-6, 0.1 / self.protected_devices)

    @property
    def protected_devices(self) -> int:
        """Phones of the fleet that the bounds are for: `noise_cohort` where it is given."""
        return self.noise_cohort or self.devices

    @property
    def effective_noise_seed(self) -> int:
        """`noise_seed`, or one that follows from `seed`, so that a simulation can be repeated."""
        if self.noise_seed is not None:
            return self.noise_seed
        digest = hashlib.blake2b(f"noise {self.seed}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "little")

    def for_shards(self) -> Self:
        """Return what shards may know of the scenario: all but the seed of the noise that is not their own.

        In mode local phones draw the noise: it is theirs, and given, so that every shard draws the same.
        """
        own = self.effective_noise_seed if self.mode == "local" else None
        return self.model_copy(update={"noise_seed": own})

    @property
    def rounds_per_day(self) -> float:
        """Rounds in 24 hours."""
        return HOURS_PER_DAY / self.round_hours

    @property
    def learning_per_day(self) -> float:
        """Mean learning sessions per device per day."""
        return self.sessions_per_day * (1 - self.evaluation_share)

    @property
    def evaluation_per_day(self) -> float:
        """Mean evaluation sessions per device per day."""
        return self.sessions_per_day * self.evaluation_share


DEFAULTS = Scenario.model_validate({})
"""The scenario with every key at its default, for whoever needs a default without a run."""


class Execution(Settings):
    """How a scenario is computed and where the results go; nothing here changes a figure."""

    backend: Literal["inprocess", "ray"] = Field(default="inprocess", description="where the shards run")
    ray_address: str | None = Field(default=None, description="HOST:PORT of a running Ray cluster, or auto")
    shards: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="parts of the fleet; default: one per core; on Ray up to four",
    )
    output: Path | None = Field(
        default=None, description="the run folder; default runs/<world>-<devices>-<seed>"
    )
    overwrite: bool = Field(default=False, description="replace an existing run folder")
    checkpoint_every: int = Field(
        default=1, ge=0, description="rounds between two checkpoints, from which --resume goes on; 0: none"
    )
    cache: Path | None = Field(
        default=None,
        description="folder that keeps what runs have in common, for later ones to take; default: none",
    )
    signing_key: Path | None = Field(
        default=None,
        description="the server's private key, to sign the orders of a deployment (fedbert keys)",
    )
    trackers: tuple[str, ...] = Field(
        default=(),
        description="who follows the rows beside the files: tensorboard, mlflow, wandb, or my.py:Name",
    )
    lost_shards: Literal["stop", "leave-out"] | None = Field(
        default=None,
        description="when a shard fails three times: stop, to be resumed, or go on without its devices; "
        "default: stop, in a deployment leave-out",
    )
    shard_timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="seconds to wait for a shard's answer; default: no limit, 3600 in a deployment",
    )
    verify_devices: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="devices whose verdict on memory is tried under a hard limit (Linux)",
    )

    @field_validator("trackers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ray_address and self.backend != "ray":
            raise ValueError(
                f"ray_address(={self.ray_address!r}) must come with backend 'ray'; add --backend ray"
            )
        return self


QUICK: dict[str, Any] = {"devices": 1_000, "rounds": 3, "epsilon": None, "pooled_bound": False}
"""What `--quick` sets: enough to see every part of a run and its report; too little to decide by."""

QUICK_WORDS = "1000 devices, 3 rounds, not private, no pooled-data bound"

GROUPS: dict[str, tuple[str, ...]] = {
    "fleet": (
        *("devices", "profiles", "fleet", "availability", "availability_trace", "metered"),
        *("memory_budget_bytes", "deadline_ms", "threads", "verify_devices"),
    ),
    "world": (
        *("world", "items", "interactions", "split", "min_rating", "sessions_per_day", "evaluation_share"),
        *("history_length", "non_iid", "tier_correlation"),
    ),
    "model": (
        *("model", "teacher", "update_steps", "student_learning_rate", "teacher_learning_rate", "precision"),
    ),
    "federation": (
        *("rounds", "round_hours", "seed", "signal", "clicks_per_report", "release_every", "control_share"),
        *(
            "round_deadline_s",
            "target_reports",
            "buffer_reports",
            "concurrency",
            "pooled_bound",
            "timing_only",
        ),
        "verify_masks",
    ),
    "privacy": (
        *("epsilon", "delta", "mechanism", "mode", "budget", "sampling_probability", "over_selection"),
        *("selection", "tier_rates"),
        *("clip_norm", "min_reports", "noise_cohort", "noise_seed", "audit"),
        *("poisoned", "attack", "attack_factor", "coordinate_bound"),
    ),
    "computing": (
        *("backend", "ray_address", "shards", "lost_shards", "shard_timeout_s", "signing_key", "cache"),
    ),
    "output": ("output", "overwrite", "checkpoint_every", "trackers"),
}
"""The settings by what they are about, as ``run --help`` shows them; each is in one group."""

SCENARIO_KEYS = frozenset(Scenario.model_fields)
EXECUTION_KEYS = frozenset(Execution.model_fields)


def build(values: dict[str, Any]) -> tuple[Scenario, Execution]:
    """Return the two settings objects from flat keys; raises FedbertError on the first mistake."""
    unknown = sorted(set(values) - SCENARIO_KEYS - EXECUTION_KEYS)
    if unknown:
        raise FedbertError(f"unknown key {unknown[0]!r}; the keys are the flags of `fedbert run --help`")
    return (
        Scenario(**{key: value for key, value in values.items() if key in SCENARIO_KEYS}),
        Execution(**{key: value for key, value in values.items() if key in EXECUTION_KEYS}),
    )


def read_toml(path: Path) -> dict[str, Any]:
    """Return the flat keys of a scenario file; raises FedbertError if it is missing or not TOML."""
    try:
        values = read_toml_file(path)
    except UnreadableFile as error:
        raise error.of("config", str(path)) from None
    nested = sorted(key for key, value in values.items() if isinstance(value, dict))
    if nested:
        raise FedbertError(f"{path}: unknown table [{nested[0]}]; a scenario file has plain keys only")
    return values


def anchored(scenario: Scenario) -> Scenario:
    """Return the scenario with whole paths in place of relative ones, so that it runs from any folder."""
    changed: dict[str, Any] = {}
    for key in ("items", "interactions", "profiles", "availability_trace"):
        if getattr(scenario, key) is not None:
            changed[key] = getattr(scenario, key).absolute()
    for key in ("fleet", "model", "teacher", "world", "signal", "mechanism", "selection"):
        value = getattr(scenario, key)
        if value is None:
            continue
        if (whole := _whole(value)) != value:
            changed[key] = whole
        elif _is_path(key, value) and Path(value).exists():
            changed[key] = str(Path(value).absolute())
    return scenario.model_copy(update=changed)


def _is_path(key: str, value: str) -> bool:
    """Return whether a text that may name something shipped is taken as a path, should there be one."""
    if "/" in value or value.endswith(".toml"):
        return True
    shipped = value == AUTO or (models_folder() / value / "manifest.json").is_file()
    return key == "teacher" or (key == "model" and not shipped)


def _whole(spec: str) -> str:
    """Return ``PATH.py:NAME`` with its whole path; any other text as it is."""
    place, colon, name = spec.rpartition(":")
    return f"{Path(place).absolute()}:{name}" if colon and place.endswith(".py") else spec


def _anchored_how(execution: Execution) -> Execution:
    changed: dict[str, Any] = {"trackers": tuple(_whole(spec) for spec in execution.trackers)}
    for key in ("signing_key", "cache"):
        if getattr(execution, key) is not None:
            changed[key] = getattr(execution, key).absolute()
    return execution.model_copy(update=changed)


def scenario_toml(
    scenario: Scenario, execution: Execution | None = None, how: Collection[str] = ("backend", "shards")
) -> str:
    """Return the effective scenario as TOML that `--config` reads again; unset keys are left out.

    `how` names the keys of `execution` that stand in it.
    """
    values = anchored(scenario).model_dump(mode="json", exclude_none=True)
    if scenario.epsilon is None:  # left out, it would be the default
        values["epsilon"] = NO_EPSILON
    if execution is not None:
        values |= _anchored_how(execution).model_dump(mode="json", exclude_none=True, include=set(how))
    return tomli_w.dumps(values)
