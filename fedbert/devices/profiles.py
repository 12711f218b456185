"""Device profiles: what is known about a class of phones, read from TOML and checked key by key.

One file is one class. Keys carry their unit; the table ``[sources]`` says where each number is from. The
files that come with fedbert are written by ``scripts/build_profiles.py``.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedbert.devices.plausible import (
    LEAST_FREE_BYTES,
    BatteryMah,
    ElementGops,
    FlashBytesPerSecond,
    FloatGmacs,
    Int8Gmacs,
    LoadMilliseconds,
    MemoryBytesPerSecond,
    Milliwatts,
    OperatorMicroseconds,
    ProductMicroseconds,
    RamBytes,
    RunMicroseconds,
    StorageBytes,
)
from fedbert.errors import FedbertError
from fedbert.files import UnreadableFile, read_toml
from fedbert.paths import profiles_folder
from fedbert.results import TIERS, Tier

LINKS_FILE = "links.toml"
"""The file beside the profiles that describes the links (`links.py`)."""

SHARE_TOLERANCE = 0.01
"""How far from 1 shares may add up, as rounded ones do; they are then scaled to 1."""

# Within it shares are taken as they are: their last digits are those of the file.
_EXACT_SHARES = 1e-9

NORMAL_P90 = 1.2815515655446004
"""The 90th percentile of a standard normal variable."""

_Bytes = Annotated[int, Field(ge=LEAST_FREE_BYTES, le=10**12)]

# What more there is to say to who leaves a range: the ways in that there are, or that there is none.
_HINTS = {
    "battery_mah": "a board on the mains cannot be modelled as such: give the battery of the phone it stands "
    "for, and leave the figures of the battery aside",
    "ram_bytes": "write it in bytes",
    "storage_bytes": "write it in bytes; a larger disk counts as 3.9e12",
}


class Table(BaseModel):
    """A table of a TOML file: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Cluster(Table):
    """Cores of one kind."""

    core: str = Field(min_length=1)
    count: int = Field(ge=1, le=16)
    clock_ghz: float = Field(ge=0.2, le=6)


class Core(Table):
    """What one busy core does in a second, on one thread, and what it draws.

    The rest, where it is known: the rate of simple operations on elements (else that of float
    multiply-adds); what a matrix product costs beyond an operator, what entering the runtime costs (else 0).
    On n threads arithmetic and memory are 1 / (1 - p + p / n) times as fast, `parallel_share` p, and each
    product wakes the others (else neither: more threads change nothing).
    """

    int8_gmacs_per_s: Int8Gmacs
    float_gmacs_per_s: FloatGmacs
    memory_bytes_per_s: MemoryBytesPerSecond
    overhead_us_per_operator: OperatorMicroseconds
    power_mw: Milliwatts
    element_gops_per_s: ElementGops | None = None
    overhead_us_per_product: ProductMicroseconds | None = None
    overhead_us_per_run: RunMicroseconds | None = None
    parallel_share: float | None = Field(default=None, ge=0, le=1)
    wake_us_per_product: ProductMicroseconds | None = None


class FreeMemory(Table):
    """Memory free to the feature: quantiles over phones and moments; a log-normal goes through them."""

    p10_bytes: _Bytes
    p50_bytes: _Bytes
    p90_bytes: _Bytes

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.p10_bytes < self.p50_bytes < self.p90_bytes:
            raise ValueError("must rise: p10_bytes < p50_bytes < p90_bytes")
        return self

    @property
    def sigma(self) -> float:
        """Of the log-normal, whose median is p50."""
        return math.log(self.p90_bytes / self.p10_bytes) / (2 * NORMAL_P90)


class Load(Table):
    """What a cold start costs beside moving the weights."""

    fixed_ms: LoadMilliseconds
    flash_bytes_per_s: FlashBytesPerSecond


