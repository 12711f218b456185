"""Prices and carbon of a capacity plan: a TOML file of numbers, each with its date and its source.

Nothing is built in: list prices change, and a number without a source is nobody's.
"""

import tomllib
from datetime import date as Date
from pathlib import Path
from typing import Any

from pydantic import Field

from fedbert.errors import FedbertError, invalid
from fedbert.settings import Settings

LIMIT_BYTES = 1_000_000


class Sourced(Settings):
    """A number with the day on which it stood in its source."""

    value: float = Field(gt=0, le=1e9, description="the number, in the unit of its key")
    date: Date = Field(description="day on which the source had it")
    source: str = Field(min_length=3, description="where it is from")


class Prices(Settings):
    """What the plan's bytes, requests and energy cost; a missing one leaves its figures out."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="currency of the prices, as EUR")
    region: str = Field(min_length=1, description="region that they are of")
    cdn_per_gb: Sourced | None = Field(default=None, description="downloads of releases, a gigabyte")
    egress_per_gb: Sourced | None = Field(default=None, description="answers to check-ins, a gigabyte")
    ingress_per_gb: Sourced | None = Field(default=None, description="reports and check-ins, a gigabyte")
    requests_per_million: Sourced | None = Field(default=None, description="a million requests")
    kwh: Sourced | None = Field(default=None, description="a kilowatt-hour where phones are charged")
    gco2e_per_kwh: Sourced | None = Field(default=None, description="grams of CO2e of that kilowatt-hour")
    network_kwh_per_gb: Sourced | None = Field(default=None, description="energy of networks, a gigabyte")
    charging_efficiency: Sourced | None = Field(
        default=None, description="energy in the battery over that from the socket, at most 1"
    )

    def known(self) -> dict[str, Sourced]:
        """Return the numbers that are there, by key."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if isinstance(value, Sourced)}


def _sourced(key: str, value: Any) -> Any:
    """Return a table as a number with its source; its mistakes are said with their key."""
    try:
        return Sourced(**value) if isinstance(value, dict) else value
    except FedbertError as error:
        raise FedbertError(f"{key}.{error}") from None


def read_prices(path: Path) -> Prices:
    """Return the prices in a TOML file; raises FedbertError with file, key and rule."""
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise invalid("prices", str(path), f"have at most {LIMIT_BYTES:,} bytes")
        found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FedbertError(
            f"prices(={str(path)!r}) must be a TOML file as in docs/capacity.md ({error}); check the path"
        ) from None
    try:
        prices = Prices(**{key: _sourced(key, value) for key, value in found.items()})
    except (FedbertError, TypeError) as error:
        raise FedbertError(f"{path}: {error}") from None
    efficiency = prices.charging_efficiency
    if efficiency is not None and efficiency.value > 1:
        raise FedbertError(f"{path}: charging_efficiency.value(={efficiency.value:g}) must be <= 1")
    if not prices.known():
        raise FedbertError(f"{path}: must have at least one price, each with value, date and source")
    return prices
