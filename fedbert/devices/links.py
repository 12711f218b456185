"""The links of phones, read from links.toml and checked key by key: one table a kind of link.

One file serves the whole fleet; which cellular link a phone has stands in its profile (`[radios]`). Keys
carry their unit; the table ``[sources]`` says where each number is from. The file that comes with fedbert is
written by ``scripts/build_links.py``.
"""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from fedbert.devices.fleet import Floats
from fedbert.devices.plausible import (
    MEDIAN_KBIT_PER_S,
    WIDEST_SPREAD,
    Milliwatts,
    RoundTripMilliseconds,
)
from fedbert.devices.profiles import LINKS_FILE, Table, check_sources, read_table
from fedbert.errors import FedbertError
from fedbert.paths import profiles_folder

LINK_KINDS = ("fixed_line", "three_g", "lte", "five_g")
"""Names of the links: the fixed line behind Wi-Fi, then the cellular ones in the order of `Radios.shares`."""

FIXED_LINE = 0
"""Index of the fixed line in `LINK_KINDS`."""


class Link(Table):
    """One kind of link: median rates over devices, their spread over a device's transfers, round trip, power.

    `transfer_sigma` is the log-normal spread of one transfer's rate around the device's own median;
    `failure_probability` the chance that an attempt breaks.
    """

    downlink_p10_kbit_per_s: float = Field(ge=1, le=1e7)
    downlink_p50_kbit_per_s: float = Field(ge=1, le=1e7)
    downlink_p90_kbit_per_s: float = Field(ge=1, le=1e7)
    transfer_sigma: float = Field(ge=0, le=3)
    uplink_ratio: float = Field(gt=0, le=2)
    rtt_ms: RoundTripMilliseconds
    failure_probability: float = Field(ge=0, lt=1)
    receive_mw: Milliwatts
    transmit_mw: Milliwatts

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.downlink_p10_kbit_per_s < self.downlink_p50_kbit_per_s < self.downlink_p90_kbit_per_s:
            raise ValueError(
                "must rise: downlink_p10_kbit_per_s < downlink_p50_kbit_per_s < downlink_p90_kbit_per_s"
            )
        if self.downlink_p90_kbit_per_s >= WIDEST_SPREAD * self.downlink_p10_kbit_per_s:
            raise ValueError(
                f"downlink_p90_kbit_per_s must be less than {WIDEST_SPREAD:,g} times "
                "downlink_p10_kbit_per_s; write both in kbit/s"
            )
        return self


class Links(Table):
    """The four kinds of links."""

    fixed_line: Link
    three_g: Link
    lte: Link
    five_g: Link
    sources: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        for kind, (low, high) in MEDIAN_KBIT_PER_S.items():
            median = getattr(self, kind).downlink_p50_kbit_per_s
            if not low <= median < high:
                raise ValueError(
                    f"{kind}.downlink_p50_kbit_per_s(={median:g}) must be from {low:,g} to below {high:,g}; "
                    "correct the value or its unit"
                )
        check_sources(self.model_dump(exclude={"sources"}), self.sources)
        return self

    @property
    def table(self) -> "LinkTable":
        """The links as columns, in the order of `LINK_KINDS`."""
        links = [getattr(self, kind) for kind in LINK_KINDS]
        return LinkTable(*(np.array([getattr(link, name) for link in links]) for name in LinkTable._fields))


class LinkTable(NamedTuple):
    """The keys of `Link` as columns [link], in the order of `LINK_KINDS`."""

    downlink_p10_kbit_per_s: Floats
    downlink_p50_kbit_per_s: Floats
    downlink_p90_kbit_per_s: Floats
    transfer_sigma: Floats
    uplink_ratio: Floats
    rtt_ms: Floats
    failure_probability: Floats
    receive_mw: Floats
    transmit_mw: Floats


def load_links(folder: Path | None = None) -> LinkTable:
    """Return the links of a folder of profiles; those that come with fedbert if it has no links.toml.

    Raises `FedbertError`, one line that names file, key, value and rule, for the first problem found.
    """
    links, problems = read_table(_file(folder), Links)
    if links is None:
        raise FedbertError(problems[0])
    return links.table


def check_links(folder: Path) -> list[str]:
    """Return every problem of the links.toml in `folder`, a line each; an empty list if it has none."""
    return read_table(_file(folder), Links)[1]


def _file(folder: Path | None) -> Path:
    own = None if folder is None else folder / LINKS_FILE
    # A link that leads nowhere is a mistake, not a folder without the file.
    there = own is not None and (own.exists() or own.is_symlink())
    return own if own is not None and there else profiles_folder() / LINKS_FILE
