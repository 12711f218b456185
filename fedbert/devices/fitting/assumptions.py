"""What no measurement at hand gives: the numbers of device_profiles/sources/assumptions.toml, by table.

Each becomes part of a profile or a link, with the word "assumed" in its sources.
"""

from pathlib import Path
from typing import TypedDict, cast

from fedbert.files import read_toml

ByLink = dict[str, float]
"""A number for each of `links.LINK_KINDS`."""


class FleetFacts(TypedDict):
    """A fleet: the share of its phones with each RAM (GB, as text), and where that is from."""

    description: str
    source: str
    ram_share: dict[str, float]


class Battery(TypedDict):
    """Quantiles of capacity over phones, and the voltage of all."""

    quantiles: list[float]
    mah: list[float]
    voltage_v: float


class FreeMemory(TypedDict):
    """Memory free to one feature: log-normal about a share of the RAM."""

    p50_share_of_ram: float
    sigma: float


class Load(TypedDict):
    """A cold start: cycles of the big core, and how fast each kind of flash is read."""

    cycles: float
    flash_bytes_per_s: dict[str, float]


class Transformer(TypedDict):
    """The TinyBERTs that Bolt timed; `shapes` are layers, width, width of the feed-forward layer."""

    soc: str
    tokens: int
    operators_per_layer: int
    clock_ghz: dict[str, float]
    shapes: dict[str, list[int]]


class Speech(TypedDict):
    """Two speech transformers timed on the RK3588; `shapes` are layers, width, feed-forward width, frames."""

    gmacs: dict[str, float]
    clock_ghz: dict[str, float]
    shapes: dict[str, list[int]]


class Assumptions(TypedDict):
    """The whole file."""

    fleets: dict[str, FleetFacts]
    battery: Battery
    free_memory: FreeMemory
    load: Load
    uplink_ratio: ByLink
    rtt_ms: ByLink
    failure_probability: ByLink
    rates_kbit_per_s: dict[str, list[float]]  # p10, p50, p90 of moments, by link
    radio_share: dict[str, ByLink]  # by generation of the modem
    transformer: Transformer
    speech: Speech


def read_assumptions(sources: Path) -> Assumptions:
    """Return the facts of ``assumptions.toml``, which stands in the folder `sources` of the repository."""
    return cast(Assumptions, read_toml(sources / "assumptions.toml"))
