"""Prices and carbon of a capacity plan: a TOML file of numbers, each with its date and its source.

One is shipped (`prices.toml`), with a few regions; every number of it is a user's to replace. What has no
source is not in it, and leaves its figures out.
"""

import tomllib
from collections.abc import Mapping
from datetime import date as Date
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field

from fedbert.errors import FedbertError, invalid
from fedbert.settings import Settings

LIMIT_BYTES = 1_000_000

SHIPPED = Path(__file__).with_name("prices.toml")
SHIPPED_WORD, NONE_WORD = "shipped", "none"
"""What `--prices` takes instead of a file."""

REGIONS = "regions"
"""Key of the tables by region; what stands outside of them holds for all."""


class Sourced(Settings):
    """A number with the day on which it stood in its source."""

    value: float = Field(gt=0, le=1e9, description="the number, in the unit of its key")
    date: Date = Field(description="day on which the source had it")
    source: str = Field(min_length=3, description="where it is from")
    above_tb_per_month: tuple[tuple[float, float], ...] = Field(
        default=(),
        description="[terabytes a month, the price of what is beyond], ascending; of a price per gigabyte",
    )


class Prices(Settings):
    """What the plan's bytes, requests, servers and energy cost; a missing one leaves its figures out."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="currency of the prices, as EUR")
    region: str = Field(min_length=1, description="region that they are of")
    about: str = Field(default="", description="where servers and phones of the region are taken to be")
    origin: str = Field(default="the prices file", description="whose they are, for the reports")
    cdn_per_gb: Sourced | None = Field(default=None, description="downloads of releases, a gigabyte")
    cdn_requests_per_million: Sourced | None = Field(
        default=None, description="a million requests for downloads"
    )
    egress_per_gb: Sourced | None = Field(default=None, description="answers to check-ins, a gigabyte")
    ingress_per_gb: Sourced | None = Field(default=None, description="reports and check-ins, a gigabyte")
    requests_per_million: Sourced | None = Field(default=None, description="a million requests of any kind")
    core_per_hour: Sourced | None = Field(default=None, description="a core of the servers, an hour")
    memory_per_gb_hour: Sourced | None = Field(
        default=None, description="memory of the servers, a gigabyte for an hour"
    )
    machine_per_hour: Sourced | None = Field(
        default=None, description="a whole machine as in the calibration, an hour"
    )
    storage_per_gb_month: Sourced | None = Field(
        default=None, description="what is stored, a gigabyte for a month"
    )
    kwh: Sourced | None = Field(default=None, description="a kilowatt-hour where phones are charged")
    gco2e_per_kwh: Sourced | None = Field(default=None, description="grams of CO2e of that kilowatt-hour")
    network_kwh_per_gb: Sourced | None = Field(default=None, description="energy of networks, a gigabyte")
    charging_efficiency: Sourced | None = Field(
        default=None, description="energy in the battery over that from the socket, at most 1"
    )
    core_idle_w: Sourced | None = Field(default=None, description="watts of a core that does nothing")
    core_busy_w: Sourced | None = Field(default=None, description="watts of a core that is fully used")
    memory_kwh_per_gb_hour: Sourced | None = Field(
        default=None, description="energy of memory, a gigabyte for an hour"
    )
    storage_wh_per_tb_hour: Sourced | None = Field(
        default=None, description="energy of what is stored, a terabyte for an hour"
    )
    pue: Sourced | None = Field(default=None, description="energy of a data centre over that of its servers")
    server_gco2e_per_kwh: Sourced | None = Field(
        default=None, description="grams of CO2e of a kilowatt-hour where the servers are"
    )

    def known(self) -> dict[str, Sourced]:
        """Return the numbers that are there, by key."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if isinstance(value, Sourced)}

    @property
    def said(self) -> str:
        """Whose prices they are, of which region, and the days on which their sources had them."""
        days = sorted(price.date for price in self.known().values())
        first, last = days[0].isoformat(), days[-1].isoformat()
        return f"{self.origin} for {self.region}, as of {first if first == last else f'{first} to {last}'}"


def prices_asked(word: str, region: str | None) -> Prices | None:
    """Return the prices that `--prices` and `--region` ask for, None for "none".

    Raises FedbertError as `read_prices` does, and for a region of no prices.
    """
    if word == NONE_WORD:
        if region is not None:
            raise invalid("region", region, "be left out with --prices none", "leave one of them out")
        return None
    return read_prices(SHIPPED if word == SHIPPED_WORD else Path(word), region)