class Radios(Table):
    """Shares of the phones of this class by their cellular link. Wi-Fi is there for all.

    They add up to 1 within `SHARE_TOLERANCE` and are scaled to it.
    """

    three_g: float = Field(ge=0, le=1)
    lte: float = Field(ge=0, le=1)
    five_g: float = Field(ge=0, le=1)

    @property
    def are_scaled(self) -> bool:
        """Whether the file's shares add up to something else than 1, so that they were scaled."""
        return self.shares != (self.three_g, self.lte, self.five_g)

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares in the order of the cellular kinds of `links.LINK_KINDS`."""
        three_g, lte, five_g = scaled([self.three_g, self.lte, self.five_g])
        return three_g, lte, five_g

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.three_g + self.lte + self.five_g
        if total == 0:
            raise ValueError(
                "three_g, lte and five_g must add up to 1, not 0; a tablet without a cellular link cannot be "
                "modelled as such: give it that of the phone it stands for"
            )
        if not adds_up(total):
            raise ValueError(
                f"three_g, lte and five_g must add up to 1 (within {SHARE_TOLERANCE:g}), not {total:.6g}; "
                "change the shares"
            )
        return self


class DeviceProfile(Table):
    """A class of phones. `clusters` go from the fastest to the slowest.

    `share` of the fleet is not in the class's file but in that of the fleet (`fleet_shares.load_fleet`); 0
    without.
    """

    name: str = Field(min_length=1, max_length=80)
    tier: Tier
    share: float = Field(default=0.0, ge=0, le=1)
    year: int = Field(ge=2007, le=2100)
    soc: str = Field(min_length=1)
    ram_bytes: RamBytes
    storage_bytes: StorageBytes
    battery_mah: BatteryMah
    battery_voltage_v: float = Field(ge=2.5, le=12)
    clusters: list[Cluster] = Field(min_length=1, max_length=8)
    big_core: Core
    little_core: Core
    free_memory: FreeMemory
    load: Load
    radios: Radios
    sources: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.free_memory.p90_bytes > self.ram_bytes:
            raise ValueError(
                f"free_memory.p90_bytes(={self.free_memory.p90_bytes}) must be <= ram_bytes "
                f"(={self.ram_bytes}); correct one of them"
            )
        check_sources(self.model_dump(exclude={"sources", "share"}, exclude_none=True), self.sources)
        return self

    def tables(self) -> dict[str, Any]:
        """Return the tables and keys of its TOML file: those that it was made with."""
        return self.model_dump(exclude_unset=True)

    @property
    def tier_index(self) -> int:
        """The tier as an index into `results.TIERS`."""
        return TIERS.index(self.tier)


_Model = TypeVar("_Model", bound=Table)


def adds_up(total: float) -> bool:
    """Return whether shares that come to `total` may be scaled to 1; the limit itself is within."""
    return abs(total - 1) <= SHARE_TOLERANCE + _EXACT_SHARES


def scaled(shares: list[float]) -> list[float]:
    """Return `shares` divided by their sum, or as they are if that is 1 but for the rounding of the file."""
    total = sum(shares)
    return shares if abs(total - 1) <= _EXACT_SHARES else [share / total for share in shares]


def check_sources(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Raise ValueError unless each number of `values` has its line in `sources`, and each line its number."""
    numbers = _number_keys(values)
    sourced = {key for key, text in sources.items() if text.strip()}
    for key in numbers:
        if not any(key == known or key.startswith(known + ".") for known in sourced):
            raise ValueError(f"sources.{key!r} must say where it is from; add it to [sources]")
    for known in sources:
        if not any(key == known or key.startswith(known + ".") for key in numbers):
            raise ValueError(f"sources.{known!r} must name a key with a number; remove or correct it")


def load_profiles(folder: Path | None = None) -> dict[str, DeviceProfile]:
    """Return the profiles of `folder` (default: those that come with fedbert) by file name without .toml.

    Their `share` is 0; `fleet_shares.load_fleet` gives those of a fleet. Raises `FedbertError`, one line that
    names file, key, value and rule, for the first problem found.
    """
    folder = profiles_folder() if folder is None else folder
    profiles, problems = read_profiles(folder)
    raise_first(problems, folder)
    return profiles


def raise_first(problems: list[str], folder: Path) -> None:
    """Raise `FedbertError` with the first problem, if there is one, and how to see the others."""
    if problems:
        more = len(problems) - 1
        tail = f" (and {more} more; list them with: fedbert profiles check {folder})" if more else ""
        raise FedbertError(problems[0] + tail)


def read_profiles(folder: Path) -> tuple[dict[str, DeviceProfile], list[str]]:
    """Return the good profiles of `folder` by file name without its ending, and all problems, a line each."""
    if not folder.is_dir():
        return {}, [f"profiles(='{folder}') must be a folder of TOML files; give its path"]
    files = sorted(file for file in folder.glob("*.toml") if file.name != LINKS_FILE)
    if not files:
        return {}, [f"profiles(='{folder}') must hold at least one .toml file; see docs/how-to/phones.md"]
    profiles: dict[str, DeviceProfile] = {}
    problems: list[str] = []
    names: dict[str, str] = {}
    for file in files:
        profile, found = read_table(file, DeviceProfile)
        problems += found
        if profile is None:
            continue
        if "share" in profile.model_fields_set:
            problems.append(f"{file.name}: share must stand in a file of fleets/; move it there")
        if profile.name in names:
            problems.append(
                f"{file.name}: name(={profile.name!r}) must differ from that of "
                f"{names[profile.name]}; rename one"
            )
        names.setdefault(profile.name, file.name)
        profiles[file.stem] = profile
    return profiles, problems


def read_table(file: Path, model: type[_Model]) -> tuple[_Model | None, list[str]]:
    """Return the TOML `file` as a `model` and no problems, or None and its problems, a line each."""
    try:
        values = read_toml(file)
    except UnreadableFile as error:
        return None, [f"{file.name}: file must {error.rule}; {error.next_step}"]
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, [_problem(file.name, dict(item)) for item in error.errors(include_url=False)]


def _problem(file: str, error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "missing":
        return f"{file}: {key} must be given; add the key"
    if kind == "extra_forbidden":
        return f"{file}: {key}(={error['input']!r}) must be a known key; correct its name or unit"
    message = str(error["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{file}: {key + ': ' if key else ''}{message}"
    rule = message.removeprefix("Input should be ").removeprefix("a valid ")
    value = error["input"]
    shown = repr(value) if not isinstance(value, dict | list) else f"a {type(value).__name__}"
    return f"{file}: {key}(={shown}) must be {rule}; {_HINTS.get(key, 'correct the value or its unit')}"


def _number_keys(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of all numbers; a list of tables counts as the list's key."""
    keys: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            keys += _number_keys(value, f"{prefix}{key}.")
        elif isinstance(value, list) or (isinstance(value, int | float) and not isinstance(value, bool)):
            keys.append(prefix + key)
    return keys