def read_prices(path: Path, region: str | None = None) -> Prices:
    """Return the prices in a TOML file, of `region` or of the one that it begins with.

    Raises FedbertError with file, key and rule, whichever region the mistake is in.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise invalid("prices", str(path), f"have at most {LIMIT_BYTES:,} bytes")
        found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FedbertError(
            f"prices(={str(path)!r}) must be a TOML file as in docs/capacity.md ({error}); check the path"
        ) from None
    try:
        by_region = _by_region(found, "the shipped prices" if path == SHIPPED else "the prices file")
    except (FedbertError, TypeError) as error:
        raise FedbertError(f"{path}: {error}") from None
    wanted = str(found["region"]) if region is None else region
    if wanted not in by_region:
        raise invalid("region", wanted, f"be one of {', '.join(by_region)} (in {path.name})", "choose one")
    return by_region[wanted]


def _by_region(found: dict[str, Any], origin: str) -> dict[str, Prices]:
    """Return the prices of every region in a file; one without regions has that which it names."""
    tables = found.pop(REGIONS, {})
    if not (isinstance(tables, dict) and all(isinstance(each, dict) for each in tables.values())):
        raise FedbertError("regions must be tables, as [regions.NAME]")
    if not isinstance(found.get("region"), str):
        raise FedbertError("region must be given: the region of the prices, as a text")
    if not tables:
        prices = _checked(found, origin, "")
        return {prices.region: prices}
    # What holds for all is checked by itself, so that its mistakes are not said of a region.
    common = {key: _sourced(key, value) for key, value in found.items()}
    return {
        name: _checked(common | table | {"region": name}, origin, f"{REGIONS}.{name}.")
        for name, table in tables.items()
    }


def _checked(found: Mapping[str, Any], origin: str, where: str) -> Prices:
    """Return the prices in a table; `where` stands before the keys in what is wrong with them."""
    if "origin" in found:
        raise FedbertError(f"{where}origin must be left out: it is not a key of a prices file")
    try:
        values = {key: _sourced(key, value) for key, value in found.items()}
        prices = Prices(**values, origin=origin)
        _consistent(prices)
    except FedbertError as error:
        raise FedbertError(f"{where}{error}") from None
    return prices


def _sourced(key: str, value: Any) -> Any:
    """Return a table as a number with its source; its mistakes are said with their key."""
    if not isinstance(value, dict):
        return value
    try:
        price = Sourced(**value)
    except FedbertError as error:
        raise FedbertError(f"{key}.{error}") from None
    steps = price.above_tb_per_month
    if steps and key not in ("cdn_per_gb", "egress_per_gb", "ingress_per_gb"):
        raise FedbertError(f"{key}.above_tb_per_month must be left out: it is of a price per gigabyte")
    if any(each <= 0 for step in steps for each in step) or any(
        one[0] >= two[0] for one, two in pairwise(steps)
    ):
        raise FedbertError(f"{key}.above_tb_per_month must be above 0, its terabytes ascending")
    return price


def _consistent(prices: Prices) -> None:
    """Refuse numbers that contradict each other, and a file without any."""
    known = prices.known()
    if not known:
        raise FedbertError("must have at least one price, each with value, date and source")
    efficiency = known.get("charging_efficiency")
    if efficiency is not None and efficiency.value > 1:
        raise FedbertError(f"charging_efficiency.value(={efficiency.value:g}) must be <= 1")
    if "pue" in known and known["pue"].value < 1:
        raise FedbertError(f"pue.value(={known['pue'].value:g}) must be >= 1")
    idle, busy = known.get("core_idle_w"), known.get("core_busy_w")
    if (idle is None) != (busy is None):
        raise FedbertError("core_idle_w and core_busy_w must be given together: a core's watts lie between")
    if idle is not None and busy is not None and idle.value > busy.value:
        raise FedbertError(f"core_idle_w.value(={idle.value:g}) must be <= core_busy_w (= {busy.value:g})")
    if "machine_per_hour" in known and (twice := {"core_per_hour", "memory_per_gb_hour"} & known.keys()):
        raise FedbertError(f"machine_per_hour must be left out beside {min(twice)}: servers are bought once")
